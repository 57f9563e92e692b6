#include "domain/affiliations/administration.h"

#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kAdmin;
using testing::kMember;
using testing::kModerator;
using testing::kNobody;
using testing::kOwner;
using testing::kStranger;
using ::testing::Not;
using ::testing::SizeIs;

class Administration : public testing::StaffedRoomTest {
 protected:
  std::string Role(std::string_view from, const std::string& nick, const std::string& role) {
    return RefusalIn(AdminSet(from, "<item nick='" + nick + "' role='" + role + "'/>"));
  }
  std::string Affiliation(std::string_view from, const std::string& jid, const std::string& affiliation) {
    return RefusalIn(AdminSet(from, "<item jid='" + jid + "' affiliation='" + affiliation + "'/>"));
  }
};

// ---- XEP-0045 section 8: moderators

// Each item may be told to all.
TEST_F(Administration, ItemsAreCountedAmongWhatOthersHearOf) {
  settings().max_stanzas = 3;
  const auto toggle = [&](std::string_view role) {
    return AdminSet(kOwner, "<item nick='thirdwitch' role='" + std::string(role) +
                                "'/><item nick='Polo' role='" + std::string(role) + "'/>");
  };
  EXPECT_TRUE(IsResult(toggle("visitor").front()));
  EXPECT_EQ(RefusalIn(toggle("participant")), "wait policy-violation");
  EXPECT_EQ(RoleOf("Polo"), v1::ROLE_VISITOR);
  // Whoever is not in is counted, too.
  room().RemoveSession(kOwner);
  for (int i = 0; i < 4; ++i)
    AdminSet("crone1@example.org/phone",
             "<item affiliation='member' jid='m" + std::to_string(i) + "@example.org'/>");
  EXPECT_EQ(AffiliationOf("m2@example.org"), v1::AFFILIATION_MEMBER);
  EXPECT_EQ(AffiliationOf("m3@example.org"), v1::AFFILIATION_NONE);
}

// Section 8.2, "Moderator Kicks Occupant" to "Service Informs Remaining Occupants".
TEST_F(Administration, AModeratorKicks) {
  const Said said = AdminSet(kModerator, "<item nick='Polo' role='none'><reason>Avaunt!</reason></item>");
  EXPECT_THAT(
      To(said, kNobody),
      ElementsAre(AllOf(HasSubstr("type=\"unavailable\""), HasSubstr("affiliation=\"none\" role=\"none\""),
                        HasSubstr("<actor nick=\"Bard\"/><reason>Avaunt!</reason>"),
                        HasSubstr("<status code=\"110\"/><status code=\"307\"/>"))));
  for (const std::string& one : {kOwner, kAdmin, kMember})
    EXPECT_THAT(To(said, one),
                ElementsAre(AllOf(HasSubstr("type=\"unavailable\""), HasSubstr("<status code=\"307\"/>"),
                                  Not(HasSubstr("110")))));
  EXPECT_EQ(RoleOf("Polo"), v1::ROLE_NONE);
}

// Section 8.2: first those who are kicked hear of it, then who has asked, then the others.
TEST_F(Administration, WhoIsKickedHearsOfItBeforeWhoHasAskedAndTheOthersAfter) {
  const Said said = AdminSet(kAdmin,
                             "<item nick='Bard' role='visitor'/><item nick='Polo' role='none'/><item "
                             "nick='thirdwitch' role='none'/>");
  ASSERT_THAT(said, SizeIs(3 + 2 * 3 + 3));
  EXPECT_THAT(said[0], AllOf(HasSubstr("to=\"" + kNobody + "\""), HasSubstr("307")));
  EXPECT_THAT(said[1], AllOf(HasSubstr("to=\"" + kMember + "\""), HasSubstr("307")));
  EXPECT_TRUE(IsResult(said[2]));
  // Those who are out hear of nobody else.
  EXPECT_THAT(To(said, kNobody), SizeIs(1));
  EXPECT_THAT(To(said, kMember), SizeIs(1));
  EXPECT_THAT(To(said, kOwner), ElementsAre(AllOf(HasSubstr("/Polo\""), HasSubstr("307")),
                                            AllOf(HasSubstr("/thirdwitch\""), HasSubstr("307")),
                                            AllOf(HasSubstr("/Bard\""), HasSubstr("visitor"))));
}

