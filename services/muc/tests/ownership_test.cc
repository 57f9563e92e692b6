#include "domain/configuration/ownership.h"

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

class Ownership : public testing::StaffedRoomTest {
 protected:
  Said OwnerSet(std::string_view from, std::string_view child) {
    return Iq("set", from,
              "<query xmlns='http://jabber.org/protocol/muc#owner'>" + std::string(child) + "</query>");
  }
  static std::string FormWith(std::string_view fields) {
    return "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
           "<value>http://jabber.org/protocol/muc#roomconfig</value></field>" +
           std::string(fields) + "</x>";
  }
  static std::string Field(std::string_view var, const std::vector<std::string>& values) {
    std::string field = "<field var='" + std::string(var) + "'>";
    for (const std::string& value : values) field += "<value>" + value + "</value>";
    return field + "</field>";
  }
  Said Submit(std::string_view fields) { return OwnerSet(kOwner, FormWith(fields)); }
  Said SubmitOne(std::string_view var, const std::string& value) { return Submit(Field(var, {value})); }
  /// The condition with which a value is refused, or "taken".
  std::string Try(std::string_view var, const std::vector<std::string>& values) {
    const Said said = Submit(Field(var, values));
    return IsResult(said.front()) ? "taken" : RefusalIn(said);
  }
  Said OwnerGet(std::string_view from) {
    return Iq("get", from, "<query xmlns='http://jabber.org/protocol/muc#owner'/>");
  }
  /// The codes that everybody is told by a message.
  std::string CodesIn(const Said& said) {
    const Said told = To(said, kNobody);
    std::string codes;
    for (const std::string& one : told) {
      if (!one.starts_with("<message ")) continue;
      EXPECT_THAT(one, AllOf(HasSubstr("from=\"coven@conference.example.org\""),
                             HasSubstr("type=\"groupchat\""), Not(HasSubstr("<body"))));
      for (std::size_t at = one.find("code=\""); at != std::string::npos; at = one.find("code=\"", at + 1))
        codes += one.substr(at + 6, 3) + " ";
    }
    return codes;
  }
  const v1::RoomConfig& config() { return driver_.room().config(); }
};

// ---- the form: XEP-0045 sections 10.1.3 and 10.2

// "Service Sends Configuration Form to Owner"; the registry of muc#roomconfig; XEP-0500; XEP-0452.
TEST_F(Ownership, TheFormHasEveryFieldAsItIsNow) {
  driver_.config().set_name("A Dark Cave");
  driver_.config().set_password("cauldronburn");
  driver_.config().set_slow_mode_seconds(20);
  const Said said = OwnerGet(kOwner);
  ASSERT_THAT(said, SizeIs(1));
  const std::string& form = said.front();
  EXPECT_THAT(form, HasSubstr("<x xmlns=\"jabber:x:data\" type=\"form\">"));
  EXPECT_THAT(form, HasSubstr("<field var=\"FORM_TYPE\" type=\"hidden\">"
                              "<value>http://jabber.org/protocol/muc#roomconfig</value></field>"));
  for (const char* var : {"muc#maxhistoryfetch",
                          "muc#roomconfig_allowpm",
                          "muc#roomconfig_allowinvites",
                          "muc#roomconfig_changesubject",
                          "muc#roomconfig_enablelogging",
                          "muc#roomconfig_getmemberlist",
                          "muc#roomconfig_lang",
                          "muc#roomconfig_pubsub",
                          "muc#roomconfig_maxusers",
                          "muc#roomconfig_membersonly",
                          "muc#roomconfig_moderatedroom",
                          "muc#roomconfig_passwordprotectedroom",
                          "muc#roomconfig_persistentroom",
                          "muc#roomconfig_presencebroadcast",
                          "muc#roomconfig_publicroom",
                          "muc#roomconfig_roomadmins",
                          "muc#roomconfig_roomdesc",
                          "muc#roomconfig_roomname",
                          "muc#roomconfig_roomowners",
                          "muc#roomconfig_roomsecret",
                          "muc#roomconfig_whois",
                          "muc#roomconfig_slow_mode_duration",
                          "muc#roomconfig_forwardmentions",
                          "muc#roominfo_contactjid",
                          "muc#roominfo_logs",
                          "muc#roominfo_ldapgroup"})
    EXPECT_THAT(form, HasSubstr("<field var=\"" + std::string(var) + "\" type=")) << var;
  const auto value = [&](const std::string& var) {
    const std::size_t at = form.find("<field var=\"" + var + "\"");
    const std::size_t end = form.find("</field>", at);
    return form.substr(at, end - at);
  };
  EXPECT_THAT(value("muc#roomconfig_roomname"), HasSubstr("<value>A Dark Cave</value>"));
  EXPECT_THAT(value("muc#roomconfig_roomsecret"),
              AllOf(HasSubstr("text-private"), HasSubstr("<value>cauldronburn</value>")));
  EXPECT_THAT(value("muc#roomconfig_passwordprotectedroom"), HasSubstr("<value>1</value>"));
  EXPECT_THAT(value("muc#roomconfig_whois"), HasSubstr("<value>moderators</value><option"));
  EXPECT_THAT(value("muc#roomconfig_allowpm"), HasSubstr("<value>anyone</value><option"));
  EXPECT_THAT(value("muc#roomconfig_maxusers"), HasSubstr("<value>none</value><option label=\"10\">"));
  EXPECT_THAT(value("muc#roomconfig_presencebroadcast"),
              HasSubstr("<value>moderator</value><value>participant</value><value>visitor</value><option"));
  EXPECT_THAT(value("muc#roomconfig_roomowners"), HasSubstr("<value>crone1@example.org</value>"));
  EXPECT_THAT(value("muc#roomconfig_roomadmins"), HasSubstr("<value>wiccarocks@example.org</value>"));
  // XEP-0500 section 5.1.
  EXPECT_THAT(value("muc#roomconfig_slow_mode_duration"),
              AllOf(HasSubstr("<validate xmlns=\"http://jabber.org/protocol/xdata-validate\" "
                              "datatype=\"xs:integer\"><range min=\"0\""),
                    HasSubstr("<value>20</value>")));
}

