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

// ---- rooms.max-stanzas

class TalkTest : public Coven {
 protected:
  TalkTest() {
    settings().max_stanzas = 4;
    Affiliate("hag66@example.org", v1::AFFILIATION_MEMBER);
  }
  Said Say(std::string_view from) { return Groupchat(from, "<body>hi</body>"); }
  Said Whisper(std::string_view from) {
    return Send(from, "chat", "<body>hi</body>", "coven@conference.example.org/firstwitch");
  }
  Said Show(std::string_view from, std::string_view nick) {
    return driver_.Apply("<presence from='" + std::string(from) + "' to='coven@conference.example.org/" +
                         std::string(nick) + "'><show>away</show></presence>");
  }
  Said Ask(std::string_view from, std::string_view nick) {
    return driver_.Apply("<iq type='get' id='1' from='" + std::string(from) +
                         "' to='coven@conference.example.org/" + std::string(nick) +
                         "'><ping xmlns='urn:xmpp:ping'/></iq>");
  }
  void Enter(std::string_view from, std::string_view nick) {
    driver_.Apply("<presence from='" + std::string(from) + "' to='coven@conference.example.org/" +
                  std::string(nick) + "'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
  }
  void Leave(std::string_view from) {
    driver_.Apply("<presence type='unavailable' from='" + std::string(from) +
                  "' to='coven@conference.example.org/x'/>");
  }
  static auto IsTooFast(std::string_view from) { return IsError(from, "wait", "policy-violation"); }
};

TEST_F(TalkTest, WhatOthersHearOfIsCountedWhateverItIs) {
  EXPECT_THAT(Say(kHag), SizeIs(3));
  EXPECT_THAT(Whisper(kHag), SizeIs(1));
  EXPECT_THAT(Show(kHag, "thirdwitch"), SizeIs(3));
  EXPECT_THAT(Ask(kHag, "firstwitch"), SizeIs(1));
  driver_.Pass(settings().changes_period.count() - 1);
  EXPECT_THAT(Say(kHag), IsTooFast(kHag));
  EXPECT_THAT(Whisper(kHag), IsTooFast(kHag));
  EXPECT_THAT(Show(kHag, "thirdwitch"), IsTooFast(kHag));
  EXPECT_THAT(Ask(kHag, "firstwitch"), IsTooFast(kHag));
  EXPECT_THAT(Groupchat(kHag, "<x xmlns='urn:example'/>"), IsTooFast(kHag));
  // What only the room answers is none of it, nor is it refused to go.
  EXPECT_THAT(Ask(kHag, "thirdwitch"), ::testing::ElementsAre(HasSubstr("type=\"result\"")));
  EXPECT_THAT(Say(kWicca), SizeIs(3));
  driver_.Pass(1);
  EXPECT_THAT(Say(kHag), SizeIs(3));
  for (int i = 0; i < 3; ++i) Say(kHag);
  EXPECT_THAT(Say(kHag), IsTooFast(kHag));
  Leave(kHag);
  EXPECT_EQ(room().FindNick("thirdwitch"), nullptr);
}

TEST_F(TalkTest, NobodyIsExempt) {
  for (int i = 0; i < 4; ++i) EXPECT_THAT(Say(kCrone), SizeIs(3));
  EXPECT_THAT(Say(kCrone), IsTooFast(kCrone));
}

TEST_F(TalkTest, NeitherComingBackNorAnotherNickBeginsAnew) {
  for (int i = 0; i < 4; ++i) EXPECT_THAT(Say(kHag), SizeIs(3));
  Leave(kHag);
  Enter(kHag, "thirdwitch");
  EXPECT_THAT(Say(kHag), IsTooFast(kHag));
  const std::string other = "hag66@example.org/phone";
  Enter(other, "zhag");
  EXPECT_THAT(Say(other), IsTooFast(other));
  // What the one had counted, who goes, the other has.
  Leave(kHag);
  EXPECT_THAT(Say(other), IsTooFast(other));
}

TEST_F(TalkTest, ThereMayBeNoBound) {
  settings().max_stanzas = 0;
  for (int i = 0; i < 1'000; ++i) ASSERT_THAT(Say(kHag), SizeIs(3));
  EXPECT_EQ(room().FindNick("thirdwitch")->stanzas(), 0u);
}

TEST_F(PaceTest, WithoutSlowModeNothingIsRefused) {
  config().set_slow_mode_seconds(0);
  EXPECT_THAT(Say(kHag), SizeIs(3));
  EXPECT_THAT(Say(kHag), SizeIs(3));
  EXPECT_EQ(room().FindNick("thirdwitch")->last_message_at_ms(), 0);
}

}  // namespace
}  // namespace rookery::muc
