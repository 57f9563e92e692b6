#include "protocols/admission.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "fake_connection.h"

namespace rookery::gateway {
namespace {

using std::chrono::milliseconds;

TEST(AdmissionControl, AsManyAsAreAlwaysAllowed) {
  AdmissionControl control({milliseconds(50), 3});
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(control.MayAdmit());
    control.Admitted();
  }
  EXPECT_FALSE(control.MayAdmit());
  control.Finished();
  EXPECT_TRUE(control.MayAdmit());
}

TEST(AdmissionControl, MoreWhileTheThreadIsOnTimeAndOthersWait) {
  AdmissionControl control({milliseconds(50), 4});
  for (int i = 0; i < 4; ++i) control.Admitted();
  control.OnMeasured(milliseconds(1), /*waiting=*/true);
  EXPECT_GT(control.limit(), 4u);
  // Not while what is allowed is not used.
  const std::size_t limit = control.limit();
  control.OnMeasured(milliseconds(1), true);
  EXPECT_EQ(control.limit(), limit);
}

TEST(AdmissionControl, FewerWhileTheThreadIsLateButNeverNone) {
  AdmissionControl control({milliseconds(50), 4});
  while (control.limit() < 100) {
    while (control.MayAdmit()) control.Admitted();
    control.OnMeasured(milliseconds(1), true);
  }
  control.OnMeasured(milliseconds(51), true);
  EXPECT_LT(control.limit(), control.under_way());
  EXPECT_FALSE(control.MayAdmit());
  for (int i = 0; i < 50; ++i) control.OnMeasured(milliseconds(1000), true);
  EXPECT_EQ(control.limit(), 4u);
}

TEST(AdmissionControl, WhatWasLearntInOneStormIsForgottenBeforeTheNext) {
  AdmissionControl control({milliseconds(50), 4});
  while (control.limit() < 100) {
    while (control.MayAdmit()) control.Admitted();
    control.OnMeasured(milliseconds(1), true);
  }
  while (control.under_way() > 0) control.Finished();
  control.OnMeasured(milliseconds(1), /*waiting=*/false);
  EXPECT_TRUE(control.is_at_rest());
}

class AdmissionTest : public testing::Test {
 protected:
  Admission::Options Options() {
    Admission::Options options;
    options.control.min_under_way = 2;
    // The loop is always late: the limit stays where it is, whatever the machine does.
    options.control.max_loop_lag = milliseconds(0);
    options.max_waiting = 4;
    options.max_unauthenticated_per_address = 3;
    return options;
  }
  void Make(const Admission::Options& options) {
    admission_ = std::make_unique<Admission>(io_, options, metrics_);
    admission_->OnFull([this](bool full) { told_.push_back(full); });
  }
  FakeConnection::State& Arrive(const std::string& peer = "") {
    FakeConnection::State& state = *states_.emplace_back(std::make_unique<FakeConnection::State>());
    state.peer = peer.empty() ? "192.0.2." + std::to_string(states_.size()) : peer;
    admission_->Arrive(std::make_unique<FakeConnection>(state), begin_);
    return state;
  }
  /// Everything that can be done now; timers do not count.
  void Settle() {
    io_.restart();
    io_.poll();
  }

