// Counts of an account: with all its nicks, also when it has gone.
#include "domain/room/counts.h"

#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::Not;
using ::testing::SizeIs;

class CountsTest : public Coven {
 protected:
  CountsTest() { settings().max_requests = 2; }
  Said Invite(std::string_view from) {
    return ToRoom(from,
                  "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='hecate@example.org'/></x>");
  }
  void Leave(std::string_view from) {
    driver_.Apply("<presence type='unavailable' from='" + std::string(from) +
                  "' to='coven@conference.example.org/x'/>");
  }
  Said Enter(std::string_view from, std::string_view nick) {
    return driver_.Apply("<presence from='" + std::string(from) + "' to='coven@conference.example.org/" +
                         std::string(nick) + "'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
  }
  static auto IsTooMuch(std::string_view to) { return IsError(to, "wait", "policy-violation"); }
};

TEST_F(CountsTest, AnotherNickHasNoRequestsOfItsOwn) {
  Put("otherhag", "hag66@example.org/phone");
  EXPECT_THAT(Invite(kHag), SizeIs(1));
  EXPECT_THAT(Invite("hag66@example.org/phone"), SizeIs(1));
  EXPECT_THAT(Invite(kHag), IsTooMuch(kHag));
  EXPECT_THAT(Invite("hag66@example.org/phone"), IsTooMuch("hag66@example.org/phone"));
}

TEST_F(CountsTest, LeavingAndEnteringGivesNoNewRequests) {
  EXPECT_THAT(Invite(kHag), SizeIs(1));
  EXPECT_THAT(Invite(kHag), SizeIs(1));
  Leave(kHag);
  Enter(kHag, "thirdwitch");
  EXPECT_THAT(Invite(kHag), IsTooMuch(kHag));
  Leave(kHag);
  Enter(kHag, "otherhag");
  EXPECT_THAT(Invite(kHag), IsTooMuch(kHag));
  driver_.Pass(settings().changes_period.count());
  EXPECT_THAT(Invite(kHag), SizeIs(1));
}

TEST_F(CountsTest, TwoNicksThatBecomeOneForgetNothing) {
  Put("anotherhag", "hag66@example.org/phone");
  EXPECT_THAT(Invite(kHag), SizeIs(1));
  EXPECT_THAT(Invite(kHag), SizeIs(1));
  driver_.Apply("<presence from='hag66@example.org/phone' to='coven@conference.example.org/thirdwitch'/>");
  ASSERT_EQ(room().FindAccount("hag66@example.org").size(), 1u);
  EXPECT_THAT(Invite(kHag), IsTooMuch(kHag));
}

// Messages that are not in the history are slowed down, too.
TEST_F(CountsTest, SlowModeHoldsForWhatIsNotStoredAndForWhoComesBack) {
  config().set_slow_mode_seconds(20);
  const auto whisper = [&](std::string_view from) {
    return Groupchat(from, "<body>hi</body><no-store xmlns='urn:xmpp:hints'/>");
  };
  EXPECT_THAT(whisper(kHag), SizeIs(3));
  EXPECT_THAT(room().history(), SizeIs(0));
  Leave(kHag);
  Enter(kHag, "thirdwitch");
  EXPECT_THAT(whisper(kHag), IsTooMuch(kHag));
  Put("otherhag", "hag66@example.org/phone");
  EXPECT_THAT(whisper("hag66@example.org/phone"), IsTooMuch("hag66@example.org/phone"));
  Leave(kHag);
  Leave("hag66@example.org/phone");
  driver_.Pass(20'000);
  Enter(kHag, "thirdwitch");
  EXPECT_THAT(whisper(kHag), SizeIs(3));
}

// The process that a client was on had a clock that was an hour ahead.
TEST_F(CountsTest, ABeginningInTheFutureIsNone) {
  settings().max_changes = 2;
  driver_.Pass(3'600'000);
  Invite(kHag);
  Invite(kHag);
  EXPECT_THAT(Invite(kHag), IsTooMuch(kHag));
  Leave(kHag);
  Enter(kHag, "thirdwitch");
  Enter(kHag, "thirdwitch");
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsError(kHag, "wait", "resource-constraint"));
  driver_.Pass(-3'600'000);
  EXPECT_THAT(Invite(kHag), SizeIs(1));
  EXPECT_THAT(Enter(kHag, "thirdwitch"), Not(IsError(kHag, "wait", "resource-constraint")));
}

// Clocks differ a little: that gives nobody twice as much.
TEST_F(CountsTest, ALittleAheadIsABeginning) {
  driver_.Pass(1'000);
  Invite(kHag);
  Invite(kHag);
  driver_.Pass(-1'000);
  EXPECT_THAT(Invite(kHag), IsTooMuch(kHag));
}

}  // namespace
}  // namespace rookery::muc
