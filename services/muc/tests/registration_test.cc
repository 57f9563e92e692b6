#include "domain/affiliations/registration.h"

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
using testing::kStranger;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kType[] =
    "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field>";

class Registration : public testing::StaffedRoomTest {
 protected:
  Said Get(std::string_view from) { return Iq("get", from, "<query xmlns='jabber:iq:register'/>"); }
  Said Set(std::string_view from, std::string_view child) {
    return Iq("set", from, "<query xmlns='jabber:iq:register'>" + std::string(child) + "</query>");
  }
  static std::string Field(std::string_view var, std::string_view value) {
    return "<field var='" + std::string(var) + "'><value>" + std::string(value) + "</value></field>";
  }
  static std::string Form(std::string_view fields) {
    return "<x xmlns='jabber:x:data' type='submit'>" + std::string(kType) + std::string(fields) + "</x>";
  }
  Said Register(std::string_view from, std::string_view nick, std::string_view more = {}) {
    return Set(from, Form(Field("muc#register_roomnick", nick) + std::string(more)));
  }
  Said Unregister(std::string_view from) { return Set(from, "<remove/>"); }
  /// An admin's answer to the form for approval.
  Said Answer(std::string_view from, const std::string& fields) {
    return driver_.Apply("<message from='" + std::string(from) +
                         "' to='coven@conference.example.org' id='1'>" + Form(fields) + "</message>");
  }
  std::string NickOf(std::string_view jid) {
    const v1::Affiliated* entry = driver_.room().FindAffiliated(jid);
    return entry == nullptr ? std::string() : entry->nick();
  }
};

// XEP-0045 section 7.10, "Service Returns Registration Form".
TEST_F(Registration, WhoAsksGetsAForm) {
  EXPECT_THAT(Get(kStranger),
              ElementsAre(AllOf(HasSubstr("type=\"result\""), HasSubstr("<instructions>"),
                                HasSubstr("<value>http://jabber.org/protocol/muc#register</value>"),
                                HasSubstr("<field var=\"muc#register_roomnick\" type=\"text-single\" "
                                          "label=\"Desired Nickname\"><required/></field>"),
                                Not(HasSubstr("muc#register_email")))));
  // Where an admin decides, more is of interest.
  driver_.config().set_is_members_only(true);
  for (const char* var : {"first", "last", "url", "email", "faqentry"})
    EXPECT_THAT(Get(kStranger).front(), HasSubstr("muc#register_" + std::string(var)));
}

// "User Is Already Registered".
TEST_F(Registration, WhoIsRegisteredIsToldTheNick) {
  driver_.room().SetReservedNick("hag66@example.org", "thirdwitch");
  EXPECT_THAT(Get(kMember), ElementsAre(HasSubstr("<query xmlns=\"jabber:iq:register\"><registered/>"
                                                  "<username>thirdwitch</username></query>")));
}

// "User Is Not Allowed to Register".
TEST_F(Registration, OutcastsDoNotRegister) {
  Affiliate("hecate@example.org", v1::AFFILIATION_OUTCAST);
  EXPECT_EQ(RefusalIn(Get(kStranger)), "cancel not-allowed");
  EXPECT_EQ(RefusalIn(Register(kStranger, "Hecate")), "cancel not-allowed");
}

// "Room Does Not Exist".
TEST_F(Registration, ThereIsNoneWithARoomThatIsNotThere) {
  driver_.room().Destroy();
  EXPECT_EQ(RefusalIn(Get(kStranger)), "cancel item-not-found");
}

// "Room Informs User that Registration Request Has Been Processed".
TEST_F(Registration, InAnOpenRoomItReservesTheNickAtOnce) {
  EXPECT_THAT(Register(kNobody, "Polonius"), ElementsAre(HasSubstr("type=\"result\"")));
  EXPECT_EQ(NickOf("polonius@example.net"), "Polonius");
  EXPECT_EQ(AffiliationOf("polonius@example.net"), v1::AFFILIATION_NONE);
}

// "Service Sends Notice of Membership to All Occupants".
TEST_F(Registration, OfANewMemberAllOccupantsHear) {
  driver_.config().set_is_moderated(true);
  const Said said =
      Answer(kAdmin, Field("muc#jid", "polonius@example.net") + Field("muc#register_roomnick", "Polonius") +
                         Field("muc#register_allow", "1"));
  EXPECT_EQ(NickOf("polonius@example.net"), "Polonius");
  EXPECT_EQ(AffiliationOf("polonius@example.net"), v1::AFFILIATION_MEMBER);
  EXPECT_THAT(To(said, kMember),
              ElementsAre(AllOf(HasSubstr("<presence from=\"coven@conference.example.org/Polo\""),
                                HasSubstr("affiliation=\"member\" role=\"participant\""))));
}