// Section 5.2: a kick is of this visit only.
TEST_F(Administration, WhoIsKickedKeepsTheAffiliation) {
  const Said said = AdminSet(kAdmin, "<item nick='thirdwitch' role='none'/>");
  EXPECT_THAT(To(said, kMember), ElementsAre(HasSubstr("affiliation=\"member\" role=\"none\"")));
  EXPECT_EQ(AffiliationOf("hag66@example.org"), v1::AFFILIATION_MEMBER);
}

// Section 8.2, "Service Returns Error on Attempt to Kick User With Higher Affiliation".
TEST_F(Administration, NobodyKicksSomebodyWithAHigherAffiliation) {
  EXPECT_EQ(Role(kModerator, "thirdwitch", "none"), "cancel not-allowed");
  EXPECT_EQ(Role(kModerator, "secondwitch", "none"), "cancel not-allowed");
  EXPECT_EQ(Role(kAdmin, "firstwitch", "none"), "cancel not-allowed");
  EXPECT_EQ(RoleOf("firstwitch"), v1::ROLE_MODERATOR);
}

// Section 5.1.3: moderators are kicked by admins and owners.
TEST_F(Administration, ModeratorsAreKickedByAdminsOnly) {
  driver_.Put("Horatio", "horatio@example.org/a", v1::ROLE_MODERATOR);
  EXPECT_EQ(Role(kModerator, "Horatio", "none"), "cancel not-allowed");
  AdminSet(kAdmin, "<item nick='Horatio' role='none'/>");
  EXPECT_EQ(RoleOf("Horatio"), v1::ROLE_NONE);
}

// Section 8.2: one may kick oneself.
TEST_F(Administration, AModeratorMayKickThemself) {
  const Said said = AdminSet(kModerator, "<item nick='Bard' role='none'/>");
  EXPECT_THAT(To(said, kModerator), SizeIs(2));
  EXPECT_EQ(RoleOf("Bard"), v1::ROLE_NONE);
}

// Section 8: requests of others are denied.
TEST_F(Administration, WhoIsNoModeratorChangesNoRole) {
  for (const std::string& from : {kMember, kNobody, kStranger})
    for (const char* role : {"none", "visitor", "participant", "moderator"})
      EXPECT_EQ(Role(from, "Polo", role), "auth forbidden") << from << role;
  // Whether there is such a nick is not told.
  EXPECT_EQ(Role(kNobody, "nobody", "none"), "auth forbidden");
}

// Section 5.1.3: an admin is a moderator, in the room or not; another session of a moderator's, too.
TEST_F(Administration, ModeratorsAreKnownByTheirAccount) {
  Affiliate("hecate@example.org", v1::AFFILIATION_ADMIN);
  EXPECT_TRUE(IsResult(AdminSet(kStranger, "<item nick='Polo' role='visitor'/>").front()));
  EXPECT_TRUE(IsResult(AdminSet("bard@example.org/phone", "<item nick='Polo' role='participant'/>").front()));
}

// Sections 8.3 and 8.4, "Service Sends Notice of Voice to All Occupants".
TEST_F(Administration, AModeratorRevokesAndGrantsVoice) {
  Said said = AdminSet(kModerator, "<item nick='Polo' role='visitor'><reason>Not so worthy!</reason></item>");
  ASSERT_THAT(said, SizeIs(6));
  EXPECT_TRUE(IsResult(said.front()));
  said.erase(said.begin());
  EXPECT_THAT(said, Each(AllOf(HasSubstr("from=\"coven@conference.example.org/Polo\""),
                               HasSubstr("role=\"visitor\""), HasSubstr("<reason>Not so worthy!</reason>"))));
  EXPECT_EQ(RoleOf("Polo"), v1::ROLE_VISITOR);
  said = AdminSet(kModerator, "<item nick='Polo' role='participant'/>");
  EXPECT_THAT(To(said, kMember), ElementsAre(HasSubstr("role=\"participant\"")));
}

