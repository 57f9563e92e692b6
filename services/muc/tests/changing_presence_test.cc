// Presence and nick of one who is in (XEP-0045 sections 7.6 and 7.7).

#include "domain/stanzas/entering.h"
#include "room_fixture.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kCrone;
using testing::kHag;
using testing::kWicca;
using ::testing::Not;
using testing::RoomTest;
using ::testing::SizeIs;

const std::string kPhone = "hag66@example.org/phone";

class ChangingPresenceTest : public RoomTest {
 protected:
  ChangingPresenceTest() { Gather(); }
  Said Say(std::string_view from, std::string_view nick, std::string_view payload = {}) {
    return driver_.Apply("<presence from='" + std::string(from) + "' to='coven@conference.example.org/" +
                         std::string(nick) + "' id='n13mt3l'>" + std::string(payload) + "</presence>");
  }
  Said Probe(std::string_view from, std::string_view nick) {
    return driver_.Apply("<presence type='probe' from='" + std::string(from) +
                         "' to='coven@conference.example.org/" + std::string(nick) + "'/>");
  }
};

// ---- availability (section 7.7)

TEST_F(ChangingPresenceTest, AvailabilityGoesToAllAndToOneselfWith110) {
  const Said said = Say(kHag, "thirdwitch", "<show>xa</show><status>gone where the goblins go</status>");
  EXPECT_THAT(To(said, kCrone),
              ElementsAre(AllOf(HasSubstr("<show>xa</show><status>gone where the goblins go</status>"),
                                HasSubstr("role=\"participant\""), Not(HasSubstr("110")))));
  EXPECT_THAT(To(said, kHag), ElementsAre(AllOf(HasSubstr("<show>xa</show>"), HasSubstr("110"),
                                                HasSubstr("id=\"n13mt3l\""))));
}

TEST_F(ChangingPresenceTest, ThatChangesNothingGoesToOneselfOnly) {
  Say(kHag, "thirdwitch", "<show>xa</show>");
  EXPECT_THAT(Say(kHag, "thirdwitch", "<show>xa</show>"), ElementsAre(HasSubstr("to=\"" + kHag + "\"")));
}

TEST_F(ChangingPresenceTest, OfADeviceThatIsNotShownGoesToOneselfOnly) {
  driver_.room().AddSession("thirdwitch", kPhone);
  EXPECT_THAT(Say(kPhone, "thirdwitch", "<show>xa</show>"), ElementsAre(HasSubstr("to=\"" + kPhone + "\"")));
}

TEST_F(ChangingPresenceTest, OfTheShownDeviceShowsTheOneThatIsMoreAvailableThen) {
  driver_.room().AddSession("thirdwitch", kPhone);
  EXPECT_THAT(To(Say(kHag, "thirdwitch", "<show>xa</show>"), kCrone),
              ElementsAre(AllOf(HasSubstr("jid=\"" + kPhone + "\""), Not(HasSubstr("<show>")))));
}

TEST_F(ChangingPresenceTest, OfOneWhosePresenceIsNotBroadcastGoesToOneselfOnly) {
  driver_.config().set_presence_broadcast(1u << v1::ROLE_MODERATOR);
  driver_.room().ChangeOccupant("thirdwitch")->set_is_shown(false);
  EXPECT_THAT(Say(kHag, "thirdwitch", "<show>xa</show>"), ElementsAre(HasSubstr("to=\"" + kHag + "\"")));
}

// ---- the nick (section 7.6)

TEST_F(ChangingPresenceTest, ANewNickIsToldWith303AndThenAsPresence) {
  const Said said = Say(kHag, "oldhag");
  EXPECT_THAT(To(said, kCrone),
              ElementsAre(AllOf(HasSubstr("/thirdwitch\""), HasSubstr("type=\"unavailable\""),
                                HasSubstr("role=\"participant\""), HasSubstr("nick=\"oldhag\""),
                                HasSubstr("<status code=\"303\"/></x>")),
                          AllOf(HasSubstr("/oldhag\""), Not(HasSubstr("type=")), Not(HasSubstr("<status")))));
  EXPECT_THAT(To(said, kHag),
              ElementsAre(HasSubstr("<status code=\"110\"/><status code=\"303\"/>"),
                          AllOf(HasSubstr("/oldhag\""), HasSubstr("<status code=\"110\"/>"))));
  EXPECT_EQ(driver_.room().FindSession(kHag)->nick(), "oldhag");
  EXPECT_EQ(driver_.room().FindNick("thirdwitch"), nullptr);
}

TEST_F(ChangingPresenceTest, ANewNickIsForAllDevices) {
  driver_.room().AddSession("thirdwitch", kPhone);
  const Said said = Say(kPhone, "oldhag");
  for (const std::string& device : {kHag, kPhone})
    EXPECT_THAT(To(said, device), ElementsAre(AllOf(HasSubstr("110"), HasSubstr("303")),
                                              AllOf(HasSubstr("/oldhag\""), HasSubstr("110"))));
  EXPECT_THAT(To(said, kCrone), SizeIs(2));
}

TEST_F(ChangingPresenceTest, TheOldNickIsFreeThen) {
  Say(kHag, "oldhag");
  EXPECT_THAT(To(Say(kCrone, "thirdwitch"), kHag), SizeIs(2));
}

