#include "domain/affiliations/invitations.h"

#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class InvitationsTest : public Coven {
 protected:
  static std::string InviteOf(std::string_view to, std::string_view children = "") {
    return "<invite to='" + std::string(to) + "'>" + std::string(children) + "</invite>";
  }
  /// One <x/> with these children.
  Said User(std::string_view from, const std::string& children) {
    return ToRoom(from, "<x xmlns='http://jabber.org/protocol/muc#user'>" + children + "</x>");
  }
  Said Invite(std::string_view from, std::string_view to) { return User(from, InviteOf(to)); }
};

// XEP-0045 section 7.8.2, "Room Sends Invitation to Invitee on Behalf of Invitor".
TEST_F(InvitationsTest, GoToTheInvitee) {
  config().set_password("cauldronburn");
  config().set_whois(v1::AUDIENCE_ANYONE);
  EXPECT_THAT(
      User(kHag, InviteOf("hecate@example.org", "<reason>Hey Hecate</reason>")),
      ElementsAre(AllOf(HasSubstr("<message from=\"coven@conference.example.org\" to=\"hecate@example.org\""),
                        HasSubstr("\"><x xmlns=\"http://jabber.org/protocol/muc#user\">"
                                  "<invite from=\"hag66@example.org\"><reason>Hey Hecate</reason></invite>"
                                  "<password>cauldronburn</password></x></message>"))));
}

// "the bare JID, full JID, or occupant JID of the inviter"
TEST_F(InvitationsTest, NameTheOccupantWhereAddressesAreNotForEverybody) {
  EXPECT_THAT(Invite(kHag, "hecate@example.org"),
              ElementsAre(AllOf(HasSubstr("<invite from=\"coven@conference.example.org/thirdwitch\"/>"),
                                Not(HasSubstr("password")), Not(HasSubstr("hag66")))));
}

TEST_F(InvitationsTest, SayNothingThatTheClientPretends) {
  const Said said = User(kHag,
                         "<invite to='hecate@example.org' from='king@example.org'><password>x</password>"
                         "<x xmlns='urn:example'/></invite><password>wrong</password><status code='110'/>");
  EXPECT_THAT(said, ElementsAre(HasSubstr("<x xmlns=\"http://jabber.org/protocol/muc#user\"><invite "
                                          "from=\"coven@conference.example.org/thirdwitch\"/></x>")));
}

// Section 7.9, "Owner Sends Invitations, Including Continue Flag".
TEST_F(InvitationsTest, GoToSeveralAndContinueAConversation) {
  const Said said =
      User(kCrone, InviteOf("wiccarocks@example.org/laptop", "<continue thread='e0ffe42b'/>") +
                       InviteOf("hecate@example.org", "<continue/>") + InviteOf("hecate@example.org"));
  EXPECT_THAT(said,
              ElementsAre(AllOf(HasSubstr("to=\"wiccarocks@example.org/laptop\""),
                                HasSubstr("<continue thread=\"e0ffe42b\"/></invite>")),
                          AllOf(HasSubstr("to=\"hecate@example.org\""), HasSubstr("<continue/></invite>"))));
}

TEST_F(InvitationsTest, OfWhoIsNotInTheRoomAreNotAcceptable) {
  EXPECT_THAT(Invite(kHecate, "king@example.org"), IsError(kHecate, "modify", "not-acceptable"));
}

// Section 9.5: "Invitations sent through an open room MUST NOT trigger the addition".
TEST_F(InvitationsTest, ToAnOpenRoomMakeNoMember) {
  config().set_allow_invites(true);
  EXPECT_THAT(Invite(kCrone, "hecate@example.org"), SizeIs(1));
  EXPECT_EQ(room().FindAffiliated("hecate@example.org"), nullptr);
}

// Section 9.5, "Service Returns Error on Attempt by Mere Member to Invite Others to a Members-Only Room".
TEST_F(InvitationsTest, OfAMereMemberToAMembersOnlyRoomAreForbidden) {
  config().set_is_members_only(true);
  Affiliate("hag66@example.org", v1::AFFILIATION_MEMBER);
  EXPECT_THAT(Invite(kHag, "hecate@example.org"), IsError(kHag, "auth", "forbidden"));
  EXPECT_EQ(room().FindAffiliated("hecate@example.org"), nullptr);
}