// Section 8.4: nobody's voice is taken whose affiliation is at or above one's own.
TEST_F(Administration, VoiceIsNotTakenFromEqualsOrHigher) {
  Affiliate("bard@example.org", v1::AFFILIATION_MEMBER);
  EXPECT_EQ(Role(kModerator, "thirdwitch", "visitor"), "cancel not-allowed");
  Affiliate("bard@example.org", v1::AFFILIATION_NONE);
  EXPECT_EQ(Role(kModerator, "thirdwitch", "visitor"), "cancel not-allowed");
  EXPECT_TRUE(IsResult(AdminSet(kAdmin, "<item nick='thirdwitch' role='visitor'/>").front()));
}

// Sections 8.4, 9.7: of admins and owners by nobody.
TEST_F(Administration, AdminsAndOwnersRemainModerators) {
  for (const std::string& from : {kOwner, kAdmin})
    for (const char* nick : {"firstwitch", "secondwitch"})
      for (const char* role : {"participant", "visitor"})
        EXPECT_EQ(Role(from, nick, role), "cancel not-allowed") << from << nick << role;
}

// Section 8.5, "Moderator Sends Modified Voice List to Service".
TEST_F(Administration, SeveralRolesAreChangedAtOnce) {
  driver_.Put("rosencrantz", "rosencrantz@example.net/a", v1::ROLE_VISITOR);
  const Said said =
      AdminSet(kModerator, "<item nick='Polo' role='visitor'/><item nick='rosencrantz' role='participant'/>");
  EXPECT_EQ(RoleOf("Polo"), v1::ROLE_VISITOR);
  EXPECT_EQ(RoleOf("rosencrantz"), v1::ROLE_PARTICIPANT);
  EXPECT_THAT(said, Contains(HasSubstr("type=\"result\"")).Times(1));
}

// Section 9.2: all or none.
TEST_F(Administration, OneRefusedItemLetsNothingHappen) {
  EXPECT_EQ(RefusalIn(AdminSet(kModerator,
                               "<item nick='Polo' role='visitor'/><item nick='firstwitch' role='none'/>")),
            "cancel not-allowed");
  EXPECT_EQ(RoleOf("Polo"), v1::ROLE_PARTICIPANT);
  EXPECT_EQ(RefusalIn(AdminSet(kAdmin,
                               "<item jid='a@example.org' affiliation='outcast'/>"
                               "<item jid='crone1@example.org' affiliation='outcast'/>")),
            "cancel not-allowed");
  EXPECT_EQ(AffiliationOf("a@example.org"), v1::AFFILIATION_NONE);
}

TEST_F(Administration, AnUnknownNickIsNotFound) {
  EXPECT_EQ(Role(kModerator, "nobody", "none"), "cancel item-not-found");
  EXPECT_EQ(Role(kModerator, "&#x202e;", "none"), "cancel item-not-found");
}

TEST_F(Administration, ARoleThatIsHadAlreadyIsNoChange) {
  EXPECT_THAT(AdminSet(kModerator, "<item nick='Polo' role='participant'/>"), SizeIs(1));
}

// ---- section 9: admins

// Section 9.1, "Admin Bans User (With a Reason)" to "Service Informs Remaining Occupants".
TEST_F(Administration, AnAdminBansAnOccupant) {
  driver_.room().SetReservedNick("hag66@example.org", "thirdwitch");
  const Said said =
      AdminSet(kAdmin, "<item affiliation='outcast' jid='hag66@example.org'><reason>Treason</reason></item>");
  EXPECT_TRUE(IsResult(said.front()));
  EXPECT_THAT(
      To(said, kMember),
      ElementsAre(AllOf(HasSubstr("type=\"unavailable\""), HasSubstr("affiliation=\"outcast\" role=\"none\""),
                        HasSubstr("<actor nick=\"secondwitch\"/><reason>Treason</reason>"),
                        HasSubstr("<status code=\"301\"/>"))));
  EXPECT_THAT(To(said, kOwner), ElementsAre(AllOf(HasSubstr("type=\"unavailable\""), HasSubstr("outcast"),
                                                  HasSubstr("<status code=\"301\"/>"))));
  EXPECT_EQ(RoleOf("thirdwitch"), v1::ROLE_NONE);
  // The nick is free.
  EXPECT_EQ(driver_.room().FindReserved("thirdwitch"), nullptr);
  EXPECT_EQ(driver_.room().FindAffiliated("hag66@example.org")->reason(), "Treason");
}

