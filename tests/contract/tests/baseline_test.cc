// Nothing that was recorded of the protos is changed, or taken away without being reserved.
#include "baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <set>

#include "catalogue.h"

namespace rookery::contract {
namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Baseline, NothingIsChangedOrTakenAway) {
  EXPECT_THAT(Breaches(ReadBaseline(BaselinePath()), Today()), IsEmpty());
}

TEST(Baseline, EverythingIsRecorded) {
  const bool is_recorded = ReadBaseline(BaselinePath()).SerializeAsString() == Today().SerializeAsString();
  EXPECT_TRUE(is_recorded) << "protos/ has additions that are not recorded: run tests/contract/update";
}

TEST(Baseline, EveryProtoFileIsInTheCatalogue) {
  const std::filesystem::path protos = ROOKERY_SOURCE_DIR "/protos";
  std::set<std::string> there, known;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(protos))
    if (entry.path().extension() == ".proto") there.insert(entry.path().lexically_relative(protos).string());
  for (const auto* file : Files()) known.insert(file->name());
  EXPECT_EQ(there, known) << "add it to tests/contract/src/catalogue.cc";
}

/// Returns the breaches when the roster's protos become what `change` makes of them.
class BreachTest : public testing::Test {
 protected:
  std::vector<std::string> After(const std::function<void(FileDescriptorProto&)>& change) {
    const FileDescriptorSet before = Today();
    FileDescriptorSet now = before;
    for (FileDescriptorProto& file : *now.mutable_file())
      if (file.package() == "rookery.roster.v1") change(file);
    EXPECT_NE(before.SerializeAsString(), now.SerializeAsString());
    return Breaches(before, now);
  }
  static DescriptorProto& Find(FileDescriptorProto& file, const std::string& name) {
    for (DescriptorProto& message : *file.mutable_message_type())
      if (message.name() == name) return message;
    throw std::runtime_error("no " + name);
  }
  static google::protobuf::FieldDescriptorProto& FirstField(FileDescriptorProto& file) {
    return *Find(file, "RosterItem").mutable_field(0);
  }
};

TEST_F(BreachTest, AdditionsAreNone) {
  EXPECT_THAT(After([](FileDescriptorProto& file) {
                auto& field = *Find(file, "RosterItem").add_field();
                field.set_name("added");
                field.set_number(500);
                file.add_message_type()->set_name("Added");
                auto& value = *file.mutable_enum_type(0)->add_value();
                value.set_name("SUBSCRIPTION_ADDED");
                value.set_number(500);
                file.mutable_service(0)->add_method()->set_name("Add");
              }),
              IsEmpty());
}

TEST_F(BreachTest, Fields) {
  EXPECT_THAT(After([](FileDescriptorProto& file) {
                Find(file, "RosterItem").mutable_field()->DeleteSubrange(0, 1);
              }),
              ElementsAre(HasSubstr("rookery.roster.v1.RosterItem.jid = 1: is gone and not reserved")));
  EXPECT_THAT(After([](FileDescriptorProto& file) { FirstField(file).set_number(500); }),
              ElementsAre(HasSubstr("another number")));
  EXPECT_THAT(After([](FileDescriptorProto& file) { FirstField(file).set_name("address"); }),
              ElementsAre(HasSubstr("is called address")));
  EXPECT_THAT(After([](FileDescriptorProto& file) {
                FirstField(file).set_type(google::protobuf::FieldDescriptorProto::TYPE_BYTES);
              }),
              ElementsAre(HasSubstr("another type")));
  EXPECT_THAT(After([](FileDescriptorProto& file) {
                FirstField(file).set_label(google::protobuf::FieldDescriptorProto::LABEL_REPEATED);
              }),
              ElementsAre(HasSubstr("repeated")));
  EXPECT_THAT(After([](FileDescriptorProto& file) { FirstField(file).set_proto3_optional(true); }),
              ElementsAre(HasSubstr("optional")));
  EXPECT_THAT(After([](FileDescriptorProto& file) {
                Find(file, "RosterItem").add_oneof_decl()->set_name("one");
                FirstField(file).set_oneof_index(0);
              }),
              ElementsAre(HasSubstr("oneof")));
}

