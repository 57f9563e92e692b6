// A client resumes a session whose gateway comes late, or does not come (SL5).
#include "late_attach.h"

namespace rookery::session_manager {
namespace {

using session::v1::END_REASON_CONNECTION_LOST;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LateResumptionTest : public LateAttachTest {
 protected:
  // Bob's client has left his gateway, which is registered and has not brought his session.
  LateResumptionTest() {
    Say("m1", bob_);
    MoveWithoutIt();
    for (auto& node : nodes_) node->membership.gateways.push_back("gw-2");
    late_.End(*bob, END_REASON_CONNECTION_LOST);
    resumed = &gateway_.Resume(*bob, 1);
    Settle();
    EXPECT_THAT(resumed->resume_answers, IsEmpty());
  }
  void ExpectRefused() {
    ASSERT_EQ(resumed->resume_answers.size(), 1u);
    EXPECT_TRUE(resumed->resume_answers[0].has_failure());
  }
  Client* resumed = nullptr;
};

TEST_F(LateResumptionTest, SL5_TheGatewayBringsIt_Resumed) {
  late_.Link(node(2));
  Settle();
  EXPECT_EQ(resumed->resume_answers.size(), 1u);
  EXPECT_TRUE(resumed->started);
  EXPECT_FALSE(resumed->ended);
  EXPECT_THAT(bob->MessageIds(), ElementsAre("m1"));
}

TEST_F(LateResumptionTest, SL5_TheGatewayHasIt_OfTwoAttemptsTheNewerCounts) {
  Client& again = gateway_.Resume(*bob, 1);
  Settle();
  late_.Link(node(2));
  Settle();
  EXPECT_TRUE(again.started);
  EXPECT_THAT(resumed->resume_answers, IsEmpty());
}

TEST_F(LateResumptionTest, SL5_TheGatewayDoesNotHaveIt_Refused) {
  bob->forgotten = true;
  late_.Link(node(2));
  Settle();
  ExpectRefused();
}

TEST_F(LateResumptionTest, SL5_TheGatewayIsRegisteredNoMore_Refused) {
  for (auto& node : nodes_) std::erase(node->membership.gateways, "gw-2");
  Elapse(std::chrono::seconds(1));
  ExpectRefused();
}

TEST_F(LateResumptionTest, SL5_TheGatewayDoesNotCome_RefusedInTime) {
  Elapse(std::chrono::seconds(8));
  EXPECT_THAT(resumed->resume_answers, IsEmpty());
  Elapse(std::chrono::seconds(3));
  ExpectRefused();
}

TEST_F(LateAttachTest, SL12_WhatCameMeanwhile_IsGivenWhenItsClientIsBack) {
  Say("m1", bob_);
  late_.End(*bob, END_REASON_CONNECTION_LOST);
  MoveWithoutIt();
  Say("m2", bob_);
  ItComes();
  Client& resumed = gateway_.Resume(*bob, 1);
  Settle();
  Elapse(std::chrono::seconds(1));
  ASSERT_TRUE(resumed.started);
  EXPECT_THAT(resumed.MessageIds(), ElementsAre("m1", "m2"));
  EXPECT_EQ(database_.Waiting(bob_), 0u);
}

}  // namespace
}  // namespace rookery::session_manager
