#include "domain/occupants/presence.h"

#include "domain/occupants/unfinished.h"
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

constexpr std::string_view kNudge = "<presence from='x@example.org/x' to='coven@conference.example.org/x'/>";

void ShowWhoIsBroadcast(Turn& turn) {
  v1::Unfinished broadcast;
  broadcast.set_kind(v1::Unfinished::KIND_BROADCAST);
  Begin(turn, std::move(broadcast));
}

class PresenceTest : public RoomTest {
 protected:
  PresenceTest() {
    Gather();
    Put("secondwitch", kWicca);
  }
  void Say(std::string_view full_jid, std::string_view payload) {
    driver_.room().ChangeSession(full_jid)->mutable_presence()->set_payload(std::string(payload));
  }
  Said Broadcast(std::string_view nick, std::vector<Status> statuses = {}, const Deed& deed = {}) {
    return driver_.Do(
        kNudge, [&](Turn& turn) { BroadcastAvailable(turn, *turn.room.FindNick(nick), statuses, deed); });
  }
  Said Remove(std::string_view nick, const Exit& exit) {
    return driver_.Do(kNudge, [&](Turn& turn) { RemoveOccupant(turn, nick, exit); });
  }
  Said RemoveOne(std::string_view full_jid, const Exit& exit) {
    return driver_.Do(kNudge, [&](Turn& turn) { RemoveSession(turn, full_jid, exit); });
  }
  xmpp::Stanza Clean(const std::string& children) {
    xmpp::Stanza clean;
    driver_.Do("<presence from='hag66@example.org/pda' to='coven@conference.example.org/thirdwitch'>" +
                   children + "</presence>",
               [&](Turn& turn) { clean = CleanPresence(turn); });
    return clean;
  }
};

// XEP-0045 section 7.2.2, "Service Sends New Occupant's Presence to All Occupants".
TEST_F(PresenceTest, GoesToAllAndLastToOneselfWith110) {
  const Said said = Broadcast("thirdwitch");
  ASSERT_THAT(said, SizeIs(3));
  EXPECT_THAT(said.back(), AllOf(HasSubstr("to=\"hag66@example.org/pda\""),
                                 HasSubstr("from=\"coven@conference.example.org/thirdwitch\""),
                                 HasSubstr("<status code=\"110\"/>")));
  EXPECT_THAT(To(said, kCrone), ElementsAre(Not(HasSubstr("110"))));
  EXPECT_THAT(To(said, kWicca), ElementsAre(AllOf(Not(HasSubstr("110")), HasSubstr("role=\"participant\""))));
}

// Section 7.2.4.
TEST_F(PresenceTest, OfSemiAnonymousRoomsShowsAddressesToModeratorsAndOneself) {
  const Said said = Broadcast("thirdwitch");
  EXPECT_THAT(To(said, kCrone), ElementsAre(HasSubstr("jid=\"hag66@example.org/pda\"")));
  EXPECT_THAT(To(said, kWicca), ElementsAre(Not(HasSubstr("jid="))));
  EXPECT_THAT(To(said, kHag), ElementsAre(HasSubstr("jid=\"hag66@example.org/pda\"")));
}

// Section 7.2.3.
TEST_F(PresenceTest, OfNonAnonymousRoomsShowsAddressesToAll) {
  driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  EXPECT_THAT(To(Broadcast("thirdwitch"), kWicca), ElementsAre(HasSubstr("jid=\"hag66@example.org/pda\"")));
}

TEST_F(PresenceTest, IsOneStanzaForAllWhoSeeTheSame) {
  driver_.Put("fourthwitch", "witch4@example.org/pda");
  Broadcast("thirdwitch");
  // To the moderator, to the two others, to oneself.
  EXPECT_THAT(driver_.outcome().said, SizeIs(3));
}

TEST_F(PresenceTest, TellsTheOccupantAloneWhatItsStatusesSay) {
  const Said said = Broadcast("thirdwitch", {Status::kNickAssigned, Status::kNonAnonymousEntered});
  EXPECT_THAT(
      To(said, kHag),
      ElementsAre(HasSubstr("<status code=\"100\"/><status code=\"110\"/><status code=\"210\"/></x>")));
  EXPECT_THAT(To(said, kCrone), ElementsAre(Not(HasSubstr("<status"))));
}