// Section 9.2: JIDs match as user@domain, then as domain.
TEST_F(Administration, ADomainIsBannedButForThoseWhoHaveAnAffiliation) {
  driver_.Put("Rose", "rosencrantz@example.net/a");
  Affiliate("rosencrantz@example.net", v1::AFFILIATION_MEMBER);
  AdminSet(kAdmin, "<item affiliation='outcast' jid='example.net'/>");
  EXPECT_EQ(RoleOf("Polo"), v1::ROLE_NONE);
  EXPECT_EQ(RoleOf("Rose"), v1::ROLE_PARTICIPANT);
  EXPECT_EQ(driver_.room().AffiliationOf("somebody@example.net"), v1::AFFILIATION_OUTCAST);
  // With membership the other one would go, the ban is above it.
  const Said said = AdminSet(kAdmin, "<item affiliation='none' jid='rosencrantz@example.net'/>");
  EXPECT_THAT(To(said, "rosencrantz@example.net/a"), ElementsAre(HasSubstr("<status code=\"301\"/>")));
  AdminSet(kAdmin, "<item affiliation='none' jid='example.net'/>");
  EXPECT_EQ(driver_.room().AffiliationOf("somebody@example.net"), v1::AFFILIATION_NONE);
}

// Section 9.2: what else is given to a domain would be nobody's.
TEST_F(Administration, DomainsAreOnlyBanned) {
  for (const char* affiliation : {"member", "admin", "owner"})
    EXPECT_EQ(Affiliation(kOwner, "example.net", affiliation), "modify not-acceptable");
  EXPECT_EQ(Affiliation(kOwner, "coven@conference.example.org/Polo", "outcast"), "modify not-acceptable");
}

// Section 9.1: a ban of oneself is denied, and of who is higher.
TEST_F(Administration, NobodyBansThemselfOrSomebodyHigher) {
  EXPECT_EQ(Affiliation(kAdmin, "wiccarocks@example.org", "outcast"), "cancel conflict");
  EXPECT_EQ(Affiliation(kOwner, "crone1@example.org/other", "outcast"), "cancel conflict");
  EXPECT_EQ(Affiliation(kAdmin, "crone1@example.org", "outcast"), "cancel not-allowed");
  Affiliate("hecate@example.org", v1::AFFILIATION_ADMIN);
  EXPECT_EQ(Affiliation(kAdmin, "hecate@example.org", "outcast"), "cancel not-allowed");
  driver_.settings().administrators = {"root@example.org"};
  EXPECT_EQ(Affiliation(kOwner, "root@example.org", "outcast"), "cancel not-allowed");
}

// Section 9: requests of others are denied.
TEST_F(Administration, WhoIsNoAdminChangesNoAffiliation) {
  for (const std::string& from : {kMember, kModerator, kNobody, kStranger})
    for (const char* affiliation : {"outcast", "none", "member", "admin", "owner"})
      EXPECT_EQ(Affiliation(from, "hecate@example.org", affiliation), "auth forbidden")
          << from << affiliation;
}

// Section 9.3, "Service Sends Notice of Membership to All Occupants".
TEST_F(Administration, AnAdminGrantsMembership) {
  driver_.config().set_is_moderated(true);
  AdminSet(kModerator, "<item nick='Polo' role='visitor'/>");
  const Said said = AdminSet(kAdmin,
                             "<item affiliation='member' jid='polonius@example.net' nick='Polonius'>"
                             "<reason>A worthy witch indeed!</reason></item>");
  EXPECT_THAT(To(said, kMember), ElementsAre(AllOf(HasSubstr("affiliation=\"member\" role=\"participant\""),
                                                   HasSubstr("<reason>A worthy witch indeed!</reason>"))));
  EXPECT_EQ(driver_.room().FindReserved("Polonius")->jid(), "polonius@example.net");
}

// Section 9.5: an empty nick is none any more.
TEST_F(Administration, AReservedNickIsSetAndUnset) {
  AdminSet(kAdmin, "<item affiliation='member' jid='hag66@example.org' nick='Hag'/>");
  EXPECT_EQ(driver_.room().FindAffiliated("hag66@example.org")->nick(), "Hag");
  AdminSet(kAdmin, "<item affiliation='member' jid='hag66@example.org'/>");
  EXPECT_EQ(driver_.room().FindAffiliated("hag66@example.org")->nick(), "Hag");
  AdminSet(kAdmin, "<item affiliation='member' jid='hag66@example.org' nick=''/>");
  EXPECT_EQ(driver_.room().FindAffiliated("hag66@example.org")->nick(), "");
}

