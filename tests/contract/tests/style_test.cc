#include "style.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "catalogue.h"

namespace rookery::contract {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST(Style, OursIsKept) {
  for (const auto* file : Files()) EXPECT_THAT(StyleBreaches(*file), IsEmpty());
}

TEST(Style, DeparturesAreTold) {
  google::protobuf::FileDescriptorProto proto;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    name: "rookery/odd/odd.proto" package: "rookery.other" syntax: "proto3"
    message_type { name: "Ask" field { name: "camelCase" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL } }
    enum_type { name: "BigColour" value { name: "BIG_COLOUR_RED" number: 0 } value { name: "BLUE" number: 1 } }
    service { name: "Odd" method { name: "Get" input_type: ".rookery.other.Ask" output_type: ".rookery.other.Ask" } }
  )",
                                                            &proto));
  google::protobuf::DescriptorPool pool;
  const auto* file = pool.BuildFile(proto);
  ASSERT_NE(file, nullptr);
  EXPECT_THAT(
      StyleBreaches(*file),
      UnorderedElementsAre(HasSubstr("its directory is not its package"), HasSubstr("no version"),
                           HasSubstr("Ask.camelCase: is not snake_case"),
                           HasSubstr("BLUE: lacks BIG_COLOUR_"), HasSubstr("0 is not BIG_COLOUR_UNSPECIFIED"),
                           HasSubstr("not called …Service"), HasSubstr("Get: its messages")));
}

}  // namespace
}  // namespace rookery::contract
