#include "domain/reading_gate.h"

#include <gtest/gtest.h>

#include <memory>

#include "domain/client_session.h"

namespace rookery::gateway {
namespace {

class ReadingGateTest : public ::testing::Test {
 protected:
  static std::unique_ptr<ClientSession> Make() {
    return std::make_unique<ClientSession>(SessionId::Random(), "romeo@example.com/orchard");
  }
  static void Enter(ReadingGate& gate, const std::unique_ptr<ClientSession>& session) {
    gate.Enter(*session, session->waiting);
  }
  // They outlive the sessions.
  ReadingGate gate_;
  ReadingGate other_;
  std::unique_ptr<ClientSession> one_ = Make();
  std::unique_ptr<ClientSession> two_ = Make();
  std::unique_ptr<ClientSession> three_ = Make();
};

TEST_F(ReadingGateTest, SessionsStandInTheOrderInWhichTheyCame) {
  EXPECT_TRUE(gate_.empty());
  for (const auto* session : {&two_, &one_, &three_}) Enter(gate_, *session);
  for (const auto* session : {&two_, &one_, &three_}) {
    ASSERT_FALSE(gate_.empty());
    EXPECT_EQ(&gate_.first(), session->get());
    (*session)->waiting.Leave();
  }
  EXPECT_TRUE(gate_.empty());
}

TEST_F(ReadingGateTest, WhoComesAgainKeepsItsPlace_WhoHasLeftDoesNot) {
  Enter(gate_, one_);
  Enter(gate_, two_);
  Enter(gate_, one_);
  EXPECT_EQ(gate_.size(), 2u);
  EXPECT_EQ(&gate_.first(), one_.get());
  one_->waiting.Leave();
  one_->waiting.Leave();
  Enter(gate_, one_);
  EXPECT_EQ(gate_.size(), 2u);
  EXPECT_EQ(&gate_.first(), two_.get());
}

TEST_F(ReadingGateTest, WhoGoesToAnotherGateLeavesThisOne) {
  Enter(gate_, one_);
  Enter(gate_, two_);
  Enter(other_, one_);
  EXPECT_EQ(gate_.size(), 1u);
  EXPECT_EQ(&gate_.first(), two_.get());
  ASSERT_EQ(other_.size(), 1u);
  EXPECT_EQ(&other_.first(), one_.get());
}

TEST_F(ReadingGateTest, WhoDiesWhileItWaits_IsGone) {
  for (const auto* session : {&one_, &two_, &three_}) Enter(gate_, *session);
  two_.reset();
  EXPECT_EQ(gate_.size(), 2u);
  one_.reset();
  ASSERT_EQ(gate_.size(), 1u);
  EXPECT_EQ(&gate_.first(), three_.get());
  three_.reset();
  EXPECT_TRUE(gate_.empty());
}

}  // namespace
}  // namespace rookery::gateway
