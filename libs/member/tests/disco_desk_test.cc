#include "rookery/member/disco_desk.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace rookery::member {
namespace {

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

  std::set<std::string, std::less<>> others;  // the addresses whose shards others own
  DiscoDesk desk{Rooms(), [this](std::string_view address) { return !others.contains(address); }};
};

TEST_F(DiscoDeskTest, TheComponentSaysWhatItIsAndHasNoItems) {
  const auto info = Info("conference.example.org");
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->identities(0).category(), "conference");
  EXPECT_EQ(info->features(0), "feature");
  EXPECT_EQ(Items("conference.example.org"), absl::StatusCode::kOk);
}

TEST_F(DiscoDeskTest, OnlyTheOwnerOfTheAddressesShardAnswers) {
  others = {"conference.example.org"};
  EXPECT_EQ(Info("conference.example.org").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Items("conference.example.org"), absl::StatusCode::kFailedPrecondition);
  others = {"conference.localhost"};
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
}  // namespace rookery::member
