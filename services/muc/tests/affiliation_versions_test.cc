#include "domain/affiliations/affiliation_versions.h"

#include "rookery/xmpp/jid.h"
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kAdmin;
using testing::kMember;
using testing::kModerator;
using testing::kNobody;
using testing::kOwner;
using ::testing::Not;
using ::testing::SizeIs;

/// XEP-0463, in a room as it is created: with a version that is above its horizon.
class AffiliationVersions : public testing::StaffedRoomTest {
 protected:
  AffiliationVersions() {
    driver_.room().ChangeState().set_affiliation_version(1001);
    driver_.room().ChangeState().set_affiliation_horizon(1000);
    driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  }
  Said Ask(const std::string& full_jid, const std::string& mav) {
    const auto muc = xmpp::ParsePayload("<x xmlns='http://jabber.org/protocol/muc'>" + mav + "</x>");
    return driver_.Do("<presence id='p1' from='" + full_jid + "' to='coven@conference.example.org/x'/>",
                      [&](Turn& turn) { SendAffiliationChanges(turn, full_jid, muc->front()); });
  }
  Said Since(const std::string& full_jid, const std::string& since) {
    return Ask(full_jid, "<mav xmlns='urn:xmpp:muc:affiliations:1' since='" + since + "'/>");
  }
};

TEST_F(AffiliationVersions, AreGivenToThoseWhoAsk) {
  EXPECT_THAT(Ask(kMember, ""), IsEmpty());
  EXPECT_THAT(Ask(kMember, "<mav xmlns='urn:xmpp:muc:affiliations:1'/>"),
              ElementsAre(AllOf(
                  HasSubstr("<message from=\"coven@conference.example.org\" to=\"hag66@example.org/pda\">"
                            "<x xmlns=\"http://jabber.org/protocol/muc#user\">"
                            "<mav xmlns=\"urn:xmpp:muc:affiliations:1\" until=\"1001\"/>"),
                  HasSubstr("<item jid=\"crone1@example.org\" affiliation=\"owner\"/>"),
                  HasSubstr("<item jid=\"hag66@example.org\" affiliation=\"member\"/>"))));
}

// Section 5.2.2: each change has a version, and says which one was before.
TEST_F(AffiliationVersions, RiseWithEachChangeAndAreToldWithIt) {
  Said said = AdminSet(kOwner, "<item affiliation='admin' jid='hag66@example.org'/>");
  const std::string mark = "<mav xmlns=\"urn:xmpp:muc:affiliations:1\" since=\"1001\" until=\"1002\"/></x>";
  EXPECT_THAT(To(said, kNobody), ElementsAre(AllOf(HasSubstr("<presence"), HasSubstr(mark))));
  EXPECT_EQ(driver_.room().FindAffiliated("hag66@example.org")->version(), 1002u);
  said = AdminSet(kOwner, "<item affiliation='member' jid='hecate@example.org'/>");
  EXPECT_THAT(To(said, kNobody), ElementsAre(AllOf(HasSubstr("<message"), HasSubstr("until=\"1003\""))));
  // A request that changes nothing has none.
  AdminSet(kOwner, "<item affiliation='member' jid='hecate@example.org'/>");
  EXPECT_EQ(driver_.room().state().affiliation_version(), 1003u);
  EXPECT_EQ(MarkOfPresent(driver_.room()), "<mav xmlns=\"urn:xmpp:muc:affiliations:1\" until=\"1003\"/>");
}

// Section 5.2.1.
TEST_F(AffiliationVersions, WhoKnowsAVersionIsToldWhatHasChanged) {
  AdminSet(kOwner, "<item affiliation='member' jid='rosa@example.org'/>");
  AdminSet(kOwner, "<item affiliation='none' jid='rosa@example.org'/>");
  AdminSet(kOwner, "<item affiliation='admin' jid='vladimir@example.org'/>");
  EXPECT_THAT(
      Since(kMember, "1002"),
      ElementsAre(HasSubstr("<mav xmlns=\"urn:xmpp:muc:affiliations:1\" since=\"1002\" until=\"1004\"/>"
                            "<item jid=\"rosa@example.org\" affiliation=\"none\"/>"
                            "<item jid=\"vladimir@example.org\" affiliation=\"admin\"/></x>")));
  EXPECT_THAT(Since(kMember, "1004"), IsEmpty());
}