// A form that is sent back as it was changes nothing.
TEST_F(Ownership, TheFormIsTakenAsItWasGiven) {
  driver_.config().set_name("A Dark Cave");
  driver_.config().set_max_users(77);
  driver_.config().add_contacts("crone1@example.org");
  const v1::RoomConfig before = config();
  std::string form = OwnerGet(kOwner).front();
  form = form.substr(form.find("<x "), form.find("</query>") - form.find("<x "));
  form.replace(form.find("type=\"form\""), 11, "type=\"submit\"");
  EXPECT_THAT(OwnerSet(kOwner, form), SizeIs(1));
  EXPECT_EQ(config().SerializeAsString(), before.SerializeAsString());
}

// "Service Denies Configuration Access to Non-Owner".
TEST_F(Ownership, OthersSeeNothingAndChangeNothing) {
  for (const std::string& from : {kAdmin, kMember, kModerator, kNobody, kStranger}) {
    EXPECT_EQ(RefusalIn(OwnerGet(from)), "auth forbidden") << from;
    EXPECT_EQ(RefusalIn(OwnerSet(from, FormWith(Field("muc#roomconfig_publicroom", {"0"})))),
              "auth forbidden");
    EXPECT_EQ(RefusalIn(OwnerSet(from, "<destroy/>")), "auth forbidden");
  }
  EXPECT_TRUE(config().is_public());
  driver_.settings().administrators = {"hecate@example.org"};
  EXPECT_TRUE(IsResult(OwnerGet(kStranger).front()));
}

// XEP-0004 section 3.5: fields that are not sent stay.
TEST_F(Ownership, OnlyFieldsThatAreSentChange) {
  driver_.config().set_description("The place for all good witches!");
  Submit(Field("muc#roomconfig_roomname", {"A Dark Cave"}));
  EXPECT_EQ(config().name(), "A Dark Cave");
  EXPECT_EQ(config().description(), "The place for all good witches!");
  EXPECT_TRUE(config().is_public());
}