// Section 9.5; muc#roomconfig_allowinvites.
TEST_F(InvitationsTest, OfAMemberPassWhereTheRoomAllowsIt) {
  config().set_is_members_only(true);
  config().set_allow_invites(true);
  Affiliate("hag66@example.org", v1::AFFILIATION_MEMBER);
  EXPECT_THAT(User(kHag, InviteOf("hecate@example.org/broom", "<continue thread='t'/>")),
              ElementsAre(AllOf(HasSubstr("to=\"crone1@example.org/desktop\""),
                                HasSubstr("<item affiliation=\"member\" jid=\"hecate@example.org\"")),
                          AllOf(HasSubstr("to=\"hecate@example.org/broom\""), HasSubstr("<continue "))));
  EXPECT_EQ(room().AffiliationOf("hecate@example.org"), v1::AFFILIATION_MEMBER);
  // Somebody who is in without being a member, since the room was open once, may not.
  EXPECT_THAT(Invite(kWicca, "king@example.org"), IsError(kWicca, "auth", "forbidden"));
}

TEST_F(InvitationsTest, LeaveAnAffiliationAsItIs) {
  config().set_is_members_only(true);
  Affiliate("hecate@example.org", v1::AFFILIATION_ADMIN);
  EXPECT_THAT(Invite(kCrone, "hecate@example.org"), ElementsAre(HasSubstr("<invite ")));
  EXPECT_EQ(room().AffiliationOf("hecate@example.org"), v1::AFFILIATION_ADMIN);
}

TEST_F(InvitationsTest, OfAdminsPassWhetherOrNotMembersMayInvite) {
  config().set_is_members_only(true);
  Affiliate("hag66@example.org", v1::AFFILIATION_ADMIN);
  EXPECT_THAT(Invite(kHag, "hecate@example.org"), ::testing::Contains(HasSubstr("<invite ")));
  EXPECT_THAT(Invite(kCrone, "king@example.org"), ::testing::Contains(HasSubstr("<invite ")));
}

TEST_F(InvitationsTest, OfTheBannedAreForbidden) {
  Affiliate("hecate@example.org", v1::AFFILIATION_OUTCAST);
  Affiliate("evil.example.org", v1::AFFILIATION_OUTCAST);
  EXPECT_THAT(Invite(kCrone, "hecate@example.org/broom"), IsError(kCrone, "auth", "forbidden"));
  EXPECT_THAT(Invite(kCrone, "anybody@evil.example.org"), IsError(kCrone, "auth", "forbidden"));
}

TEST_F(InvitationsTest, ToWhatIsNoAddressAreRefusedAsAWhole) {
  EXPECT_THAT(User(kHag, InviteOf("hecate@example.org") + InviteOf("@@")),
              IsError(kHag, "modify", "jid-malformed"));
  EXPECT_THAT(User(kHag, "<invite/>"), IsError(kHag, "modify", "jid-malformed"));
}

// Section 7.8.2: "a non-existent JID". At the service's own addresses there is nobody.
TEST_F(InvitationsTest, ToRoomsAreNotFound) {
  for (const std::string& to :
       {kRoom, std::string("other@conference.example.org/nick"), std::string("conference.example.org")})
    EXPECT_THAT(Invite(kHag, to), IsError(kHag, "cancel", "item-not-found"));
}

TEST_F(InvitationsTest, AreLimitedInOneMessageAndInTime) {
  settings().max_requests = 3;
  std::string four;
  for (int i = 0; i < 4; ++i) four += InviteOf("w" + std::to_string(i) + "@example.org");
  EXPECT_THAT(User(kHag, four), IsError(kHag, "modify", "policy-violation"));
  EXPECT_THAT(User(kHag, InviteOf("a@example.org") + InviteOf("b@example.org")), SizeIs(2));
  EXPECT_THAT(User(kHag, InviteOf("c@example.org") + InviteOf("d@example.org")),
              IsError(kHag, "wait", "policy-violation"));
  EXPECT_THAT(Invite(kHag, "c@example.org"), SizeIs(1));
  EXPECT_THAT(Invite(kHag, "d@example.org"), IsError(kHag, "wait", "policy-violation"));
  EXPECT_THAT(Invite(kWicca, "d@example.org"), SizeIs(1));
  driver_.Pass(settings().changes_period.count());
  EXPECT_THAT(Invite(kHag, "d@example.org"), SizeIs(1));
}