// Section 8.3.
TEST_F(PresenceTest, SaysWhoHasDoneWhatAndWhy) {
  const Said said = Broadcast("thirdwitch", {}, {.actor_nick = "firstwitch", .reason = "A <worthy> witch"});
  for (const std::string& one : said)
    EXPECT_THAT(one, HasSubstr("<actor nick=\"firstwitch\"/><reason>A &lt;worthy&gt; witch</reason></item>"));
}

// XEP-0421.
TEST_F(PresenceTest, CarriesAnOccupantIdThatIsTheAccountsInThisRoomOnly) {
  const std::string id = driver_.room().FindNick("thirdwitch")->occupant_id();
  EXPECT_THAT(id, SizeIs(43));
  for (const std::string& one : Broadcast("thirdwitch"))
    EXPECT_THAT(one, HasSubstr("</x><occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"" + id + "\"/>"));
  const Room other("heath@conference.example.org");
  EXPECT_NE(OccupantIdOf(driver_.settings(), other, "hag66@example.org"), id);
  EXPECT_NE(OccupantIdOf(driver_.settings(), driver_.room(), "crone1@example.org"), id);
  Settings keyed_otherwise = driver_.settings();
  keyed_otherwise.occupant_id_key[31] = 'l';
  EXPECT_NE(OccupantIdOf(keyed_otherwise, driver_.room(), "hag66@example.org"), id);
}

// ---- several sessions with one nick (section 7.2.8)

TEST_F(PresenceTest, OfSeveralSessionsIsOneForOthersAndEachSessionsOwn) {
  driver_.room().AddSession("thirdwitch", "hag66@example.org/phone");
  Say(kHag, "<show>away</show>");
  const Said said = Broadcast("thirdwitch");
  ASSERT_THAT(said, SizeIs(4));
  EXPECT_THAT(To(said, kCrone),
              ElementsAre(AllOf(HasSubstr("jid=\"hag66@example.org/phone\""), Not(HasSubstr("away")))));
  EXPECT_THAT(To(said, kHag), ElementsAre(AllOf(HasSubstr("away"), HasSubstr("110"))));
  EXPECT_THAT(To(said, "hag66@example.org/phone"),
              ElementsAre(AllOf(Not(HasSubstr("away")), HasSubstr("110"))));
}

TEST_F(PresenceTest, OfEqualSessionsIsTheFirstOnes) {
  driver_.room().AddSession("thirdwitch", "hag66@example.org/phone");
  EXPECT_EQ(ShownSession(*driver_.room().FindNick("thirdwitch")).jid(), kHag);
  Say("hag66@example.org/phone", "<show>chat</show>");
  EXPECT_EQ(ShownSession(*driver_.room().FindNick("thirdwitch")).jid(), "hag66@example.org/phone");
}

TEST_F(PresenceTest, OneOfSeveralSessionsGoesUnnoticedWhereAnotherIsShown) {
  driver_.room().AddSession("thirdwitch", "hag66@example.org/phone");
  const Said said = RemoveOne("hag66@example.org/phone", {});
  EXPECT_THAT(said, ElementsAre(AllOf(HasSubstr("to=\"hag66@example.org/phone\""),
                                      HasSubstr("type=\"unavailable\""), HasSubstr("110"))));
  EXPECT_NE(driver_.room().FindNick("thirdwitch"), nullptr);
  EXPECT_EQ(driver_.room().FindSession("hag66@example.org/phone"), nullptr);
}

TEST_F(PresenceTest, TheShownOneOfSeveralSessionsGoesAndOthersHearOfTheNext) {
  driver_.room().AddSession("thirdwitch", "hag66@example.org/phone");
  const Said said = RemoveOne(kHag, {});
  EXPECT_THAT(To(said, kCrone), ElementsAre(AllOf(HasSubstr("jid=\"hag66@example.org/phone\""),
                                                  Not(HasSubstr("unavailable")))));
  EXPECT_THAT(To(said, kHag), ElementsAre(HasSubstr("type=\"unavailable\"")));
  EXPECT_THAT(To(said, "hag66@example.org/phone"), IsEmpty());
}