// Section 7.10: nobody else has it.
TEST_F(Administration, NoNickIsReservedThatIsSomebodyElses) {
  driver_.room().SetReservedNick("hag66@example.org", "Hag");
  for (const char* nick : {"Hag", "Polo"})
    EXPECT_EQ(RefusalIn(AdminSet(kAdmin, "<item affiliation='member' jid='hecate@example.org' nick='" +
                                             std::string(nick) + "'/>")),
              "cancel conflict")
        << nick;
  EXPECT_EQ(RefusalIn(AdminSet(kAdmin,
                               "<item affiliation='member' jid='a@example.org' nick='New'/>"
                               "<item affiliation='member' jid='b@example.org' nick='New'/>")),
            "cancel conflict");
  EXPECT_EQ(RefusalIn(AdminSet(kAdmin, "<item affiliation='member' jid='a@example.org' nick='" +
                                           std::string(257, 'n') + "'/>")),
            "modify not-acceptable");
}

// Section 9.4, "Service Notes Loss of Membership".
TEST_F(Administration, MembershipIsRevoked) {
  const Said said = AdminSet(kAdmin, "<item affiliation='none' jid='hag66@example.org'/>");
  EXPECT_THAT(To(said, kModerator), ElementsAre(HasSubstr("affiliation=\"none\" role=\"participant\"")));
}

// Section 9.4, "Service Removes Non-Member": one presence, not two.
TEST_F(Administration, WithMembershipSomebodyLeavesAMembersOnlyRoom) {
  driver_.config().set_is_members_only(true);
  const Said said = AdminSet(kAdmin, "<item affiliation='none' jid='hag66@example.org'/>");
  for (const std::string& one : {kMember, kOwner})
    EXPECT_THAT(
        To(said, one),
        ElementsAre(AllOf(HasSubstr("type=\"unavailable\""), HasSubstr("affiliation=\"none\" role=\"none\""),
                          HasSubstr("<actor nick=\"secondwitch\"/>"), HasSubstr("<status code=\"321\"/>"))));
}

// Section 9.5, "Room Sends Invitation to New Member".
TEST_F(Administration, ANewMemberOfAMembersOnlyRoomIsInvited) {
  driver_.config().set_is_members_only(true);
  driver_.config().set_password("cauldronburn");
  Said said = AdminSet(kAdmin, "<item affiliation='member' jid='hecate@example.org'/>");
  EXPECT_THAT(To(said, "hecate@example.org"),
              ElementsAre(AllOf(HasSubstr("<invite from=\"coven@conference.example.org/secondwitch\"/>"),
                                HasSubstr("<password>cauldronburn</password>"))));
  driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  said = AdminSet(kAdmin, "<item affiliation='member' jid='other@example.org'/>");
  EXPECT_THAT(To(said, "other@example.org"),
              ElementsAre(HasSubstr("<invite from=\"wiccarocks@example.org\"/>")));
  // Somebody who was a member before knows the room.
  said = AdminSet(kOwner, "<item affiliation='admin' jid='other@example.org'/>");
  EXPECT_THAT(To(said, "other@example.org"), ElementsAre(HasSubstr("<status code=\"101\"/>")));
}

// Sections 9.6 and 9.7.
TEST_F(Administration, AnAdminMakesModeratorsAndUnmakesThem) {
  EXPECT_EQ(Role(kModerator, "Polo", "moderator"), "auth forbidden");
  Said said = AdminSet(kAdmin, "<item nick='Polo' role='moderator'/>");
  EXPECT_THAT(To(said, kMember), ElementsAre(HasSubstr("role=\"moderator\"")));
  EXPECT_EQ(Role(kModerator, "Polo", "participant"), "auth forbidden");
  said = AdminSet(kAdmin, "<item nick='Polo' role='participant'/>");
  EXPECT_THAT(To(said, kNobody), ElementsAre(HasSubstr("role=\"participant\"")));
}