TEST_F(Ownership, EveryFieldIsTaken) {
  Submit(Field("muc#roomconfig_roomname", {"A Dark Cave"}) + Field("muc#roomconfig_roomdesc", {"The place"}) +
         Field("muc#roomconfig_lang", {"en-GB"}) + Field("muc#roomconfig_persistentroom", {"true"}) +
         Field("muc#roomconfig_publicroom", {"false"}) + Field("muc#roomconfig_allowinvites", {"1"}) +
         Field("muc#roomconfig_moderatedroom", {"1"}) + Field("muc#roomconfig_changesubject", {"1"}) +
         Field("muc#roomconfig_allowpm", {"participants"}) + Field("muc#roomconfig_whois", {"anyone"}) +
         Field("muc#roomconfig_presencebroadcast", {"moderator", "visitor"}) +
         Field("muc#roomconfig_getmemberlist", {"moderator"}) + Field("muc#roomconfig_maxusers", {"30"}) +
         Field("muc#maxhistoryfetch", {"50"}) + Field("muc#roomconfig_slow_mode_duration", {"15"}) +
         Field("muc#roomconfig_enablelogging", {"1"}) + Field("muc#roomconfig_forwardmentions", {"1"}) +
         Field("muc#roominfo_contactjid", {"Crone1@example.org/x", "crone1@example.org"}) +
         Field("muc#roominfo_logs", {"http://example.org/logs"}) +
         Field("muc#roominfo_ldapgroup", {"cn=witches,dc=example,dc=org"}) +
         Field("muc#roomconfig_pubsub", {"xmpp:pubsub.example.org?;node=coven"}) +
         Field("muc#roomconfig_passwordprotectedroom", {"1"}) +
         Field("muc#roomconfig_roomsecret", {"cauldronburn"}));
  EXPECT_EQ(config().name(), "A Dark Cave");
  EXPECT_EQ(config().description(), "The place");
  EXPECT_EQ(config().lang(), "en-GB");
  EXPECT_TRUE(config().is_persistent());
  EXPECT_FALSE(config().is_public());
  EXPECT_TRUE(config().allow_invites());
  EXPECT_TRUE(config().is_moderated());
  EXPECT_TRUE(config().change_subject());
  EXPECT_EQ(config().allow_pm(), v1::AUDIENCE_PARTICIPANTS);
  EXPECT_EQ(config().whois(), v1::AUDIENCE_ANYONE);
  EXPECT_EQ(config().presence_broadcast(), 1u << v1::ROLE_MODERATOR | 1u << v1::ROLE_VISITOR);
  EXPECT_EQ(config().member_list_readers(), 1u << v1::ROLE_MODERATOR);
  EXPECT_EQ(config().max_users(), 30u);
  EXPECT_EQ(config().max_history_fetch(), 50u);
  EXPECT_EQ(config().slow_mode_seconds(), 15u);
  EXPECT_TRUE(config().is_logged());
  EXPECT_TRUE(config().forwards_mentions());
  EXPECT_THAT(config().contacts(), ElementsAre("crone1@example.org"));
  EXPECT_EQ(config().logs_url(), "http://example.org/logs");
  EXPECT_EQ(config().ldap_group(), "cn=witches,dc=example,dc=org");
  EXPECT_EQ(config().pubsub_node(), "xmpp:pubsub.example.org?;node=coven");
  EXPECT_EQ(config().password(), "cauldronburn");
}

// XEP-0004 section 3.2: "MUST ignore any fields that it does not understand".
TEST_F(Ownership, UnknownFieldsMeanNothing) {
  EXPECT_EQ(Try("muc#roomconfig_weather", {"stormy", "dark"}), "taken");
  EXPECT_THAT(SubmitOne("muc#roomconfig_weather", "calm"), SizeIs(1));
}