TEST_F(ChangingPresenceTest, ANickOfAnotherIsRefused) {
  EXPECT_THAT(Say(kHag, "firstwitch"), IsRefused("cancel", "conflict"));
  driver_.room().SetReservedNick("wiccarocks@example.org", "secondwitch");
  EXPECT_THAT(Say(kHag, "secondwitch"), IsRefused("cancel", "conflict"));
  EXPECT_THAT(Say(kHag, "secondwitch "), IsRefused("cancel", "conflict"));
  EXPECT_EQ(driver_.room().FindSession(kHag)->nick(), "thirdwitch");
}

TEST_F(ChangingPresenceTest, ANickThatIsNoneIsRefused) {
  EXPECT_THAT(Say(kHag, " "), IsRefused("modify", "not-acceptable"));
  EXPECT_THAT(Say(kHag, std::string(257, 'a')), IsRefused("modify", "not-acceptable"));
}

TEST_F(ChangingPresenceTest, ALockedNickStays) {
  driver_.room().SetReservedNick("hag66@example.org", "thirdwitch");
  driver_.config().set_locks_nicks(true);
  EXPECT_THAT(Say(kHag, "oldhag"), IsRefused("cancel", "not-acceptable"));
}

TEST_F(ChangingPresenceTest, AVisitorsNickStaysWhereTheRoomSaysSo) {
  driver_.config().set_visitors_keep_nick(true);
  driver_.room().ChangeOccupant("thirdwitch")->set_role(v1::ROLE_VISITOR);
  EXPECT_THAT(Say(kHag, "oldhag"), IsRefused("cancel", "not-allowed"));
  EXPECT_THAT(To(Say(kCrone, "oldhag"), kHag), SizeIs(2));
}

TEST_F(ChangingPresenceTest, NicksAreNotChangedTooOften) {
  driver_.settings().max_changes = 2;
  Say(kHag, "a");
  Say(kHag, "b");
  EXPECT_THAT(Say(kHag, "c"), IsRefused("wait", "resource-constraint"));
  driver_.Pass(60'000);
  EXPECT_THAT(To(Say(kHag, "c"), kCrone), SizeIs(2));
}

// Section 7.2.8: the nick of another device of one's own.
TEST_F(ChangingPresenceTest, TwoNicksOfAnAccountBecomeOne) {
  driver_.Put("oldhag", kPhone);
  const Said said = Say(kHag, "oldhag");
  EXPECT_THAT(To(said, kCrone), ElementsAre(AllOf(HasSubstr("/thirdwitch\""), HasSubstr("unavailable"),
                                                  HasSubstr("role=\"none\""), Not(HasSubstr("303")))));
  EXPECT_THAT(To(said, kHag),
              ElementsAre(AllOf(HasSubstr("110"), HasSubstr("303"), HasSubstr("nick=\"oldhag\"")),
                          AllOf(HasSubstr("/oldhag\""), HasSubstr("110"))));
  EXPECT_EQ(driver_.room().FindNick("oldhag")->sessions_size(), 2);
  EXPECT_EQ(driver_.room().FindSession(kHag)->nick(), "oldhag");
}

TEST_F(ChangingPresenceTest, OfOneWhosePresenceIsNotBroadcastTheNickIsForModerators) {
  driver_.Put("secondwitch", "wiccarocks@example.org/laptop");
  driver_.config().set_presence_broadcast(1u << v1::ROLE_MODERATOR);
  driver_.room().ChangeOccupant("thirdwitch")->set_is_shown(false);
  const Said said = Say(kHag, "oldhag");
  EXPECT_THAT(To(said, "wiccarocks@example.org/laptop"), IsEmpty());
  EXPECT_THAT(To(said, kHag), SizeIs(2));
  // Moderators know of it when something has been done to it: else they would have one who is not there.
  EXPECT_THAT(To(said, kCrone), ElementsAre(AllOf(HasSubstr("/thirdwitch\""), HasSubstr("303")),
                                            AllOf(HasSubstr("/oldhag\""), Not(HasSubstr("type=")))));
  EXPECT_FALSE(driver_.room().FindNick("oldhag")->is_shown());
}

TEST_F(ChangingPresenceTest, OtherTypesOfPresenceAreIgnored) {
  for (const std::string type : {"subscribe", "subscribed", "unsubscribe", "unsubscribed", "invisible"})
    EXPECT_THAT(driver_.Apply("<presence type='" + type +
                              "' from='hag66@example.org/pda' to='coven@conference.example.org/oldhag'/>"),
                IsEmpty());
  EXPECT_EQ(driver_.room().FindSession(kHag)->nick(), "thirdwitch");
}

TEST_F(ChangingPresenceTest, AProbeOfWhoIsIn_ChangesNothingAndTellsNobody) {
  EXPECT_THAT(Probe(kHag, "thirdwitch"), IsEmpty());
  EXPECT_THAT(Probe(kHag, "oldhag"), IsEmpty());
  EXPECT_EQ(driver_.room().FindSession(kHag)->nick(), "thirdwitch");
}

TEST_F(ChangingPresenceTest, AProbeOfWhoIsNotIn_IsAnsweredThatItIsOut) {
  EXPECT_THAT(Probe(kWicca, "secondwitch"),
              ElementsAre(AllOf(HasSubstr("type=\"unavailable\""), HasSubstr("to=\"" + kWicca + "\""),
                                HasSubstr("from=\"coven@conference.example.org/secondwitch\""),
                                HasSubstr("<status code=\"110\"/>"), HasSubstr("<status code=\"333\"/>"))));
}

}  // namespace
}  // namespace rookery::muc