// Section 7.2.4: moderators know the addresses, from when they are some.
TEST_F(Administration, WhoBecomesAModeratorLearnsTheAddressesOfTheOthers) {
  driver_.room().AddSession("Polo", "polonius@example.net/phone");
  driver_.Put("hidden", "hidden@example.net/a");
  driver_.room().ChangeOccupant("hidden")->set_is_shown(false);
  const auto learns = [](const std::string& own) {
    return ElementsAre(AllOf(HasSubstr("/Polo\""), HasSubstr(own)),
                       AllOf(HasSubstr("/Bard\""), HasSubstr("jid=\"" + kModerator + "\"")),
                       AllOf(HasSubstr("/firstwitch\""), HasSubstr("jid=\"" + kOwner + "\"")),
                       AllOf(HasSubstr("/secondwitch\""), HasSubstr("jid=\"" + kAdmin + "\"")),
                       AllOf(HasSubstr("/thirdwitch\""), HasSubstr("jid=\"" + kMember + "\"")));
  };
  Said said = AdminSet(kAdmin, "<item nick='Polo' role='moderator'/>");
  EXPECT_THAT(To(said, kNobody), learns("role=\"moderator\""));
  EXPECT_THAT(To(said, "polonius@example.net/phone"), learns("role=\"moderator\""));
  EXPECT_THAT(To(said, kModerator), SizeIs(1));
  EXPECT_THAT(To(said, kMember), SizeIs(1));
  // Somebody who is one already learns nothing.
  said = AdminSet(kOwner, "<item affiliation='admin' jid='polonius@example.net'/>");
  EXPECT_THAT(To(said, kNobody), SizeIs(1));
  AdminSet(kOwner, "<item affiliation='none' jid='polonius@example.net'/>");
  said = AdminSet(kOwner, "<item affiliation='admin' jid='polonius@example.net'/>");
  EXPECT_THAT(To(said, kNobody), learns("affiliation=\"admin\" role=\"moderator\""));
  // Nor anybody where all know them.
  AdminSet(kOwner, "<item affiliation='none' jid='polonius@example.net'/>");
  driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  EXPECT_THAT(To(AdminSet(kAdmin, "<item nick='Polo' role='moderator'/>"), kNobody), SizeIs(1));
}

// ---- section 10: owners

// Sections 10.3 and 10.6, "Service Sends Notice of Owner Status to All Occupants".
TEST_F(Administration, AnOwnerMakesAdminsAndOwnersWhoAreModerators) {
  Said said = AdminSet(kOwner, "<item affiliation='admin' jid='polonius@example.net'/>");
  EXPECT_THAT(To(said, kMember), ElementsAre(HasSubstr("affiliation=\"admin\" role=\"moderator\"")));
  said = AdminSet(kOwner, "<item affiliation='owner' jid='hag66@example.org/other'/>");
  EXPECT_THAT(To(said, kNobody), ElementsAre(HasSubstr("affiliation=\"owner\" role=\"moderator\"")));
}

// Sections 10.4 and 10.7.
TEST_F(Administration, WhoIsNoAdminAnyMoreHasTheRoleOfTheEntrance) {
  Said said = AdminSet(kOwner, "<item affiliation='none' jid='wiccarocks@example.org'/>");
  EXPECT_THAT(To(said, kMember), ElementsAre(HasSubstr("affiliation=\"none\" role=\"participant\"")));
  AdminSet(kOwner, "<item affiliation='owner' jid='hag66@example.org'/>");
  said = AdminSet(kMember, "<item affiliation='admin' jid='crone1@example.org'/>");
  EXPECT_THAT(To(said, kNobody), ElementsAre(HasSubstr("affiliation=\"admin\" role=\"moderator\"")));
}

// Sections 10.5 and 10.8.
TEST_F(Administration, OnlyOwnersEditTheListsOfAdminsAndOwners) {
  for (const char* affiliation : {"admin", "owner"})
    EXPECT_EQ(Affiliation(kAdmin, "hecate@example.org", affiliation), "auth forbidden");
  for (const char* affiliation : {"none", "member", "admin"})
    EXPECT_EQ(Affiliation(kAdmin, "crone1@example.org", affiliation), "auth forbidden");
  EXPECT_EQ(Affiliation(kAdmin, "wiccarocks@example.org", "none"), "auth forbidden");
}