  asio::io_context io_;
  telemetry::Metrics metrics_{"admission_test"};
  std::vector<std::unique_ptr<FakeConnection::State>> states_;
  std::vector<std::string> begun_;
  std::vector<Admission::Ticket> tickets_;
  std::vector<bool> told_;
  const Admission::Begin begin_ = [this](std::unique_ptr<net::Connection> connection,
                                         Admission::Ticket ticket) {
    begun_.push_back(connection->peer_address());
    tickets_.push_back(std::move(ticket));
  };
  std::unique_ptr<Admission> admission_;
};

TEST_F(AdmissionTest, WhatCannotBeginWaitsInOrderAndBeginsWhenAnotherHasFinished) {
  Make(Options());
  for (int i = 0; i < 4; ++i) Arrive();
  EXPECT_EQ(begun_, (std::vector<std::string>{"192.0.2.1", "192.0.2.2"}));
  EXPECT_EQ(admission_->waiting(), 2u);
  tickets_[0].Release();
  Settle();
  ASSERT_EQ(begun_.size(), 3u);
  EXPECT_EQ(begun_[2], "192.0.2.3");
  // A connection that waits for its client makes room too, and only once.
  tickets_[1].Idle();
  tickets_[1].Idle();
  tickets_[1].Release();
  Settle();
  EXPECT_EQ(begun_.size(), 4u);
  EXPECT_EQ(admission_->under_way(), 2u);
}

TEST_F(AdmissionTest, NobodyOvertakesThoseThatWait) {
  Make(Options());
  for (int i = 0; i < 3; ++i) Arrive();
  tickets_[0].Release();
  // Room, but the third has not had its turn of the loop yet.
  Arrive();
  EXPECT_EQ(begun_.size(), 2u);
  Settle();
  EXPECT_EQ(begun_.back(), "192.0.2.3");
}

TEST_F(AdmissionTest, WhoHasGivenUpMeanwhileIsNotBegunWith) {
  Make(Options());
  for (int i = 0; i < 2; ++i) Arrive();
  Arrive().peer_closed = true;
  Arrive();
  tickets_[0].Release();
  Settle();
  ASSERT_EQ(begun_.size(), 3u);
  EXPECT_EQ(begun_[2], "192.0.2.4");
  EXPECT_EQ(admission_->waiting(), 0u);
}

TEST_F(AdmissionTest, TheListenersPauseWhileTooManyWait) {
  Make(Options());
  for (int i = 0; i < 6; ++i) Arrive();
  EXPECT_EQ(told_, std::vector<bool>{true});
  tickets_[0].Release();
  Settle();
  EXPECT_EQ(told_, std::vector<bool>{true});
  tickets_[1].Release();
  Settle();
  EXPECT_EQ(told_, (std::vector<bool>{true, false}));
}

TEST_F(AdmissionTest, OneAddressHoldsABoundedNumberThatAreNotSignedIn) {
  Make(Options());
  for (int i = 0; i < 3; ++i) {
    Arrive("2001:db8::/64");
    tickets_.back().Idle();
  }
  Arrive("2001:db8::/64");
  EXPECT_EQ(begun_.size(), 3u);
  Arrive("192.0.2.1");
  EXPECT_EQ(begun_.size(), 4u);
  tickets_[0].Release();
  Arrive("2001:db8::/64");
  EXPECT_EQ(begun_.size(), 5u);
}

TEST_F(AdmissionTest, OneNetworkDoesNotHoldUpOthers) {
  Admission::Options options = Options();
  options.max_waiting = 1000;
  options.max_unauthenticated_per_address = 0;
  Make(options);
  for (int i = 0; i < 102; ++i) Arrive("2001:db8::/64");
  Arrive("192.0.2.1");
  Arrive("192.0.2.2");
  begun_.clear();
  for (int i = 0; i < 6; ++i) {
    tickets_[static_cast<std::size_t>(i)].Release();
    Settle();
  }
  EXPECT_EQ(begun_, (std::vector<std::string>{"2001:db8::/64", "192.0.2.1", "192.0.2.2", "2001:db8::/64",
                                              "2001:db8::/64", "2001:db8::/64"}));
  EXPECT_EQ(admission_->waiting(), 96u);
}

TEST_F(AdmissionTest, OneNetworkDoesNotTakeAllPlacesToWait) {
  Admission::Options options = Options();
  options.max_waiting = 20;
  Make(options);
  for (int i = 0; i < 50; ++i) Arrive("2001:db8::/64");
  EXPECT_EQ(admission_->waiting(), 10u);
  EXPECT_TRUE(told_.empty());
  // Others wait all the same, each as many as may be not signed in.
  for (int i = 0; i < 50; ++i) Arrive("192.0.2.1");
  EXPECT_EQ(admission_->waiting(), 13u);
  Arrive("192.0.2.2");
  EXPECT_EQ(admission_->waiting(), 14u);
  EXPECT_TRUE(told_.empty());
}

TEST_F(AdmissionTest, ATicketMayOutliveTheAdmission) {
  Make(Options());
  for (int i = 0; i < 3; ++i) Arrive();
  admission_.reset();
  tickets_.clear();
  Settle();
  EXPECT_EQ(begun_.size(), 2u);
}

}  // namespace
}  // namespace rookery::gateway