// Section 10.1.3, XEP-0004 section 4: not-acceptable; and nothing of the form is taken.
TEST_F(Ownership, WrongValuesAreNotAcceptable) {
  const std::string before = config().SerializeAsString();
  const std::pair<const char*, std::vector<std::string>> wrong[] = {
      {"muc#roomconfig_publicroom", {"perhaps"}},
      {"muc#roomconfig_publicroom", {"1", "0"}},
      {"muc#roomconfig_roomname", {std::string(257, 'n')}},
      {"muc#roomconfig_roomname", {"one", "two"}},
      {"muc#roomconfig_roomdesc", {std::string(4097, 'd')}},
      {"muc#roomconfig_lang", {"no language"}},
      {"muc#roomconfig_whois", {"none"}},
      {"muc#roomconfig_whois", {}},
      {"muc#roomconfig_allowpm", {"friends"}},
      {"muc#roomconfig_allowpm", {"anyone", "none"}},
      {"muc#roomconfig_presencebroadcast", {"moderator", "king"}},
      {"muc#roomconfig_getmemberlist", {"none"}},
      {"muc#roomconfig_maxusers", {"0"}},
      {"muc#roomconfig_maxusers", {"-1"}},
      {"muc#roomconfig_maxusers", {"10001"}},
      {"muc#roomconfig_maxusers", {"many"}},
      {"muc#maxhistoryfetch", {"101"}},
      {"muc#maxhistoryfetch", {""}},
      {"muc#roomconfig_slow_mode_duration", {"-5"}},
      {"muc#roomconfig_slow_mode_duration", {"99999999999999999999"}},
      {"muc#roomconfig_slow_mode_duration", {"86401"}},
      {"muc#roominfo_contactjid", {"@"}},
      {"muc#roominfo_contactjid", std::vector<std::string>(21, "a@example.org")},
      {"muc#roominfo_logs", {std::string(1025, 'l')}},
      {"muc#roomconfig_roomsecret", {std::string(257, 'p')}},
      {"muc#roomconfig_roomowners", {"crone1@example.org", "@"}},
      {"muc#roomconfig_roomowners", {"crone1@example.org", "example.org"}},
      {"muc#roomconfig_roomadmins", {"coven@conference.example.org"}},
  };
  for (const auto& [var, values] : wrong) {
    EXPECT_EQ(RefusalIn(Submit(Field("muc#roomconfig_moderatedroom", {"1"}) + Field(var, values))),
              "modify not-acceptable")
        << var << ::testing::PrintToString(values);
  }
  EXPECT_EQ(config().SerializeAsString(), before);
}

TEST_F(Ownership, WhatIsNoFormOfTheRoomIsABadRequest) {
  for (const char* child :
       {"", "<x xmlns='jabber:x:data'/>", "<x xmlns='jabber:x:data' type='form'/>",
        "<x xmlns='jabber:x:data' type='result'/>", "<x xmlns='other' type='submit'/>",
        "<x xmlns='jabber:x:data' type='submit'/><destroy/>",
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>other</value></field></x>",
        "<x xmlns='jabber:x:data' type='submit'><field><value>1</value></field></x>",
        "<x xmlns='jabber:x:data' type='submit'><field "
        "var='muc#roomconfig_whois'><value>anyone</value></field>"
        "<field var='muc#roomconfig_whois'><value>moderators</value></field></x>"})
    EXPECT_EQ(RefusalIn(OwnerSet(kOwner, child)), "modify bad-request") << child;
}

// Section 10.1.3: "because the password for a password-protected room is blank".
TEST_F(Ownership, APasswordGoesWithItsFlag) {
  const std::string flag = "muc#roomconfig_passwordprotectedroom";
  const std::string secret = "muc#roomconfig_roomsecret";
  EXPECT_EQ(Try(flag, {"1"}), "modify not-acceptable");
  EXPECT_EQ(RefusalIn(Submit(Field(flag, {"1"}) + Field(secret, {""}))), "modify not-acceptable");
  Submit(Field(flag, {"0"}) + Field(secret, {"cauldronburn"}));
  EXPECT_EQ(config().password(), "");
  Submit(Field(flag, {"1"}) + Field(secret, {"cauldronburn"}));
  EXPECT_EQ(config().password(), "cauldronburn");
  // The flag is set: it stays, the password may change and may not be blank.
  EXPECT_EQ(Try(flag, {"1"}), "taken");
  Submit(Field(secret, {"other"}));
  EXPECT_EQ(config().password(), "other");
  EXPECT_EQ(Try(secret, {""}), "modify not-acceptable");
  Submit(Field(flag, {"0"}));
  EXPECT_EQ(config().password(), "");
}

// XEP-0004 section 3.5: the flag that is not sent is as if it were said with the password.
TEST_F(Ownership, APasswordAloneSetsItsFlag) {
  EXPECT_EQ(Try("muc#roomconfig_roomsecret", {""}), "taken");
  EXPECT_EQ(config().password(), "");
  EXPECT_EQ(Try("muc#roomconfig_roomsecret", {"cauldronburn"}), "taken");
  EXPECT_EQ(config().password(), "cauldronburn");
}

// ---- new rooms: section 10.1

