#include "domain/room/pace.h"

#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PaceTest : public Coven {
 protected:
  PaceTest() { config().set_slow_mode_seconds(20); }
  Said Say(std::string_view from) { return Groupchat(from, "<body>hi</body>"); }
  static auto IsTooSoon(std::string_view from) { return IsError(from, "wait", "policy-violation"); }
};

// XEP-0500 section 6.
TEST_F(PaceTest, ASecondMessageThatComesTooSoonIsRefused) {
  EXPECT_THAT(Say(kHag), SizeIs(3));
  const Said refused = Say(kHag);
  EXPECT_THAT(refused, IsTooSoon(kHag));
  EXPECT_THAT(refused[0], AllOf(HasSubstr("<text xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\""),
                                HasSubstr("20 seconds")));
  EXPECT_THAT(room().history(), SizeIs(1));
  driver_.Pass(19'999);
  EXPECT_THAT(Say(kHag), IsTooSoon(kHag));
  driver_.Pass(1);
  EXPECT_THAT(Say(kHag), SizeIs(3));
}

TEST_F(PaceTest, EachOccupantHasATimeOfTheirOwn) {
  EXPECT_THAT(Say(kHag), SizeIs(3));
  EXPECT_THAT(Say(kWicca), SizeIs(3));
}

// "Only messages containing at least one <body/>".
TEST_F(PaceTest, MessagesWithoutABodyDoNotCount) {
  const std::string_view composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
  EXPECT_THAT(Groupchat(kHag, composing), SizeIs(3));
  EXPECT_THAT(Say(kHag), SizeIs(3));
  EXPECT_THAT(Groupchat(kHag, composing), SizeIs(3));
}

// "Room administrators and owners MUST NOT be rate limited."
TEST_F(PaceTest, ModeratorsAndAdminsAreExempt) {
  Affiliate("wiccarocks@example.org", v1::AFFILIATION_ADMIN);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Say(kCrone), SizeIs(3));
    EXPECT_THAT(Say(kWicca), SizeIs(3));
  }
  SetRoleOf("thirdwitch", v1::ROLE_MODERATOR);
  EXPECT_THAT(Say(kHag), SizeIs(3));
  EXPECT_THAT(Say(kHag), SizeIs(3));
  Affiliate("hag66@example.org", v1::AFFILIATION_MEMBER);
  SetRoleOf("thirdwitch", v1::ROLE_PARTICIPANT);
  EXPECT_THAT(Say(kHag), IsTooSoon(kHag));
}

// "two consecutive messages from the same user".
TEST_F(PaceTest, LeavingAndEnteringAgainDoesNotHelp) {
  EXPECT_THAT(Say(kHag), SizeIs(3));
  room().RemoveSession(kHag);
  Put("newhag", kHag);
  EXPECT_THAT(Say(kHag), IsTooSoon(kHag));
  Put("otherhag", "hag66@example.org/phone");
  EXPECT_THAT(Say("hag66@example.org/phone"), IsTooSoon("hag66@example.org/phone"));
}

TEST_F(PaceTest, WithoutAHistoryAnOccupantStillWaits) {
  config().set_max_history_fetch(0);
  EXPECT_THAT(Say(kHag), SizeIs(3));
  EXPECT_THAT(Say(kHag), IsTooSoon(kHag));
}

TEST_F(PaceTest, NobodyWaitsForWhatAnotherClockSaysOfTheFuture) {
  EXPECT_THAT(Say(kHag), SizeIs(3));
  driver_.Pass(-3'600'000);
  EXPECT_THAT(Say(kHag), SizeIs(3));
}

TEST_F(PaceTest, ARefusedMessageDoesNotBeginTheTimeAgain) {
  Say(kHag);
  driver_.Pass(15'000);
  EXPECT_THAT(Say(kHag), IsTooSoon(kHag));
  driver_.Pass(5'000);
  EXPECT_THAT(Say(kHag), SizeIs(3));
}

TEST_F(PaceTest, TheLongestTimeRefusesNoFirstMessage) {
  config().set_slow_mode_seconds(4'000'000'000u);
  EXPECT_THAT(Say(kHag), SizeIs(3));
  EXPECT_THAT(Say(kHag), IsTooSoon(kHag));
}

TEST_F(PaceTest, WithoutSlowModeNothingIsRefused) {
  config().set_slow_mode_seconds(0);
  EXPECT_THAT(Say(kHag), SizeIs(3));
  EXPECT_THAT(Say(kHag), SizeIs(3));
  EXPECT_EQ(room().FindNick("thirdwitch")->last_message_at_ms(), 0);
}

}  // namespace
}  // namespace rookery::muc