TEST_F(Registration, WhoHasAnAffiliationKeepsIt) {
  EXPECT_THAT(Register(kAdmin, "Wicca"), SizeIs(1));
  EXPECT_EQ(AffiliationOf("wiccarocks@example.org"), v1::AFFILIATION_ADMIN);
  EXPECT_EQ(NickOf("wiccarocks@example.org"), "Wicca");
  Register(kAdmin, "Rocks");
  EXPECT_EQ(NickOf("wiccarocks@example.org"), "Rocks");
  EXPECT_EQ(driver_.room().FindReserved("Wicca"), nullptr);
}

// "Room Returns Conflict Error to User".
TEST_F(Registration, ANickIsReservedOnce) {
  driver_.room().SetReservedNick("hag66@example.org", "Hag");
  EXPECT_EQ(RefusalIn(Register(kStranger, "Hag")), "cancel conflict");
  EXPECT_EQ(RefusalIn(Register(kStranger, "Polo")), "cancel conflict");
  EXPECT_EQ(AffiliationOf("hecate@example.org"), v1::AFFILIATION_NONE);
  EXPECT_TRUE(IsResult(Register(kNobody, "Polo").front()));
}

// "Room Returns Service Bad Request Error to User".
TEST_F(Registration, WhatIsNoFormIsABadRequest) {
  for (const char* child :
       {"", "<username>x</username>", "<x xmlns='jabber:x:data'/>",
        "<x xmlns='jabber:x:data' type='submit'/>", "<x xmlns='jabber:x:data' type='form'/>",
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>other</value></field>"
        "<field var='muc#register_roomnick'><value>Hecate</value></field></x>",
        "<x xmlns='jabber:x:data' type='submit'><field var='muc#register_roomnick'/></x>",
        "<x xmlns='jabber:x:data' type='submit'><field var='muc#register_roomnick'><value>a</value>"
        "<value>b</value></field></x>"})
    EXPECT_EQ(RefusalIn(Set(kStranger, child)), "modify bad-request") << child;
}

TEST_F(Registration, WhatIsNoNickIsNotAcceptable) {
  EXPECT_EQ(RefusalIn(Register(kStranger, std::string(257, 'n'))), "modify not-acceptable");
  EXPECT_EQ(RefusalIn(Register(kStranger, "&#x202e;")), "modify not-acceptable");
}

TEST_F(Registration, ARoomRemembersSoManyAndNoMore) {
  driver_.settings().max_affiliations = 3;
  EXPECT_EQ(RefusalIn(Register(kStranger, "Hecate")), "wait resource-constraint");
  EXPECT_TRUE(IsResult(Register(kMember, "Hag").front()));
}

TEST_F(Registration, CancellingIsNothing) {
  EXPECT_THAT(Set(kStranger, "<x xmlns='jabber:x:data' type='cancel'/>"), ElementsAre(HasSubstr("result")));
}

// ---- XEP-0077 section 3.2

TEST_F(Registration, WhoUnregistersLosesNickAndMembership) {
  Register(kNobody, "Polonius");
  Affiliate("polonius@example.net", v1::AFFILIATION_MEMBER);
  const Said said = Unregister(kNobody);
  EXPECT_TRUE(IsResult(said.front()));
  EXPECT_EQ(driver_.room().FindReserved("Polonius"), nullptr);
  EXPECT_EQ(AffiliationOf("polonius@example.net"), v1::AFFILIATION_NONE);
  EXPECT_THAT(To(said, kMember), ElementsAre(HasSubstr("affiliation=\"none\" role=\"participant\"")));
  EXPECT_EQ(RefusalIn(Unregister(kNobody)), "auth registration-required");
  EXPECT_EQ(RefusalIn(Unregister(kStranger)), "auth registration-required");
}

TEST_F(Registration, AnAdminWhoUnregistersRemainsOne) {
  EXPECT_EQ(RefusalIn(Unregister(kAdmin)), "auth registration-required");
  Register(kAdmin, "Wicca");
  EXPECT_THAT(Unregister(kAdmin), SizeIs(1));
  EXPECT_EQ(AffiliationOf("wiccarocks@example.org"), v1::AFFILIATION_ADMIN);
  EXPECT_EQ(NickOf("wiccarocks@example.org"), "");
}

TEST_F(Registration, WhoUnregistersLeavesAMembersOnlyRoom) {
  driver_.config().set_is_members_only(true);
  const Said said = Unregister(kMember);
  EXPECT_THAT(To(said, kMember),
              ElementsAre(HasSubstr("type=\"result\""), HasSubstr("<status code=\"321\"/>")));
}

// ---- section 9.9