// ---- whose presence is not broadcast

TEST_F(PresenceTest, ThatIsNotBroadcastIsHeardByOneselfOnly) {
  driver_.config().set_presence_broadcast(1u << v1::ROLE_MODERATOR);
  driver_.room().ChangeOccupant("thirdwitch")->set_is_shown(false);
  EXPECT_THAT(Broadcast("thirdwitch"), ElementsAre(HasSubstr("to=\"hag66@example.org/pda\"")));
  EXPECT_THAT(driver_.Do(kNudge, [](Turn& turn) { SendOccupantsTo(turn, kWicca); }),
              ElementsAre(HasSubstr("/firstwitch")));
}

TEST_F(PresenceTest, ThatIsNotBroadcastAnyMoreGoesForOthers) {
  driver_.config().set_presence_broadcast(1u << v1::ROLE_MODERATOR);
  const Said said = driver_.Do(kNudge, ShowWhoIsBroadcast);
  EXPECT_THAT(To(said, kCrone), SizeIs(2));
  EXPECT_THAT(To(said, kWicca), ElementsAre(AllOf(HasSubstr("/thirdwitch"), HasSubstr("unavailable"))));
  EXPECT_THAT(To(said, kHag), ElementsAre(AllOf(HasSubstr("/secondwitch"), HasSubstr("unavailable"))));
  EXPECT_THAT(driver_.Do(kNudge, ShowWhoIsBroadcast), IsEmpty());
}

TEST_F(PresenceTest, ThatIsBroadcastAgainComes) {
  driver_.room().ChangeOccupant("thirdwitch")->set_is_shown(false);
  const Said said = driver_.Do(kNudge, ShowWhoIsBroadcast);
  EXPECT_THAT(To(said, kWicca), ElementsAre(Not(HasSubstr("unavailable"))));
  EXPECT_TRUE(driver_.room().FindNick("thirdwitch")->is_shown());
}

TEST_F(PresenceTest, ThatIsNotBroadcastIsHeardByModeratorsWhereSomethingIsDone) {
  driver_.config().set_presence_broadcast(1u << v1::ROLE_MODERATOR);
  driver_.room().ChangeOccupant("thirdwitch")->set_is_shown(false);
  const Said changed = Broadcast("thirdwitch", {}, {.actor_nick = "firstwitch"});
  EXPECT_THAT(To(changed, kCrone), SizeIs(1));
  EXPECT_THAT(To(changed, kWicca), IsEmpty());
  const Said kicked = Remove("thirdwitch", {.statuses = {Status::kKicked}});
  EXPECT_THAT(To(kicked, kCrone), ElementsAre(HasSubstr("<status code=\"307\"/>")));
  EXPECT_THAT(To(kicked, kWicca), IsEmpty());
  EXPECT_THAT(To(kicked, kHag), ElementsAre(HasSubstr("<status code=\"110\"/><status code=\"307\"/>")));
}

TEST_F(PresenceTest, InACrowdOnlyModeratorsIsBroadcast) {
  driver_.settings().quiet_above = 2;
  driver_.room().ChangeOccupant("thirdwitch")->set_is_shown(false);
  EXPECT_THAT(Broadcast("thirdwitch"), SizeIs(1));
  EXPECT_THAT(Broadcast("firstwitch"), SizeIs(3));
  EXPECT_THAT(Broadcast("secondwitch"), SizeIs(3));  // was there before the crowd
}

// ---- those who go

// Section 7.14.
TEST_F(PresenceTest, OfOneWhoGoesComesFirstToOneselfThenToAll) {
  const Said said =
      Remove("thirdwitch", {.affiliation = v1::AFFILIATION_MEMBER, .payload = "<status>bye</status>"});
  ASSERT_THAT(said, SizeIs(3));
  EXPECT_THAT(said[0], AllOf(HasSubstr("to=\"hag66@example.org/pda\""), HasSubstr("110")));
  for (const std::string& one : said)
    EXPECT_THAT(one, AllOf(HasSubstr("type=\"unavailable\""), HasSubstr("<status>bye</status>"),
                           HasSubstr("affiliation=\"member\" role=\"none\"")));
  EXPECT_THAT(To(said, kCrone), ElementsAre(HasSubstr("jid=\"hag66@example.org/pda\"")));
  EXPECT_THAT(To(said, kWicca), ElementsAre(Not(HasSubstr("jid="))));
  EXPECT_EQ(driver_.room().FindNick("thirdwitch"), nullptr);
  EXPECT_TRUE(driver_.room().exists());
}

