// Messages that an older version of us has written are read with their meaning, and those that we write today
// are what it would have written.
#include "golden.h"

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

#include "catalogue.h"
#include "rookery/events/v1/user_record.pb.h"

namespace rookery::contract {
namespace {

std::vector<Golden> All() { return ReadGoldens(Directory() + "/golden"); }

class GoldenTest : public testing::TestWithParam<Golden> {};

TEST_P(GoldenTest, MeansTheSameAndIsWrittenTheSame) { EXPECT_EQ(Check(GetParam()), ""); }

INSTANTIATE_TEST_SUITE_P(All, GoldenTest, testing::ValuesIn(All()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
});

TEST(Golden, EveryFieldOfWhatCrossesAProcessIsInOne) {
  const std::vector<Golden> goldens = All();
  for (const auto* type : Roots()) {
    for (const std::size_t variant : MissingVariants(*type, goldens))
      ADD_FAILURE() << VariantName(*type, variant)
                    << " has fields that no golden has: run tests/contract/update";
  }
}

TEST(Golden, OneVariantForEachCase) {
  const auto& record = *events::v1::UserRecord::descriptor();
  ASSERT_EQ(VariantCount(record), 10u);
  std::set<std::string> fields;
  for (std::size_t variant = 0; variant < VariantCount(record); ++variant) {
    const auto message = MakeVariant(record, variant);
    fields.merge(FieldsOf(*message));
  }
  for (const char* name : {"UserRecord.fence", "UserRecord.account_removed", "Origin.client",
                           "LogOrigin.part", "Fanout.recipients", "SentCopy.stanza", "Outbound.stanza"})
    EXPECT_TRUE(fields.contains(std::string("rookery.events.v1.") + name)) << name;
  EXPECT_TRUE(fields.contains("rookery.common.v1.Stanza.payload_namespace"));
  EXPECT_EQ(VariantName(record, 1), "rookery.events.v1.UserRecord-delivery");
}

TEST(Golden, CheckTellsWhatIsWrong) {
  const google::protobuf::LogSilencer silencer;
  const auto& record = *events::v1::UserRecord::descriptor();
  const Golden good = MakeGolden("g", *MakeVariant(record, 0));
  EXPECT_EQ(Check(good), "");

  Golden golden = good;
  golden.type = "rookery.events.v1.Nothing";
  EXPECT_NE(Check(golden), "");
  golden = good;
  golden.bytes.pop_back();
  EXPECT_NE(Check(golden), "");
  golden = good;
  golden.bytes += "\xa0\x1f\x01";  // field 500
  EXPECT_NE(Check(golden).find("unknown"), std::string::npos) << Check(golden);
  golden = good;
  golden.text.replace(golden.text.find("trace_id"), 8, "no_field");
  EXPECT_NE(Check(golden).find("text"), std::string::npos) << Check(golden);
  golden = good;
  golden.text = MakeGolden("g", *MakeVariant(record, 1)).text;
  EXPECT_NE(Check(golden).find("something else"), std::string::npos) << Check(golden);
}

TEST(Golden, AFieldMoreNeedsOneMore) {
  const auto& record = *events::v1::UserRecord::descriptor();
  const std::size_t all = static_cast<std::size_t>(VariantCount(record));
  std::vector<Golden> goldens;
  EXPECT_EQ(MissingVariants(record, goldens).size(), all);
  events::v1::UserRecord poor;
  poor.mutable_fence()->set_shard(1);
  goldens.push_back(MakeGolden(VariantName(record, 0), poor));
  EXPECT_EQ(MissingVariants(record, goldens).size(), all);
  goldens.push_back(MakeGolden(VariantName(record, 0) + ".2", *MakeVariant(record, 0)));
  EXPECT_EQ(MissingVariants(record, goldens).size(), all - 1);
}

}  // namespace
}  // namespace rookery::contract