TEST_F(BreachTest, AFieldMayGo_IfItsNumberAndNameAreReserved) {
  const auto take_away = [](FileDescriptorProto& file, bool number, bool name) {
    DescriptorProto& item = Find(file, "RosterItem");
    item.mutable_field()->DeleteSubrange(0, 1);
    if (name) item.add_reserved_name("jid");
    if (!number) return;
    auto& range = *item.add_reserved_range();
    range.set_start(1);
    range.set_end(2);
  };
  EXPECT_THAT(After([&](FileDescriptorProto& file) { take_away(file, true, true); }), IsEmpty());
  EXPECT_THAT(After([&](FileDescriptorProto& file) { take_away(file, true, false); }),
              ElementsAre(HasSubstr("not reserved")));
  EXPECT_THAT(After([&](FileDescriptorProto& file) { take_away(file, false, true); }),
              ElementsAre(HasSubstr("not reserved")));
}

TEST_F(BreachTest, AMessageMayGo_WithTheFieldsThatUsedIt) {
  const auto take_away = [](FileDescriptorProto& file, bool is_reserved) {
    for (int i = 0; i < file.message_type_size(); ++i)
      if (file.message_type(i).name() == "PendingRequest") file.mutable_message_type()->DeleteSubrange(i, 1);
    for (DescriptorProto& message : *file.mutable_message_type()) {
      for (int i = 0; i < message.field_size(); ++i) {
        const google::protobuf::FieldDescriptorProto field = message.field(i);
        if (!field.type_name().ends_with(".PendingRequest")) continue;
        message.mutable_field()->DeleteSubrange(i--, 1);
        if (!is_reserved) continue;
        message.add_reserved_name(field.name());
        auto& range = *message.add_reserved_range();
        range.set_start(field.number());
        range.set_end(field.number() + 1);
      }
    }
  };
  EXPECT_THAT(After([&](FileDescriptorProto& file) { take_away(file, true); }), IsEmpty());
  EXPECT_THAT(After([&](FileDescriptorProto& file) { take_away(file, false); }),
              ElementsAre(HasSubstr("GetRosterResponse.pending = 4: is gone and not reserved")));
}

TEST_F(BreachTest, AValueMayGo_IfItIsReserved) {
  EXPECT_THAT(After([](FileDescriptorProto& file) {
                auto& values = *file.mutable_enum_type(0);
                values.add_reserved_name(values.value(1).name());
                auto& range = *values.add_reserved_range();
                range.set_start(values.value(1).number());
                range.set_end(values.value(1).number());
                values.mutable_value()->DeleteSubrange(1, 1);
              }),
              IsEmpty());
}

TEST(Baseline, WhatIsReservedRemainsSo) {
  FileDescriptorSet before = Today();
  DescriptorProto& message = *before.mutable_file(0)->mutable_message_type(0);
  message.add_reserved_name("gone");
  auto& range = *message.add_reserved_range();
  range.set_start(500);
  range.set_end(501);
  EXPECT_THAT(Breaches(before, before), IsEmpty());
  EXPECT_THAT(Breaches(before, Today()),
              ElementsAre(HasSubstr(".gone: is reserved no more"), HasSubstr(" = 500: is reserved no more")));
}

TEST_F(BreachTest, MessagesEnumsServicesAndFiles) {
  EXPECT_THAT(After([](FileDescriptorProto& file) { Find(file, "RosterItem").set_name("Contact"); }),
              ElementsAre("rookery.roster.v1.RosterItem: is gone"));
  EXPECT_THAT(
      After([](FileDescriptorProto& file) { file.mutable_enum_type(0)->mutable_value(1)->set_number(50); }),
      ElementsAre(HasSubstr("another number")));
  EXPECT_THAT(
      After([](FileDescriptorProto& file) { file.mutable_enum_type(0)->mutable_value(1)->set_name("X"); }),
      ElementsAre(HasSubstr("is gone")));
  EXPECT_THAT(After([](FileDescriptorProto& file) {
                file.mutable_service(0)->mutable_method(0)->set_server_streaming(true);
              }),
              ElementsAre("rookery.roster.v1.RosterService.GetRoster: asks or answers something else"));
  EXPECT_THAT(After([](FileDescriptorProto& file) { file.mutable_service(0)->set_name("ContactService"); }),
              ElementsAre("rookery.roster.v1.RosterService: is gone"));
  EXPECT_THAT(After([](FileDescriptorProto& file) { file.set_name("elsewhere.proto"); }),
              ElementsAre("rookery/roster/v1/roster_service.proto: is gone"));
}

}  // namespace
}  // namespace rookery::contract