TEST_F(InvitationsTest, MakeNoMoreMembersThanTheOperatorAllows) {
  config().set_is_members_only(true);
  settings().max_affiliations = 1;  // the owner
  EXPECT_THAT(Invite(kCrone, "hecate@example.org"), IsError(kCrone, "wait", "resource-constraint"));
  EXPECT_EQ(room().AffiliationOf("hecate@example.org"), v1::AFFILIATION_NONE);
}

// Section 7.8.2, "Room Informs Invitor that Invitation Was Declined".
TEST_F(InvitationsTest, AreDeclinedToTheInviter) {
  Invite(kHag, "hecate@example.org");
  EXPECT_THAT(User(kHecate, "<decline to='hag66@example.org'><reason>Too busy</reason></decline>"),
              ElementsAre("<message from=\"coven@conference.example.org\" to=\"hag66@example.org\" id=\"m1\">"
                          "<x xmlns=\"http://jabber.org/protocol/muc#user\">"
                          "<decline from=\"hecate@example.org\"><reason>Too busy</reason></decline></x>"
                          "</message>"));
  Invite(kHag, "hecate@example.org");
  EXPECT_THAT(User(kHecate, "<decline to='hag66@example.org/pda'/>"),
              ElementsAre(HasSubstr("to=\"hag66@example.org/pda\"")));
}

// "certain implementations might choose to base invitations on occupant JIDs"
TEST_F(InvitationsTest, AreDeclinedToTheOccupantWhoWasNamed) {
  Put("thirdwitch", "hag66@example.org/phone");
  Invite(kHag, "hecate@example.org");
  EXPECT_THAT(
      User(kHecate, "<decline to='coven@conference.example.org/thirdwitch'/>"),
      ElementsAre(HasSubstr("to=\"hag66@example.org/pda\""), HasSubstr("to=\"hag66@example.org/phone\"")));
}

TEST_F(InvitationsTest, AreDeclinedToAnInviterWhoIsAMemberAndHasLeft) {
  Affiliate("king@example.org", v1::AFFILIATION_MEMBER);
  Put("king", "king@example.org/castle");
  Invite("king@example.org/castle", "hecate@example.org");
  room().RemoveSession("king@example.org/castle");
  EXPECT_THAT(User(kHecate, "<decline to='king@example.org/castle'/>"),
              ElementsAre(HasSubstr("to=\"king@example.org\"")));
  // So that it waits for who is away.
  EXPECT_EQ(outcome().said[0].recipients, nullptr);
}

TEST_F(InvitationsTest, AreNotDeclinedToWhomTheRoomDoesNotKnow) {
  EXPECT_THAT(User(kHecate, "<decline to='victim@example.org'/>"), IsEmpty());
  EXPECT_THAT(User(kHecate, "<decline to='coven@conference.example.org/nobody'/>"), IsEmpty());
  Affiliate("victim@example.org", v1::AFFILIATION_OUTCAST);
  EXPECT_THAT(User(kHecate, "<decline to='victim@example.org'/>"), IsEmpty());
  EXPECT_THAT(User(kHecate, "<decline to='@@'/>"), IsError(kHecate, "modify", "jid-malformed"));
}

TEST_F(InvitationsTest, AreNotDeclinedByTheBanned) {
  Affiliate("hecate@example.org", v1::AFFILIATION_OUTCAST);
  EXPECT_THAT(User(kHecate, "<decline to='hag66@example.org'/>"), IsError(kHecate, "auth", "forbidden"));
}

}  // namespace
}  // namespace rookery::muc