// Section 10.1.2, "Owner Requests Instant Room".
TEST_F(Ownership, AnEmptyFormOpensANewRoom) {
  driver_.room().ChangeState().set_is_locked(true);
  EXPECT_THAT(OwnerSet(kOwner, "<x xmlns='jabber:x:data' type='submit'/>"), SizeIs(1));
  EXPECT_FALSE(driver_.room().state().is_locked());
}

// Section 10.1.3: nobody has known it before.
TEST_F(Ownership, ANewRoomIsConfiguredWithoutAWord) {
  driver_.room().ChangeState().set_is_locked(true);
  EXPECT_THAT(Submit(Field("muc#roomconfig_publicroom", {"0"})), SizeIs(1));
  EXPECT_FALSE(driver_.room().state().is_locked());
  // A form that is refused opens nothing.
  driver_.room().ChangeState().set_is_locked(true);
  EXPECT_EQ(Try("muc#roomconfig_whois", {"nobody"}), "modify not-acceptable");
  EXPECT_TRUE(driver_.room().state().is_locked());
}

// Section 10.1.3, "Owner Cancels Initial Configuration".
TEST_F(Ownership, CancellingDestroysANewRoom) {
  driver_.room().ChangeState().set_is_locked(true);
  const Said said = OwnerSet(kOwner, "<x xmlns='jabber:x:data' type='cancel'/>");
  EXPECT_THAT(To(said, kOwner), ElementsAre(AllOf(HasSubstr("type=\"unavailable\""), HasSubstr("<destroy/>")),
                                            HasSubstr("type=\"result\"")));
  EXPECT_FALSE(driver_.room().exists());
}

// Section 10.2, "Owner Cancels Subsequent Configuration".
TEST_F(Ownership, CancellingLaterChangesNothing) {
  EXPECT_THAT(OwnerSet(kOwner, "<x xmlns='jabber:x:data' type='cancel'/>"), SizeIs(1));
  EXPECT_TRUE(driver_.room().exists());
}

// Section 10.1: of a new room others know nothing.
TEST_F(Ownership, ANewRoomIsNotFound) {
  driver_.room().ChangeState().set_is_locked(true);
  EXPECT_EQ(RefusalIn(Iq("get", kStranger, "<query xmlns='http://jabber.org/protocol/disco#info'/>")),
            "cancel item-not-found");
  EXPECT_EQ(RefusalIn(OwnerGet(kStranger)), "cancel item-not-found");
}

TEST_F(Ownership, WhatTellsEverybodyOfEverybodyCountsAsARequest) {
  driver_.settings().max_requests = 2;
  EXPECT_EQ(Try("muc#roomconfig_whois", {"anyone"}), "taken");
  EXPECT_EQ(Try("muc#roomconfig_presencebroadcast", {"moderator"}), "taken");
  EXPECT_EQ(Try("muc#roomconfig_whois", {"moderators"}), "wait policy-violation");
  EXPECT_EQ(config().whois(), v1::AUDIENCE_ANYONE);
  EXPECT_EQ(Try("muc#roomconfig_roomname", {"A Dark Cave"}), "taken");
  driver_.Pass(driver_.settings().changes_period.count());
  EXPECT_EQ(Try("muc#roomconfig_whois", {"moderators"}), "taken");
}
// ---- consequences: sections 10.2 and 10.2.1

TEST_F(Ownership, EachAffiliationOfTheFormIsCounted) {
  settings().max_stanzas = 3;
  const auto set_admins = [&](std::string_view jids) {
    return Submit("<field var='muc#roomconfig_roomadmins'>" + std::string(jids) + "</field>");
  };
  EXPECT_EQ(RefusalIn(set_admins("<value>a@example.org</value><value>b@example.org</value>"
                                 "<value>wiccarocks@example.org</value><value>c@example.org</value>")),
            "wait policy-violation");
  EXPECT_TRUE(IsResult(set_admins("<value>wiccarocks@example.org</value>").front()));
}