TEST_F(AffiliationVersions, ThatAreUnknownAreAnsweredWithTheWholeList) {
  AdminSet(kOwner, "<item affiliation='none' jid='wiccarocks@example.org'/>");
  for (const char* since : {"", "9pacabr2q1", "999", "1003", "-1", "99999999999999999999", "1002 "})
    EXPECT_THAT(Since(kMember, since),
                ElementsAre(AllOf(Not(HasSubstr("since=")), HasSubstr("until=\"1002\""),
                                  HasSubstr("hag66@example.org"), Not(HasSubstr("wiccarocks")))))
        << since;
}

// Security Considerations: what the room was like before is not for those who have been let in later.
TEST_F(AffiliationVersions, BeforeOnesOwnAreUnknown) {
  AdminSet(kOwner, "<item affiliation='member' jid='rosa@example.org'/>");
  AdminSet(kOwner, "<item affiliation='none' jid='rosa@example.org'/>");
  AdminSet(kOwner, "<item affiliation='member' jid='hecate@example.org'/>");
  EXPECT_THAT(Since("hecate@example.org/a", "1002"),
              ElementsAre(AllOf(Not(HasSubstr("since=")), Not(HasSubstr("rosa")))));
}

// Section 5.2.3.
TEST_F(AffiliationVersions, AreForThoseWhoMayReadTheLists) {
  EXPECT_THAT(
      Since(kNobody, ""),
      ElementsAre(AllOf(HasSubstr("<message"), HasSubstr("type=\"error\""), HasSubstr("id=\"p1\""),
                        HasSubstr("<error type=\"auth\" by=\"coven@conference.example.org\"><forbidden"))));
  driver_.config().set_whois(v1::AUDIENCE_MODERATORS);
  EXPECT_THAT(Since(kMember, ""), ElementsAre(HasSubstr("<forbidden")));
  AdminSet(kOwner, "<item affiliation='outcast' jid='earl@example.org'/>");
  EXPECT_THAT(Since(kAdmin, ""), ElementsAre(AllOf(HasSubstr("outcast"), HasSubstr("hag66@example.org"),
                                                   Not(HasSubstr("crone1@example.org")))));
  EXPECT_THAT(Since(kModerator, ""), ElementsAre(AllOf(Not(HasSubstr("outcast")), HasSubstr("hag66"))));
  EXPECT_THAT(Since(kOwner, ""), ElementsAre(AllOf(HasSubstr("outcast"), HasSubstr("crone1@example.org"))));
}

// An affiliation that one may not know of is not told as what it is.
TEST_F(AffiliationVersions, OfWhomOneMayNotReadItIsSaidThatTheyHaveNone) {
  AdminSet(kOwner, "<item affiliation='outcast' jid='wiccarocks@example.org'/>");
  EXPECT_THAT(Since(kMember, "1001"),
              ElementsAre(HasSubstr("<item jid=\"wiccarocks@example.org\" affiliation=\"none\"/></x>")));
}

TEST_F(AffiliationVersions, OfAStrangerWhoIsBannedNobodyHearsWhoMayNotReadThat) {
  AdminSet(kOwner, "<item affiliation='outcast' jid='earl@example.org'/>");
  EXPECT_THAT(Since(kMember, "1001"), IsEmpty());
  EXPECT_THAT(Since(kOwner, "1001"),
              ElementsAre(HasSubstr("<item jid=\"earl@example.org\" affiliation=\"outcast\"/>")));
  // Who was a member in between, too, is taken for one no longer.
  AdminSet(kOwner, "<item affiliation='member' jid='earl@example.org'/>");
  AdminSet(kOwner, "<item affiliation='outcast' jid='earl@example.org'/>");
  EXPECT_THAT(Since(kMember, "1002"),
              ElementsAre(HasSubstr("<item jid=\"earl@example.org\" affiliation=\"none\"/>")));
}

