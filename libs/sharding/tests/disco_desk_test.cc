#include "rookery/sharding/disco_desk.h"

#include <gtest/gtest.h>

#include <optional>

#include "rookery/base/shard.h"

namespace rookery::sharding {
namespace {

constexpr std::uint32_t kShards = 8;

class DiscoDeskTest : public testing::Test {
 protected:
  static disco::v1::GetDiscoInfoResponse Rooms() {
    disco::v1::GetDiscoInfoResponse info;
    info.add_identities()->set_category("conference");
    info.add_features("feature");
    return info;
  }
  absl::StatusOr<disco::v1::GetDiscoInfoResponse> Info(const std::string& jid, const std::string& node = "") {
    disco::v1::GetDiscoInfoRequest request;
    request.set_jid(jid);
    request.set_node(node);
    return desk.Info(request);
  }
  absl::StatusCode Items(const std::string& jid, const std::string& node = "") {
    disco::v1::ListDiscoItemsRequest request;
    request.set_jid(jid);
    request.set_node(node);
    return desk.Items(request).status().code();
  }

  std::optional<std::uint32_t> owned;  // nothing: all of them
  DiscoDesk desk{kShards, Rooms(), [this](std::uint32_t shard) { return !owned || *owned == shard; }};
};

TEST_F(DiscoDeskTest, TheComponentSaysWhatItIsAndHasNoItems) {
  const auto info = Info("conference.example.org");
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->identities(0).category(), "conference");
  EXPECT_EQ(info->features(0), "feature");
  EXPECT_EQ(Items("conference.example.org"), absl::StatusCode::kOk);
}

TEST_F(DiscoDeskTest, OnlyTheOwnerOfTheAddressesShardAnswers) {
  const std::uint32_t shard = ShardOf("conference.example.org", kShards);
  owned = (shard + 1) % kShards;
  EXPECT_EQ(Info("conference.example.org").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Items("conference.example.org"), absl::StatusCode::kFailedPrecondition);
  owned = shard;
  EXPECT_TRUE(Info("conference.example.org").ok());
  EXPECT_EQ(Items("conference.example.org"), absl::StatusCode::kOk);
}

TEST_F(DiscoDeskTest, NodesRoomsAndNobodyAreUnknown) {
  EXPECT_EQ(Info("conference.example.org", "node").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Items("conference.example.org", "node"), absl::StatusCode::kNotFound);
  EXPECT_EQ(Info("room@conference.example.org").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Items("conference.example.org/nick"), absl::StatusCode::kNotFound);
  EXPECT_EQ(Info("").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace rookery::sharding