TEST_F(Ownership, EverybodyIsToldWhatHasChanged) {
  EXPECT_EQ(CodesIn(SubmitOne("muc#roomconfig_enablelogging", "1")), "170 ");
  EXPECT_EQ(CodesIn(SubmitOne("muc#roomconfig_enablelogging", "1")), "");
  EXPECT_EQ(CodesIn(SubmitOne("muc#roomconfig_enablelogging", "0")), "171 ");
  EXPECT_EQ(CodesIn(SubmitOne("muc#roomconfig_whois", "anyone")), "172 ");
  EXPECT_EQ(CodesIn(SubmitOne("muc#roomconfig_whois", "moderators")), "173 ");
  EXPECT_EQ(CodesIn(SubmitOne("muc#roomconfig_roomname", "A Dark Cave")), "104 ");
  EXPECT_EQ(CodesIn(SubmitOne("muc#roomconfig_slow_mode_duration", "20")), "104 ");
  EXPECT_EQ(CodesIn(Submit(Field("muc#roomconfig_whois", {"anyone"}) +
                           Field("muc#roomconfig_moderatedroom", {"1"}))),
            "172 104 ");
}

// Section 8.2's order: who has asked is told first.
TEST_F(Ownership, TheOwnerIsAnsweredFirst) {
  EXPECT_TRUE(IsResult(SubmitOne("muc#roomconfig_roomname", "A Dark Cave").front()));
}

// Section 10.2: "the service MUST remove any non-members from the room".
TEST_F(Ownership, NonMembersLeaveARoomThatIsForMembersNow) {
  const Said said = SubmitOne("muc#roomconfig_membersonly", "1");
  for (const std::string& one : {kNobody, kOwner, kMember})
    EXPECT_THAT(To(said, one), Contains(AllOf(HasSubstr("from=\"coven@conference.example.org/Polo\""),
                                              HasSubstr("type=\"unavailable\""),
                                              HasSubstr("affiliation=\"none\" role=\"none\""),
                                              HasSubstr("<status code=\"322\"/>"))))
        << one;
  EXPECT_EQ(RoleOf("Polo"), v1::ROLE_NONE);
  EXPECT_EQ(RoleOf("Bard"), v1::ROLE_NONE);
  EXPECT_EQ(RoleOf("thirdwitch"), v1::ROLE_PARTICIPANT);
  EXPECT_THAT(To(said, kMember), Contains(HasSubstr("<status code=\"104\"/>")));
}

// muc#roomconfig_presencebroadcast.
TEST_F(Ownership, WhosePresenceIsNotBroadcastAnyMoreGoesForOthers) {
  const Said said = Submit(Field("muc#roomconfig_presencebroadcast", {"moderator"}));
  EXPECT_THAT(To(said, kMember), Contains(AllOf(HasSubstr("from=\"coven@conference.example.org/Polo\""),
                                                HasSubstr("type=\"unavailable\""))));
}

// rooms.quiet-above.
TEST_F(Ownership, ACrowdShowsWhomAnOwnerHasChosen) {
  driver_.settings().quiet_above = 2;
  driver_.room().ChangeKnown("Polo")->set_is_shown(false);
  const auto shown = [&] {
    const std::string form = OwnerGet(kOwner).front();
    const std::size_t at = form.find("muc#roomconfig_presencebroadcast");
    const std::size_t values = form.find("<value>", at);
    return form.substr(values, form.find("<option", at) - values);
  };
  const std::uint32_t everybody = config().presence_broadcast();
  EXPECT_EQ(shown(), "<value>moderator</value>");
  // Who leaves it as it is shown has chosen nothing.
  EXPECT_THAT(To(Submit(Field("muc#roomconfig_presencebroadcast", {"moderator"})), kMember), IsEmpty());
  EXPECT_EQ(config().presence_broadcast(), everybody);
  EXPECT_FALSE(driver_.room().FindNick("Polo")->is_shown());
  const Said said =
      Submit(Field("muc#roomconfig_presencebroadcast", {"moderator", "participant", "visitor"}));
  EXPECT_THAT(To(said, kMember), Contains(AllOf(HasSubstr("from=\"coven@conference.example.org/Polo\""),
                                                HasSubstr("role=\"participant\""))));
  EXPECT_EQ(shown(), "<value>moderator</value><value>participant</value><value>visitor</value>");
  driver_.Apply(
      "<presence from='hecate@example.org/broom' to='coven@conference.example.org/hecate'>"
      "<x xmlns='http://jabber.org/protocol/muc'/></presence>");
  EXPECT_TRUE(driver_.room().FindNick("hecate")->is_shown());
}