TEST_F(AffiliationVersions, TheListComesInPartsThatFitTogether) {
  for (int i = 0; i < 4000; ++i) {
    v1::Affiliated& entry = driver_.room().ChangeAffiliated("witch" + std::to_string(i) + "@example.org");
    entry.set_affiliation(v1::AFFILIATION_MEMBER);
    entry.set_version(static_cast<std::uint64_t>(2000 + i));
  }
  driver_.room().ChangeState().set_affiliation_version(6000);
  const Said said = Since(kMember, "");
  ASSERT_THAT(said, SizeIs(2));
  const std::string first_until = said[0].substr(said[0].find("until=\"") + 7, 4);
  EXPECT_THAT(said[0], Not(HasSubstr("since=")));
  EXPECT_THAT(said[1], HasSubstr("since=\"" + first_until + "\" until=\"6000\""));
  const std::string last = "witch" + std::to_string(std::stoi(first_until) - 2000) + "@";
  EXPECT_THAT(said[0], HasSubstr("\"" + last));
  EXPECT_THAT(said[1], Not(HasSubstr("\"" + last)));
}

// Those who may not read the list hear live what the list tells them.
TEST_F(AffiliationVersions, OfABanOthersHearThatSomethingHasChanged) {
  Said said =
      AdminSet(kOwner, "<item affiliation='outcast' jid='earl@example.org'><reason>Treason</reason></item>");
  const std::string mark = "<mav xmlns=\"urn:xmpp:muc:affiliations:1\" since=\"1001\" until=\"1002\"/></x>";
  EXPECT_THAT(To(said, kAdmin),
              ElementsAre(AllOf(HasSubstr("earl@"), HasSubstr("Treason"), HasSubstr(mark))));
  for (const std::string& other : {kMember, kModerator, kNobody})
    EXPECT_THAT(To(said, other),
                ElementsAre(AllOf(HasSubstr(mark), Not(HasSubstr("earl")), Not(HasSubstr("Treason")))));
  said = AdminSet(kOwner, "<item affiliation='member' jid='earl@example.org'/>");
  EXPECT_THAT(To(said, kNobody), ElementsAre(HasSubstr("<item affiliation=\"member\" jid=\"earl@")));
  said =
      AdminSet(kOwner, "<item affiliation='outcast' jid='earl@example.org'><reason>Treason</reason></item>");
  EXPECT_THAT(To(said, kNobody), ElementsAre(AllOf(HasSubstr("<item affiliation=\"none\" jid=\"earl@"),
                                                   Not(HasSubstr("Treason")), Not(HasSubstr("actor")))));
}

// Section 5.2.2: whoever sees addresses hears each version, whatever they are shown of presence.
TEST_F(AffiliationVersions, AreToldToThoseWhoGetNoPresence) {
  config().set_presence_broadcast(1u << v1::ROLE_MODERATOR);
  room().ChangeKnown("Polo")->set_is_shown(false);
  Put("Lady", "lady@example.org/castle");
  room().ChangeKnown("Lady")->set_is_shown(false);
  const Said said = AdminSet(kOwner, "<item affiliation='member' jid='polonius@example.net'/>");
  const std::string mark = "since=\"1001\" until=\"1002\"/>";
  EXPECT_THAT(To(said, "lady@example.org/castle"),
              ElementsAre(AllOf(HasSubstr("<message"), HasSubstr("polonius@example.net"), HasSubstr(mark))));
  EXPECT_THAT(To(said, kModerator), ElementsAre(AllOf(HasSubstr("<presence"), HasSubstr(mark))));
  EXPECT_THAT(To(said, kNobody), ElementsAre(AllOf(HasSubstr("<presence"), HasSubstr(mark))));
  const Said banned = AdminSet(kOwner, "<item affiliation='outcast' jid='polonius@example.net'/>");
  EXPECT_THAT(To(banned, "lady@example.org/castle"),
              ElementsAre(AllOf(HasSubstr("<message"), HasSubstr("affiliation=\"none\""),
                                HasSubstr("since=\"1002\" until=\"1003\"/>"))));
}