TEST_F(PresenceTest, ATemporaryRoomIsDestroyedWithItsLastOccupant) {
  driver_.config().set_is_persistent(false);
  Remove("firstwitch", {});
  Remove("secondwitch", {});
  EXPECT_TRUE(driver_.room().exists());
  RemoveOne(kHag, {});
  EXPECT_FALSE(driver_.room().exists());
}

// Section 10.9.
TEST_F(PresenceTest, OfADestroyedRoomEverybodyHearsOfOneselfOnly) {
  const Said said = driver_.Do(kNudge, [](Turn& turn) {
    DestroyRoom(turn, {.extra = "<destroy jid=\"heath@conference.example.org\"/>"});
  });
  ASSERT_THAT(said, SizeIs(3));
  EXPECT_THAT(
      To(said, kWicca),
      ElementsAre(AllOf(HasSubstr("/secondwitch"),
                        HasSubstr("<item affiliation=\"none\" role=\"none\" jid=\"" + kWicca + "\"/>"),
                        HasSubstr("<destroy jid=\"heath@conference.example.org\"/></x>"))));
  EXPECT_FALSE(driver_.room().exists());
}

// ---- what is broadcast of what a client says (section 17.3)

TEST_F(PresenceTest, OfAClientIsWithoutWhatOnlyTheRoomMaySay) {
  const xmpp::Stanza clean = Clean(
      "<show>away</show><x xmlns='http://jabber.org/protocol/muc'><password>secret</password></x>"
      "<x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator'/></x>"
      "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/><hats xmlns='urn:xmpp:hats:0'/>"
      "<delay xmlns='urn:xmpp:delay' from='coven@conference.example.org' stamp='2002-09-10T23:08:25Z'/>"
      "<stanza-id xmlns='urn:xmpp:sid:0' by='coven@conference.example.org' id='1'/>"
      "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>");
  EXPECT_EQ(
      clean.payload(),
      "<show>away</show><c xmlns=\"http://jabber.org/protocol/caps\" hash=\"sha-1\" node=\"n\" ver=\"v\"/>");
  EXPECT_EQ(clean.from(), "");
  EXPECT_EQ(clean.id(), "");
}

TEST_F(PresenceTest, OfAClientIsBounded) {
  driver_.settings().max_presence_bytes = 100;
  const xmpp::Stanza clean =
      Clean("<status>" + std::string(200, 'a') + "</status><show>xa</show><show>dnd</show>" +
            "<priority>1</priority><priority>2</priority>");
  EXPECT_EQ(clean.payload(), "<show>xa</show><priority>1</priority>");
}

// Section 5.1.2.
TEST_F(PresenceTest, RolesAtTheEntranceFollowAffiliations) {
  v1::RoomConfig config;
  EXPECT_EQ(RoleAtEntrance(config, v1::AFFILIATION_NONE), v1::ROLE_PARTICIPANT);
  config.set_is_moderated(true);
  EXPECT_EQ(RoleAtEntrance(config, v1::AFFILIATION_NONE), v1::ROLE_VISITOR);
  EXPECT_EQ(RoleAtEntrance(config, v1::AFFILIATION_MEMBER), v1::ROLE_PARTICIPANT);
  EXPECT_EQ(RoleAtEntrance(config, v1::AFFILIATION_ADMIN), v1::ROLE_MODERATOR);
  EXPECT_EQ(RoleAtEntrance(config, v1::AFFILIATION_OWNER), v1::ROLE_MODERATOR);
  EXPECT_EQ(RoleAtEntrance(config, v1::AFFILIATION_OUTCAST), v1::ROLE_NONE);
}

}  // namespace
}  // namespace rookery::muc