TEST_F(Ownership, ATemporaryRoomThatNobodyIsInIsGone) {
  for (const char* nick : {"firstwitch", "secondwitch", "thirdwitch", "Bard", "Polo"})
    driver_.room().RemoveOccupant(nick);
  EXPECT_TRUE(IsResult(SubmitOne("muc#roomconfig_persistentroom", "0").front()));
  EXPECT_FALSE(driver_.room().exists());
}

// Section 7.2.3: the addresses of those who are in, too.
TEST_F(Ownership, OfARoomThatIsNonAnonymousNowAllLearnTheAddresses) {
  driver_.room().ChangeOccupant("Bard")->set_is_shown(false);
  Said said = SubmitOne("muc#roomconfig_whois", "anyone");
  EXPECT_THAT(To(said, kNobody),
              ElementsAre(AllOf(HasSubstr("/firstwitch\""), HasSubstr("jid=\"" + kOwner + "\"")),
                          AllOf(HasSubstr("/secondwitch\""), HasSubstr("jid=\"" + kAdmin + "\"")),
                          AllOf(HasSubstr("/thirdwitch\""), HasSubstr("jid=\"" + kMember + "\"")),
                          HasSubstr("<status code=\"172\"/>")));
  EXPECT_THAT(To(said, kModerator), SizeIs(1)) << "moderators know them";
  said = SubmitOne("muc#roomconfig_whois", "moderators");
  EXPECT_THAT(To(said, kNobody), SizeIs(1));
}

// ---- owners and admins by the form: section 10.2

// "Service Notes Gain of Admin Affiliation to All Users", "Service Notes Loss of Admin Affiliation".
TEST_F(Ownership, TheListOfAdminsIsTheWholeList) {
  const Said said = Submit(Field("muc#roomconfig_roomadmins", {"hag66@example.org"}));
  EXPECT_THAT(
      To(said, kNobody),
      ElementsAre(AllOf(HasSubstr("/secondwitch\""), HasSubstr("affiliation=\"none\" role=\"participant\"")),
                  AllOf(HasSubstr("/thirdwitch\""), HasSubstr("affiliation=\"admin\" role=\"moderator\""))));
  EXPECT_EQ(AffiliationOf("crone1@example.org"), v1::AFFILIATION_OWNER);
}

TEST_F(Ownership, InAMembersOnlyRoomAnAdminBecomesAMember) {
  driver_.config().set_is_members_only(true);
  Submit(Field("muc#roomconfig_roomadmins", {}));
  EXPECT_EQ(AffiliationOf("wiccarocks@example.org"), v1::AFFILIATION_MEMBER);
  EXPECT_EQ(RoleOf("secondwitch"), v1::ROLE_PARTICIPANT);
}

// "Service Notes Loss of Owner Affiliation": an owner who is taken from the list is an admin.
TEST_F(Ownership, AnOwnerWhoIsNotInTheListIsAnAdmin) {
  const Said said = Submit(Field("muc#roomconfig_roomowners", {"wiccarocks@example.org"}));
  EXPECT_THAT(To(said, kNobody), Contains(AllOf(HasSubstr("/firstwitch\""),
                                                HasSubstr("affiliation=\"admin\" role=\"moderator\""))));
  EXPECT_EQ(AffiliationOf("wiccarocks@example.org"), v1::AFFILIATION_OWNER);
  EXPECT_EQ(AffiliationOf("crone1@example.org"), v1::AFFILIATION_ADMIN);
}

TEST_F(Ownership, BothListsTogetherSayItAll) {
  Submit(Field("muc#roomconfig_roomowners", {"hag66@example.org", "wiccarocks@example.org"}) +
         Field("muc#roomconfig_roomadmins", {"wiccarocks@example.org", "polonius@example.net"}));
  EXPECT_EQ(AffiliationOf("hag66@example.org"), v1::AFFILIATION_OWNER);
  EXPECT_EQ(AffiliationOf("wiccarocks@example.org"), v1::AFFILIATION_OWNER);
  EXPECT_EQ(AffiliationOf("polonius@example.net"), v1::AFFILIATION_ADMIN);
  EXPECT_EQ(AffiliationOf("crone1@example.org"), v1::AFFILIATION_NONE);
  // An owner in the list of admins stays one while that of the owners is not sent.
  OwnerSet(kMember, FormWith(Field("muc#roomconfig_roomadmins", {"hag66@example.org"})));
  EXPECT_EQ(AffiliationOf("hag66@example.org"), v1::AFFILIATION_OWNER);
}