// "Registration Request Approval Form".
TEST_F(Registration, InAMembersOnlyRoomAdminsAreAsked) {
  driver_.config().set_is_members_only(true);
  const Said said = Register(kStranger, "Hecate",
                             Field("muc#register_email", "hecate@broom") + Field("unknown", "not passed on"));
  EXPECT_TRUE(IsResult(said.front()));
  EXPECT_EQ(AffiliationOf("hecate@example.org"), v1::AFFILIATION_NONE);
  for (const std::string& one : {kOwner, kAdmin})
    EXPECT_THAT(
        To(said, one),
        ElementsAre(AllOf(HasSubstr("<message from=\"coven@conference.example.org\""),
                          HasSubstr("<x xmlns=\"jabber:x:data\" type=\"form\">"),
                          HasSubstr("<value>http://jabber.org/protocol/muc#register</value>"),
                          HasSubstr("<value>hecate@example.org</value>"), HasSubstr("<value>Hecate</value>"),
                          HasSubstr("<value>hecate@broom</value>"), Not(HasSubstr("not passed on")),
                          HasSubstr("<field var=\"muc#register_allow\" type=\"boolean\""))))
        << one;
  for (const std::string& one : {kMember, kModerator, kNobody}) EXPECT_THAT(To(said, one), IsEmpty()) << one;
}

TEST_F(Registration, WhereNoAdminIsInTheyAreAskedOutside) {
  driver_.config().set_is_members_only(true);
  driver_.room().RemoveOccupant("firstwitch");
  driver_.room().RemoveOccupant("secondwitch");
  const Said said = Register(kStranger, "Hecate");
  EXPECT_THAT(To(said, "crone1@example.org"), SizeIs(1));
  EXPECT_THAT(To(said, "wiccarocks@example.org"), SizeIs(1));
  // Each alone, so that it waits for who is away.
  for (const Outcome::Said& one : driver_.outcome().said) EXPECT_EQ(one.recipients, nullptr);
}

TEST_F(Registration, WhatAdminsAreToldHasABound) {
  driver_.config().set_is_members_only(true);
  EXPECT_EQ(RefusalIn(Register(kStranger, "Hecate", Field("muc#register_faqentry", std::string(1025, 'f')))),
            "modify not-acceptable");
}

TEST_F(Registration, AnAdminLetsSomebodyIn) {
  driver_.config().set_is_members_only(true);
  const std::string who = Field("muc#jid", "hecate@example.org") + Field("muc#register_roomnick", "Hecate");
  EXPECT_THAT(Answer(kAdmin, who + Field("muc#register_allow", "0")), IsEmpty());
  EXPECT_EQ(AffiliationOf("hecate@example.org"), v1::AFFILIATION_NONE);
  const Said said = Answer(kAdmin, who + Field("muc#register_allow", "1"));
  EXPECT_EQ(AffiliationOf("hecate@example.org"), v1::AFFILIATION_MEMBER);
  EXPECT_EQ(NickOf("hecate@example.org"), "Hecate");
  // Section 9.5: who may enter now is invited.
  EXPECT_THAT(To(said, "hecate@example.org"), ElementsAre(HasSubstr("<invite from=")));
}

TEST_F(Registration, OthersLetNobodyIn) {
  const std::string form = Field("muc#jid", "hecate@example.org") + Field("muc#register_roomnick", "Hecate") +
                           Field("muc#register_allow", "1");
  for (const std::string& from : {kMember, kModerator, kNobody, kStranger})
    EXPECT_EQ(RefusalIn(Answer(from, form)), "auth forbidden") << from;
  EXPECT_EQ(AffiliationOf("hecate@example.org"), v1::AFFILIATION_NONE);
}

TEST_F(Registration, AnAdminsAnswerIsChecked) {
  const std::string nick = Field("muc#register_roomnick", "Hecate");
  const std::string jid = Field("muc#jid", "hecate@example.org");
  const std::string allow = Field("muc#register_allow", "true");
  EXPECT_EQ(RefusalIn(Answer(kAdmin, jid + nick)), "modify bad-request");
  EXPECT_EQ(RefusalIn(Answer(kAdmin, jid + allow)), "modify bad-request");
  EXPECT_EQ(RefusalIn(Answer(kAdmin, nick + allow)), "modify bad-request");
  EXPECT_EQ(RefusalIn(Answer(kAdmin, jid + nick + Field("muc#register_allow", "perhaps"))),
            "modify bad-request");
  EXPECT_EQ(RefusalIn(Answer(kAdmin, Field("muc#jid", "@") + nick + allow)), "modify jid-malformed");
  EXPECT_EQ(RefusalIn(Answer(kAdmin, Field("muc#jid", "example.org") + nick + allow)),
            "modify not-acceptable");
  EXPECT_EQ(RefusalIn(Answer(kAdmin, jid + Field("muc#register_roomnick", "Polo") + allow)),
            "cancel conflict");
  Affiliate("hecate@example.org", v1::AFFILIATION_OUTCAST);
  EXPECT_EQ(RefusalIn(Answer(kAdmin, jid + nick + allow)), "cancel not-allowed");
}

}  // namespace
}  // namespace rookery::muc
