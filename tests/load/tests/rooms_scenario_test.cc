#include "fake_muc.h"
#include "gmock/gmock.h"
#include "scenarios.h"

namespace rookery::load {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Two rooms with three occupants each for one second.
class RoomsScenarioTest : public ::testing::Test {
 protected:
  RoomsScenarioTest() {
    common_.addresses = {muc_.address()};
    common_.status_command = "none";
    common_.keys_file = "/nonexistent/keys";
    common_.quiet = true;
    common_.duration = 1;
    common_.warm_up = 0;
    options_.rooms = 2;
    options_.occupants = 3;
    options_.senders = 2;
    options_.settle = std::chrono::milliseconds(20);
  }

  /// Runs it, and returns what it prints.
  std::string Measure() {
    EXPECT_TRUE(run_.Prepare(6).ok());
    MeasureRooms(run_, options_);
    testing::internal::CaptureStdout();
    run_.report().Print(true);
    return testing::internal::GetCapturedStdout();
  }

  CommonOptions common_;
  load::Run run_{common_};
  FakeMuc muc_{run_.io()};
  RoomsOptions options_;
};

TEST_F(RoomsScenarioTest, OpenLoop) {
  options_.rate = 40;
  const std::string report = Measure();
  EXPECT_THAT(run_.report().faults(), IsEmpty());
  EXPECT_EQ(muc_.rooms(), 2u);
  EXPECT_THAT(report, HasSubstr("\"messages said\": 40, \"deliveries\": 120, "));
  EXPECT_THAT(report, HasSubstr("\"presences missing\": 0, \"entries refused\": 0, "));
}

TEST_F(RoomsScenarioTest, ClosedLoop) {
  options_.window = 2;
  const std::string report = Measure();
  EXPECT_THAT(run_.report().faults(), IsEmpty());
  EXPECT_THAT(report, HasSubstr("\"deliveries lost\": 0, "));
  // More than what four senders say unasked.
  EXPECT_THAT(report, Not(HasSubstr("\"messages said\": 8, ")));
}

TEST_F(RoomsScenarioTest, WhomTheRoomsDoNotShowIsNotMissing) {
  options_.rate = 40;
  options_.presence_broadcast = {"moderator"};
  const std::string report = Measure();
  EXPECT_THAT(run_.report().faults(), IsEmpty());
  EXPECT_THAT(report, HasSubstr("\"presences missing\": 0, \"entries refused\": 0, "));
}

TEST(Rooms, TellOfThoseWhoAreShown) {
  RoomsOptions options;
  options.occupants = 100;
  EXPECT_EQ(PresencesIn(options), 100u * 100);
  options.quiet_above = 60;
  EXPECT_EQ(PresencesIn(options), 60u * 100 + 40);
  options.presence_broadcast = {"moderator", "participant"};
  EXPECT_EQ(PresencesIn(options), 100u * 100);
  options.presence_broadcast = {"moderator"};
  EXPECT_EQ(PresencesIn(options), 100u + 99);
  options.presence_broadcast = {"none"};
  EXPECT_EQ(PresencesIn(options), 100u);
}

TEST_F(RoomsScenarioTest, WhatOneOccupantHearsWrongIsAFault) {
  options_.rate = 40;
  std::string held;
  muc_.deliver = [&](FakeMuc::Peer& to, const std::string& stanza) {
    if (to.user == "load4" && to.heard == 3) return;
    if (to.user == "load1" && to.heard == 10) return void(held = stanza);
    to.connection->Write(stanza);
    if (to.user == "load1" && to.heard == 11) to.connection->Write(held);
    if (to.user == "load2" && to.heard == 5) to.connection->Write(stanza);
  };
  // Lost deliveries are waited for.
  common_.timeout = 3;
  Measure();
  EXPECT_THAT(run_.report().faults(),
              ElementsAre("1 deliveries lost", "1 delivered twice",
                          "1 delivered in another order than elsewhere", HasSubstr("occupant 1 heard ")));
}

TEST_F(RoomsScenarioTest, ARefusedMessageIsAFaultAndNotALoss) {
  options_.rate = 40;
  muc_.refused_body = "1 7 ";
  const std::string report = Measure();
  EXPECT_THAT(report, HasSubstr("\"deliveries\": 117, \"deliveries lost\": 0, "));
  EXPECT_THAT(run_.report().faults(),
              ElementsAre("1 answered with an error", HasSubstr("resource-constraint")));
}

TEST_F(RoomsScenarioTest, WhoMayNotEnterIsAFault) {
  options_.rate = 40;
  muc_.refusal = "service-unavailable";
  Measure();
  EXPECT_THAT(run_.report().faults(), Contains("4 entries refused"));
  EXPECT_THAT(run_.report().faults(), Contains(HasSubstr("<service-unavailable/>")));
}

}  // namespace
}  // namespace rookery::load