// "A service MUST NOT allow an owner to revoke his or her own owner status if there are no other owners".
TEST_F(Ownership, ARoomIsNeverWithoutAnOwner) {
  EXPECT_EQ(Try("muc#roomconfig_roomowners", {}), "cancel conflict");
  EXPECT_EQ(Try("muc#roomconfig_roomowners", {""}), "cancel conflict");
  EXPECT_EQ(AffiliationOf("crone1@example.org"), v1::AFFILIATION_OWNER);
}

TEST_F(Ownership, TheListsHaveBounds) {
  std::vector<std::string> jids{"crone1@example.org"};
  for (int i = 0; i < 101; ++i) jids.push_back("a" + std::to_string(i) + "@example.org");
  EXPECT_EQ(Try("muc#roomconfig_roomowners", jids), "modify not-acceptable");
  driver_.settings().max_affiliations = 3;
  EXPECT_EQ(Try("muc#roomconfig_roomadmins", {"wiccarocks@example.org", "a@example.org"}),
            "wait resource-constraint");
}

// ---- section 10.9

// "Owner Submits Room Destruction Request" to "Service Informs Owner of Successful Destruction".
TEST_F(Ownership, DestroyingARoomTellsEachOccupantOnce) {
  const Said said =
      OwnerSet(kOwner,
               "<destroy jid='heath@conference.example.org'>"
               "<password>burn</password><reason>Macbeth doth &lt;come&gt;.</reason></destroy>");
  ASSERT_THAT(said, SizeIs(6));
  EXPECT_THAT(
      To(said, kMember),
      ElementsAre(AllOf(HasSubstr("from=\"coven@conference.example.org/thirdwitch\""),
                        HasSubstr("type=\"unavailable\""), HasSubstr("affiliation=\"none\" role=\"none\""),
                        HasSubstr("<destroy jid=\"heath@conference.example.org\"><password>burn</password>"
                                  "<reason>Macbeth doth &lt;come&gt;.</reason></destroy></x>"))));
  EXPECT_TRUE(IsResult(said.back()));
  EXPECT_FALSE(driver_.room().exists());
}

TEST_F(Ownership, WhatIsSaidAtTheEndHasBounds) {
  EXPECT_EQ(RefusalIn(OwnerSet(kOwner, "<destroy jid='@'/>")), "modify jid-malformed");
  EXPECT_EQ(RefusalIn(OwnerSet(kOwner, "<destroy><reason>" + std::string(1025, 'r') + "</reason></destroy>")),
            "modify not-acceptable");
  EXPECT_EQ(
      RefusalIn(OwnerSet(kOwner, "<destroy><password>" + std::string(257, 'p') + "</password></destroy>")),
      "modify not-acceptable");
  EXPECT_TRUE(driver_.room().exists());
}

TEST_F(Ownership, ANewRoomIsOpenPublicAndTemporary) {
  const v1::RoomConfig made = DefaultConfig(driver_.settings());
  EXPECT_TRUE(made.is_public());
  EXPECT_FALSE(made.is_persistent() || made.is_members_only() || made.is_moderated() || made.is_logged());
  EXPECT_EQ(made.password(), "");
  EXPECT_EQ(made.whois(), v1::AUDIENCE_MODERATORS);
  EXPECT_EQ(made.allow_pm(), v1::AUDIENCE_ANYONE);
  EXPECT_EQ(made.max_history_fetch(), 20u);
}

TEST_F(Ownership, TheFormHasNoListThatIsTooLong) {
  const std::string domain = "@" + std::string(1'000, 'd') + ".example";
  for (int i = 0; i < 400; ++i)
    Affiliate(std::to_string(i) + std::string(900, 'a') + domain, v1::AFFILIATION_ADMIN);
  const Said said = Iq("get", kOwner, "<query xmlns='http://jabber.org/protocol/muc#owner'/>");
  ASSERT_EQ(said.size(), 1u);
  EXPECT_LT(said.front().size(), 200'000u);
  EXPECT_EQ(said.front().find("muc#roomconfig_roomadmins"), std::string::npos);
  EXPECT_NE(said.front().find("muc#roomconfig_roomowners"), std::string::npos);
}

}  // namespace
}  // namespace rookery::muc