// Section 10.4.
TEST_F(Administration, TheLastOwnerRemains) {
  for (const char* affiliation : {"admin", "member", "none"})
    EXPECT_EQ(Affiliation(kOwner, "crone1@example.org", affiliation), "cancel conflict");
  EXPECT_EQ(RefusalIn(AdminSet(kOwner,
                               "<item affiliation='none' jid='crone1@example.org'/>"
                               "<item affiliation='admin' jid='hecate@example.org'/>")),
            "cancel conflict");
  // At once another one is made.
  EXPECT_TRUE(IsResult(AdminSet(kOwner,
                                "<item affiliation='none' jid='crone1@example.org'/>"
                                "<item affiliation='owner' jid='hecate@example.org'/>")
                           .front()));
  EXPECT_EQ(AffiliationOf("crone1@example.org"), v1::AFFILIATION_NONE);
}

// Section 10.3, "Service Sends Notice of Owner Status to All Occupants": of one who is not there;
// Implementation Notes, Services: to that one.
TEST_F(Administration, OfTheAbsentThoseHearWhoSeeAddresses) {
  Said said = AdminSet(kOwner, "<item affiliation='owner' jid='hecate@example.org'/>");
  for (const std::string& one : {kOwner, kAdmin, kModerator})
    EXPECT_THAT(To(said, one),
                Contains(AllOf(HasSubstr("<message"), HasSubstr("from=\"coven@conference.example.org\""),
                               HasSubstr("affiliation=\"owner\" jid=\"hecate@example.org\" role=\"none\""),
                               Not(HasSubstr("<status")))))
        << one;
  for (const std::string& one : {kMember, kNobody}) EXPECT_THAT(To(said, one), IsEmpty()) << one;
  driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  said = AdminSet(kOwner, "<item affiliation='admin' jid='hecate@example.org'/>");
  EXPECT_THAT(To(said, kNobody), ElementsAre(HasSubstr("hecate@example.org")));
  EXPECT_THAT(To(said, "hecate@example.org"),
              ElementsAre(AllOf(HasSubstr("<message"), HasSubstr("affiliation=\"admin\""),
                                HasSubstr("<status code=\"101\"/>"))));
}

// ---- hostile requests

// Business Rules, IQ.
TEST_F(Administration, IllFormedItemsAreBadRequests) {
  for (const char* items :
       {"", "<item/>", "<item nick='Polo' role='none' affiliation='none'/>", "<item role='none'/>",
        "<item nick='' role='none'/>", "<item nick='Polo' role='king'/>", "<item affiliation='member'/>",
        "<item jid='' affiliation='member'/>", "<item jid='a@example.org' affiliation='king'/>",
        "<item nick='Polo' affiliation='outcast'/>", "<item xmlns='other' nick='Polo' role='none'/>",
        "<item nick='Polo' role='none'/><item nick='Polo' role='visitor'/>",
        "<item jid='a@example.org/x' affiliation='none'/><item jid='A@example.org' affiliation='member'/>"})
    EXPECT_EQ(RefusalIn(AdminSet(kOwner, items)), "modify bad-request") << items;
  EXPECT_EQ(Affiliation(kOwner, "@", "outcast"), "modify jid-malformed");
}

TEST_F(Administration, RequestsHaveBounds) {
  std::string items;
  for (int i = 0; i < 101; ++i)
    items += "<item affiliation='outcast' jid='a" + std::to_string(i) + "@example.org'/>";
  EXPECT_EQ(RefusalIn(AdminSet(kOwner, items)), "modify not-acceptable");
  EXPECT_EQ(RefusalIn(AdminSet(kModerator, "<item nick='Polo' role='none'><reason>" + std::string(1025, 'r') +
                                               "</reason></item>")),
            "modify not-acceptable");
}

TEST_F(Administration, ARoomRemembersSoManyAndNoMore) {
  driver_.settings().max_affiliations = 4;
  EXPECT_TRUE(IsResult(AdminSet(kOwner, "<item affiliation='member' jid='a@example.org'/>").front()));
  EXPECT_EQ(Affiliation(kOwner, "b@example.org", "member"), "wait resource-constraint");
  // Somebody who had an affiliation once takes no place.
  AdminSet(kOwner, "<item affiliation='none' jid='a@example.org'/>");
  EXPECT_TRUE(IsResult(AdminSet(kOwner, "<item affiliation='admin' jid='b@example.org'/>").front()));
  EXPECT_EQ(Affiliation(kOwner, "a@example.org", "member"), "wait resource-constraint");
  // Nor does a change.
  EXPECT_TRUE(IsResult(AdminSet(kOwner, "<item affiliation='member' jid='b@example.org'/>").front()));
}

