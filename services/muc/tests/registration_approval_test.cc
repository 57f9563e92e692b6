// Nobody gains anything by registering that the room has not decided.
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kAdmin;
using testing::kMember;
using testing::kModerator;
using testing::kNobody;
using testing::kOwner;
using testing::kStranger;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kForm[] =
    "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field>";

class RegistrationApproval : public testing::StaffedRoomTest {
 protected:
  static std::string Field(std::string_view var, std::string_view value) {
    return "<field var='" + std::string(var) + "'><value>" + std::string(value) + "</value></field>";
  }
  static std::string FormWith(const std::string& fields) {
    return "<x xmlns='jabber:x:data' type='submit'>" + std::string(kForm) + fields + "</x>";
  }
  Said Register(std::string_view from, std::string_view nick, const std::string& more = {}) {
    return Iq("set", from,
              "<query xmlns='jabber:iq:register'>" + FormWith(Field("muc#register_roomnick", nick) + more) +
                  "</query>");
  }
  Said Unregister(std::string_view from) {
    return Iq("set", from, "<query xmlns='jabber:iq:register'><remove/></query>");
  }
  Said GetForm(std::string_view from) { return Iq("get", from, "<query xmlns='jabber:iq:register'/>"); }
  /// The answer of an admin who is asked.
  Said Decide(std::string_view jid, std::string_view nick, std::string_view allow) {
    return driver_.Apply("<message from='" + std::string(kAdmin) +
                         "' to='coven@conference.example.org' id='1'>" +
                         FormWith(Field("muc#jid", jid) + Field("muc#register_roomnick", nick) +
                                  Field("muc#register_allow", allow)) +
                         "</message>");
  }
  Said Configure(std::string_view var, std::string_view value) {
    return Iq("set", kOwner,
              "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>" +
                  Field(var, value) + "</x></query>");
  }
  std::string NickOf(std::string_view jid) {
    const v1::Affiliated* entry = driver_.room().FindAffiliated(jid);
    return entry == nullptr ? std::string() : entry->nick();
  }
  std::string InfoFor(std::string_view from) {
    return Iq("get", from, "<query xmlns='http://jabber.org/protocol/disco#info'/>").front();
  }
};

constexpr char kRegistrationField[] = "{https://rookery.invalid/muc}allow_registration";

TEST_F(RegistrationApproval, GivesNoVoiceInAModeratedRoom) {
  driver_.config().set_is_moderated(true);
  driver_.room().ChangeOccupant("Polo")->set_role(v1::ROLE_VISITOR);
  const Said said = Register(kNobody, "Polonius");
  EXPECT_TRUE(IsResult(said.front()));
  EXPECT_EQ(RoleOf("Polo"), v1::ROLE_VISITOR);
  EXPECT_EQ(AffiliationOf("polonius@example.net"), v1::AFFILIATION_NONE);
  EXPECT_EQ(NickOf("polonius@example.net"), "");
  EXPECT_THAT(To(said, kAdmin), ElementsAre(HasSubstr("muc#register_allow")));
  // With approval it does.
  Decide("polonius@example.net", "Polonius", "1");
  EXPECT_EQ(RoleOf("Polo"), v1::ROLE_PARTICIPANT);
}

TEST_F(RegistrationApproval, GivesNoLookIntoARoomWithAPassword) {
  driver_.config().set_password("cauldronburn");
  EXPECT_TRUE(IsResult(Register(kStranger, "Hecate").front()));
  EXPECT_EQ(AffiliationOf("hecate@example.org"), v1::AFFILIATION_NONE);
  EXPECT_THAT(InfoFor(kStranger), Not(HasSubstr("muc#roominfo_occupants")));
}

TEST_F(RegistrationApproval, GivesNoLookIntoAHiddenRoom) {
  driver_.config().set_is_public(false);
  EXPECT_TRUE(IsResult(Register(kStranger, "Hecate").front()));
  EXPECT_EQ(AffiliationOf("hecate@example.org"), v1::AFFILIATION_NONE);
  EXPECT_THAT(InfoFor(kStranger), Not(HasSubstr("muc#roominfo_occupants")));
}

TEST_F(RegistrationApproval, GivesNoListOfAddresses) {
  driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  EXPECT_TRUE(IsResult(Register(kStranger, "Hecate").front()));
  EXPECT_EQ(RefusalIn(AdminGet(kStranger, "<item affiliation='member'/>")), "auth forbidden");
}

// Nor is a moderator without an affiliation powerless against who has registered.
TEST_F(RegistrationApproval, SavesNobodyFromModerators) {
  EXPECT_TRUE(IsResult(Register(kNobody, "Polonius").front()));
  EXPECT_EQ(NickOf("polonius@example.net"), "Polonius");
  EXPECT_TRUE(IsResult(AdminSet(kModerator, "<item nick='Polo' role='visitor'/>").front()));
  AdminSet(kModerator, "<item nick='Polo' role='none'/>");
  EXPECT_EQ(RoleOf("Polo"), v1::ROLE_NONE);
  // Nor is it in when the room closes.
  Configure("muc#roomconfig_membersonly", "1");
  EXPECT_EQ(RefusalIn(driver_.Apply(
                "<presence from='polonius@example.net/castle' to='coven@conference.example.org/Polonius'>"
                "<x xmlns='http://jabber.org/protocol/muc'/></presence>")),
            "auth registration-required");
}