// Whom a new role shows, or hides, others hear of in one way.
TEST_F(AffiliationVersions, AreToldOnceOfWhoIsShownNow_AndOfWhoIsNotAnyMore) {
  config().set_presence_broadcast(1u << v1::ROLE_MODERATOR);
  for (const char* nick : {"Polo", "thirdwitch"}) room().ChangeKnown(nick)->set_is_shown(false);
  Said said = AdminSet(kOwner, "<item affiliation='admin' jid='polonius@example.net'/>");
  EXPECT_THAT(To(said, kMember), ElementsAre(AllOf(HasSubstr("<presence"), HasSubstr("until=\"1002\"/>"))));
  said = AdminSet(kOwner, "<item affiliation='member' jid='polonius@example.net'/>");
  EXPECT_THAT(To(said, kMember),
              ElementsAre(AllOf(HasSubstr("<presence"), HasSubstr("type=\"unavailable\"")),
                          AllOf(HasSubstr("<message"), HasSubstr("since=\"1002\" until=\"1003\"/>"))));
}

// With one message, whatever nicks the account has.
TEST_F(AffiliationVersions, AreToldOnceOfAnAccountWithTwoNicks) {
  config().set_presence_broadcast(1u << v1::ROLE_MODERATOR);
  Put("Prince", "polonius@example.net/garden");
  for (const char* nick : {"Polo", "Prince"}) room().ChangeKnown(nick)->set_is_shown(false);
  const Said said = AdminSet(kOwner, "<item affiliation='member' jid='polonius@example.net'/>");
  EXPECT_THAT(To(said, kMember),
              ElementsAre(AllOf(HasSubstr("<message"), HasSubstr("role=\"participant\""))));
}

// An operator's administrator is an owner already.
TEST_F(AffiliationVersions, AreToldOfThoseWhoRemainWhatTheyAre) {
  settings().administrators = {"polonius@example.net"};
  const Said said = AdminSet(kOwner, "<item affiliation='member' jid='polonius@example.net'/>");
  EXPECT_THAT(To(said, kMember), ElementsAre(AllOf(HasSubstr("<message"), HasSubstr("until=\"1002\"/>"))));
  EXPECT_THAT(To(said, kNobody), ElementsAre(AllOf(HasSubstr("<message"), HasSubstr("until=\"1002\"/>"))));
}

TEST_F(AffiliationVersions, TheRoomForgetsWhoHadOneLongAgo) {
  settings().max_stanzas = 0;
  for (int i = 0; i < 1001; ++i) {
    const std::string jid = "witch" + std::to_string(i) + "@example.org";
    AdminSet(kOwner, "<item affiliation='member' jid='" + jid + "'/>");
    AdminSet(kOwner, "<item affiliation='none' jid='" + jid + "'/>");
  }
  EXPECT_EQ(driver_.room().affiliations().size(), 3u + 500u);
  const std::uint64_t horizon = driver_.room().state().affiliation_horizon();
  EXPECT_EQ(driver_.room().FindAffiliated("witch500@example.org"), nullptr);
  EXPECT_NE(driver_.room().FindAffiliated("witch501@example.org"), nullptr);
  EXPECT_THAT(Since(kMember, std::to_string(horizon - 1)).front(), Not(HasSubstr("since=")));
  EXPECT_THAT(Since(kMember, std::to_string(horizon)).front(), HasSubstr("since="));
}

}  // namespace
}  // namespace rookery::muc