TEST_F(Administration, ATemporaryRoomEndsWithTheLastWhoIsTakenOut) {
  driver_.config().set_is_persistent(false);
  std::string items;
  for (const char* nick : {"firstwitch", "secondwitch", "thirdwitch", "Bard", "Polo"})
    items += "<item nick='" + std::string(nick) + "' role='none'/>";
  const Said said = AdminSet(kOwner, items);
  ASSERT_THAT(said, SizeIs(5 + 1));
  EXPECT_TRUE(IsResult(said.back()));
  EXPECT_FALSE(driver_.room().exists());
}

// ---- a room that takes too much memory

// Those who administer it have a reserve of an eighth, so that nobody who fills it is safe from a ban.
TEST_F(Administration, ARoomThatTakesTooMuchHasAReserveForBans_AndForgetsWhomItKnows) {
  driver_.settings().max_room_bytes = static_cast<std::int64_t>(driver_.room().bytes()) - 1;
  config().set_allow_invites(true);
  config().set_is_members_only(true);
  EXPECT_EQ(RefusalIn(driver_.Apply("<message id='1' from='" + std::string(kMember) +
                                    "' to='coven@conference.example.org'><x "
                                    "xmlns='http://jabber.org/protocol/muc#user'><invite "
                                    "to='c@example.org'/></x></message>")),
            "wait resource-constraint");
  const auto reserve = static_cast<std::size_t>(driver_.settings().max_room_bytes / 8);
  const std::string reason(800, 'r');
  const auto ban = [&](const std::string& jid) {
    return AdminSet(kOwner,
                    "<item affiliation='outcast' jid='" + jid + "'><reason>" + reason + "</reason></item>");
  };
  const std::size_t before = driver_.room().bytes();
  EXPECT_TRUE(IsResult(ban("a@example.net").front()));
  int bans = 1;
  while (IsResult(ban(std::to_string(bans) + "@example.net").front())) ASSERT_LT(++bans, 100);
  EXPECT_EQ(RefusalIn(ban("b@example.net")), "wait resource-constraint");
  EXPECT_EQ(AffiliationOf("b@example.net"), v1::AFFILIATION_NONE);
  EXPECT_LE(driver_.room().bytes(), before + reserve);
  // Nor more of whom it knows.
  EXPECT_EQ(RefusalIn(ban("hag66@example.org")), "wait resource-constraint");
  EXPECT_TRUE(IsResult(AdminSet(kOwner, "<item affiliation='none' jid='a@example.net'/>").front()));
}

TEST_F(Administration, ARoomThatTakesTooMuchIsNotEntered_WhoIsInSaysNoMoreThanBefore) {
  driver_.settings().max_room_bytes = static_cast<std::int64_t>(driver_.room().bytes()) - 1;
  const std::string enter = "<presence from='" + std::string(kStranger) +
                            "' to='coven@conference.example.org/hecate'>"
                            "<x xmlns='http://jabber.org/protocol/muc'/></presence>";
  // XEP-0045 section 7.2.9, as of a room that is full.
  EXPECT_EQ(RefusalIn(driver_.Apply(enter)), "wait service-unavailable");
  const std::string enter_too =
      "<presence from='wiccarocks@example.org/phone' "
      "to='coven@conference.example.org/admin'>"
      "<x xmlns='http://jabber.org/protocol/muc'/></presence>";
  EXPECT_GT(driver_.Apply(enter_too).size(), 1u);
  const std::string show = "<presence from='" + std::string(kMember) +
                           "' to='coven@conference.example.org/thirdwitch'><status>long</status></presence>";
  EXPECT_EQ(RefusalIn(driver_.Apply(show)), "wait resource-constraint");
  EXPECT_GT(driver_
                .Apply("<presence type='unavailable' from='" + std::string(kMember) +
                       "' to='coven@conference.example.org/thirdwitch'/>")
                .size(),
            1u);
  driver_.settings().max_room_bytes = 1 << 20;
  EXPECT_GT(driver_.Apply(enter).size(), 1u);
}

}  // namespace
}  // namespace rookery::muc