TEST_F(RegistrationApproval, OfTheNickAloneNobodyHears) {
  EXPECT_THAT(Register(kStranger, "Hecate"), SizeIs(1));
  EXPECT_EQ(NickOf("hecate@example.org"), "Hecate");
  EXPECT_THAT(GetForm(kStranger), ElementsAre(HasSubstr("<registered/><username>Hecate</username>")));
  // Nothing remains of who has registered and gone.
  EXPECT_THAT(Unregister(kStranger), SizeIs(1));
  EXPECT_EQ(driver_.room().FindAffiliated("hecate@example.org"), nullptr);
}

TEST_F(RegistrationApproval, AnOwnerMayForbidIt) {
  ASSERT_TRUE(IsResult(Configure(kRegistrationField, "0").front()));
  EXPECT_EQ(RefusalIn(GetForm(kStranger)), "cancel not-allowed");
  EXPECT_EQ(RefusalIn(Register(kStranger, "Hecate")), "cancel not-allowed");
  EXPECT_EQ(NickOf("hecate@example.org"), "");
  // Members have their nicks.
  EXPECT_TRUE(IsResult(Register(kMember, "Hag").front()));
  const std::string form = Iq("get", kOwner, "<query xmlns='http://jabber.org/protocol/muc#owner'/>").front();
  EXPECT_THAT(form.substr(form.find(kRegistrationField), 200), HasSubstr("<value>0</value>"));
  Configure(kRegistrationField, "1");
  EXPECT_TRUE(IsResult(Register(kStranger, "Hecate").front()));
}

TEST_F(RegistrationApproval, AdminsAreAskedOnceOfEachAccount) {
  driver_.config().set_is_members_only(true);
  EXPECT_THAT(To(Register(kStranger, "Hecate"), kAdmin), SizeIs(1));
  for (const std::string& from : {kStranger, std::string("hecate@example.org/other")})
    EXPECT_EQ(RefusalIn(Register(from, "Other")), "wait unexpected-request");
  // No is no, for a day.
  Decide("hecate@example.org", "Hecate", "0");
  EXPECT_EQ(RefusalIn(Register(kStranger, "Hecate")), "wait unexpected-request");
  EXPECT_EQ(RefusalIn(Unregister(kStranger)), "auth registration-required");
  EXPECT_EQ(RefusalIn(Register(kStranger, "Hecate")), "wait unexpected-request");
  driver_.Pass(24 * 3'600'000);
  EXPECT_THAT(To(Register(kStranger, "Hecate"), kAdmin), SizeIs(1));
  EXPECT_THAT(driver_.room().state().registrations(), SizeIs(1));
  Decide("hecate@example.org", "Hecate", "1");
  EXPECT_THAT(driver_.room().state().registrations(), SizeIs(0));
}

TEST_F(RegistrationApproval, ManyAccountsAskNoMoreThanARoomRemembers) {
  driver_.config().set_is_members_only(true);
  for (int i = 0; i < 256; ++i)
    ASSERT_TRUE(IsResult(Register("a" + std::to_string(i) + "@example.org/x", "Hecate").front()));
  EXPECT_EQ(RefusalIn(Register(kStranger, "Hecate")), "wait resource-constraint");
  driver_.Pass(24 * 3'600'000);
  EXPECT_TRUE(IsResult(Register(kStranger, "Hecate").front()));
}

TEST_F(RegistrationApproval, RegisteringAndUnregisteringIsCounted) {
  driver_.settings().max_changes = 3;
  EXPECT_TRUE(IsResult(Register(kStranger, "a").front()));
  EXPECT_TRUE(IsResult(Unregister(kStranger).front()));
  EXPECT_TRUE(IsResult(Register("hecate@example.org/other", "b").front()));
  EXPECT_EQ(RefusalIn(Unregister(kStranger)), "wait resource-constraint");
  EXPECT_EQ(RefusalIn(Register(kStranger, "c")), "wait resource-constraint");
  EXPECT_EQ(NickOf("hecate@example.org"), "b");
  driver_.Pass(driver_.settings().changes_period.count());
  EXPECT_TRUE(IsResult(Register(kStranger, "c").front()));
}

TEST_F(RegistrationApproval, WhoIsInsideIsNotToldToStrangers) {
  driver_.config().set_is_members_only(true);
  EXPECT_TRUE(IsResult(Register(kStranger, "Polo").front()));
  EXPECT_EQ(RefusalIn(Decide("hecate@example.org", "Polo", "1")), "cancel conflict");
  EXPECT_EQ(AffiliationOf("hecate@example.org"), v1::AFFILIATION_NONE);
}

// Sections 9.1 and 9.2: outcasts have no nick, whoever it is that is banned.
TEST_F(RegistrationApproval, ABanOfADomainTakesTheNicksOfItsAccounts) {
  Register(kNobody, "Polonius");
  ASSERT_NE(driver_.room().FindReserved("Polonius"), nullptr);
  AdminSet(kOwner, "<item affiliation='outcast' jid='example.net'/>");
  EXPECT_EQ(driver_.room().FindReserved("Polonius"), nullptr);
  EXPECT_EQ(driver_.room().FindAffiliated("polonius@example.net"), nullptr);
}

// An admin frees the nick of somebody without affiliation like anybody else's.
TEST_F(RegistrationApproval, AnAdminTakesANickBack) {
  Register(kStranger, "Hecate");
  AdminSet(kAdmin, "<item affiliation='none' jid='hecate@example.org'/>");
  EXPECT_EQ(driver_.room().FindReserved("Hecate"), nullptr);
}

}  // namespace
}  // namespace rookery::muc
