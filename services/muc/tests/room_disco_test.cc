#include "domain/stanzas/room_disco.h"

#include "domain/messages/activity.h"
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kAdmin;
using testing::kMember;
using testing::kNobody;
using testing::kOwner;
using testing::kStranger;
using ::testing::Not;

class RoomDisco : public testing::StaffedRoomTest {
 protected:
  std::string Info(std::string_view from, std::string_view node = {}) { return Disco(from, "info", node); }
  std::string Items(std::string_view from, std::string_view node = {}, std::string_view set = {}) {
    return Disco(from, "items", node, set);
  }
  std::string Disco(std::string_view from, const std::string& what, std::string_view node,
                    std::string_view set = {}) {
    std::string query = "<query xmlns='http://jabber.org/protocol/disco#" + what + "'";
    if (!node.empty()) query += " node='" + std::string(node) + "'";
    const Said said = Iq("get", from, query + ">" + std::string(set) + "</query>");
    EXPECT_EQ(said.size(), 1u);
    return said.front();
  }
  std::string Refusal(const std::string& said) { return RefusalIn({said}); }
  /// The field of muc#roominfo, or an empty string.
  static std::string FieldOf(const std::string& info, const std::string& var) {
    const std::size_t at = info.find("<field var=\"" + var + "\"");
    return at == std::string::npos ? std::string() : info.substr(at, info.find("</field>", at) - at);
  }
};

// XEP-0045 section 6.4, "Room Returns Disco Info Result".
TEST_F(RoomDisco, ARoomSaysWhatItIs) {
  const std::string info = Info(kStranger);
  EXPECT_THAT(info, HasSubstr("<query xmlns=\"http://jabber.org/protocol/disco#info\">"
                              "<identity category=\"conference\" type=\"text\" name=\"coven\"/>"));
  for (const char* feature :
       {"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items",
        "http://jabber.org/protocol/muc", "http://jabber.org/protocol/muc#register",
        "http://jabber.org/protocol/muc#stable_id", "http://jabber.org/protocol/muc#self-ping-optimization",
        "urn:xmpp:muc:affiliations:1", "urn:xmpp:occupant-id:0", "urn:xmpp:sid:0",
        "urn:xmpp:message-retract:1", "urn:xmpp:message-retract:1#tombstone", "urn:xmpp:message-moderate:1",
        "urn:xmpp:message-moderate:0", "urn:xmpp:hats:0", "vcard-temp", "http://jabber.org/protocol/commands",
        "urn:xmpp:ping", "http://jabber.org/protocol/rsm", "jabber:x:data"})
    EXPECT_THAT(info, HasSubstr("<feature var=\"" + std::string(feature) + "\"/>")) << feature;
  // There is no archive.
  EXPECT_THAT(info, Not(HasSubstr("urn:xmpp:mam")));
  driver_.config().set_name("A Dark Cave");
  EXPECT_THAT(Info(kStranger), HasSubstr("name=\"A Dark Cave\"/>"));
}

// Section 16.3.
TEST_F(RoomDisco, ARoomSaysOfWhichTypesItIs) {
  const auto has = [&](const char* feature) {
    return Info(kStranger).find("<feature var=\"" + std::string(feature) + "\"/>") != std::string::npos;
  };
  const auto expect = [&](const char* is, const char* is_not) {
    EXPECT_TRUE(has(is)) << is;
    EXPECT_FALSE(has(is_not)) << is_not;
  };
  v1::RoomConfig& config = driver_.config();
  expect("muc_unsecured", "muc_passwordprotected");
  expect("muc_public", "muc_hidden");
  expect("muc_persistent", "muc_temporary");
  expect("muc_open", "muc_membersonly");
  expect("muc_unmoderated", "muc_moderated");
  expect("muc_semianonymous", "muc_nonanonymous");
  EXPECT_FALSE(has("urn:xmpp:mmn:0"));
  config.set_password("cauldronburn");
  config.set_is_public(false);
  config.set_is_persistent(false);
  config.set_is_members_only(true);
  config.set_is_moderated(true);
  config.set_whois(v1::AUDIENCE_ANYONE);
  config.set_forwards_mentions(true);
  expect("muc_passwordprotected", "muc_unsecured");
  expect("muc_hidden", "muc_public");
  expect("muc_temporary", "muc_persistent");
  expect("muc_membersonly", "muc_open");
  expect("muc_moderated", "muc_unmoderated");
  expect("muc_nonanonymous", "muc_semianonymous");
  EXPECT_TRUE(has("urn:xmpp:mmn:0"));
}

// "Room Returns Extended Disco Info Result"; the registry of muc#roominfo; XEP-0500 section 5.2.
TEST_F(RoomDisco, TheFormTellsMore) {
  v1::RoomConfig& config = driver_.config();
  config.set_description("The place for all good witches!");
  config.add_contacts("crone1@example.org");
  config.set_lang("en");
  config.set_logs_url("http://example.org/coven");
  config.set_ldap_group("cn=witches");
  config.set_pubsub_node("xmpp:pubsub.example.org?;node=coven");
  config.set_change_subject(true);
  config.set_slow_mode_seconds(20);
  xmpp::SetPayload(*driver_.room().ChangeState().mutable_subject()->mutable_stanza(),
                   xmpp::Element("subject", "jabber:client").SetText("Spells & more"));
  const std::string info = Info(kStranger);
  EXPECT_THAT(info,
              HasSubstr("<x xmlns=\"jabber:x:data\" type=\"result\"><field var=\"FORM_TYPE\" type=\"hidden\">"
                        "<value>http://jabber.org/protocol/muc#roominfo</value></field>"));
  const std::pair<const char*, const char*> fields[] = {
      {"muc#roominfo_description", "The place for all good witches!"},
      {"muc#roominfo_contactjid", "crone1@example.org"},
      {"muc#roominfo_lang", "en"},
      {"muc#roominfo_logs", "http://example.org/coven"},
      {"muc#roominfo_ldapgroup", "cn=witches"},
      {"muc#roomconfig_pubsub", "xmpp:pubsub.example.org?;node=coven"},
      {"muc#roominfo_subject", "Spells &amp; more"},
      {"muc#roominfo_subjectmod", "1"},
      {"muc#roomconfig_changesubject", "1"},
      {"muc#roominfo_occupants", "5"},
      {"muc#maxhistoryfetch", "20"},
      {"muc#roominfo_slow_mode_duration", "20"},
  };
  for (const auto& [var, value] : fields)
    EXPECT_THAT(FieldOf(info, var), HasSubstr("<value>" + std::string(value) + "</value>")) << var;
  EXPECT_EQ(FieldOf(info, "muc#roominfo_avatarhash"), "");
}

// Security Considerations, Information Leaks: what is inside is not for strangers, unless all may come in.
TEST_F(RoomDisco, StrangersDoNotSeeInside) {
  xmpp::SetPayload(*driver_.room().ChangeState().mutable_subject()->mutable_stanza(),
                   xmpp::Element("subject", "jabber:client").SetText("Spells"));
  const auto sees = [&](std::string_view from) {
    const std::string info = Info(from);
    EXPECT_EQ(FieldOf(info, "muc#roominfo_subject").empty(), FieldOf(info, "muc#roominfo_occupants").empty());
    return !FieldOf(info, "muc#roominfo_subject").empty();
  };
  EXPECT_TRUE(sees(kStranger));
  driver_.config().set_is_members_only(true);
  EXPECT_FALSE(sees(kStranger));
  EXPECT_TRUE(sees(kMember));
  driver_.config().set_is_members_only(false);
  driver_.config().set_is_public(false);
  EXPECT_FALSE(sees(kStranger));
  EXPECT_TRUE(sees(kNobody));
  driver_.config().set_is_public(true);
  driver_.config().set_password("cauldronburn");
  EXPECT_FALSE(sees(kStranger));
  driver_.config().clear_password();
  Affiliate("hecate@example.org", v1::AFFILIATION_OUTCAST);
  EXPECT_FALSE(sees(kStranger));
}

// XEP-0502 sections 3.1 and 8.
TEST_F(RoomDisco, OnlyRoomsForAllTellHowLivelyTheyAre) {
  const auto activity = [&] { return FieldOf(Info(kOwner), "{urn:xmpp:muc-activity}message-activity"); };
  driver_.room().ChangeState().mutable_activity()->set_hour(driver_.now_ms() / 3'600'000);
  driver_.room().ChangeState().mutable_activity()->add_messages(48);
  EXPECT_THAT(activity(), HasSubstr("<value>2.0"));
  v1::RoomConfig& config = driver_.config();
  config.set_is_persistent(false);
  EXPECT_EQ(activity(), "");
  config.set_is_persistent(true);
  config.set_is_public(false);
  EXPECT_EQ(activity(), "");
  config.set_is_public(true);
  config.set_is_members_only(true);
  EXPECT_EQ(activity(), "");
  config.set_is_members_only(false);
  config.set_password("cauldronburn");
  EXPECT_EQ(activity(), "");
}

// XEP-0317 section 2.
TEST_F(RoomDisco, TheListOfHatsHasAHash) {
  EXPECT_EQ(FieldOf(Info(kStranger), "hats#hash"), "");
  v1::Hat& hat = *driver_.room().ChangeState().add_hats();
  hat.set_uri("urn:teacher");
  const std::string before = FieldOf(Info(kStranger), "hats#hash");
  EXPECT_NE(before, "");
  hat.set_title("Teacher");
  EXPECT_NE(FieldOf(Info(kStranger), "hats#hash"), before);
}

// Section 7.12, "Room Returns Nickname".
TEST_F(RoomDisco, AReservedNickIsFound) {
  EXPECT_THAT(Info(kMember, "x-roomuser-item"),
              HasSubstr("<query xmlns=\"http://jabber.org/protocol/disco#info\" node=\"x-roomuser-item\"/>"));
  driver_.room().SetReservedNick("hag66@example.org", "thirdwitch");
  EXPECT_THAT(Info(kMember, "x-roomuser-item"),
              HasSubstr("node=\"x-roomuser-item\"><identity category=\"conference\" type=\"text\" "
                        "name=\"thirdwitch\"/></query>"));
  EXPECT_THAT(Info(kStranger, "x-roomuser-item"), Not(HasSubstr("thirdwitch")));
}

// Implementation Notes, Allowable Traffic, "Service Returns Service Unavailable".
TEST_F(RoomDisco, AllTrafficIsAllowed) {
  EXPECT_EQ(Refusal(Info(kMember, "http://jabber.org/protocol/muc#traffic")), "cancel service-unavailable");
}

// XEP-0030 section 7.
TEST_F(RoomDisco, AnUnknownNodeIsNotFound) {
  EXPECT_EQ(Refusal(Info(kMember, "somewhere")), "cancel item-not-found");
  EXPECT_EQ(Refusal(Items(kMember, "somewhere")), "cancel item-not-found");
  driver_.room().Destroy();
  EXPECT_EQ(Refusal(Info(kMember)), "cancel item-not-found");
  EXPECT_EQ(Refusal(Items(kMember)), "cancel item-not-found");
}

// Section 6.5.
TEST_F(RoomDisco, OccupantsAreListedForOccupants) {
  EXPECT_THAT(Items(kStranger), HasSubstr("<query xmlns=\"http://jabber.org/protocol/disco#items\"/>"));
  EXPECT_THAT(
      Items(kOwner),
      HasSubstr("<query xmlns=\"http://jabber.org/protocol/disco#items\">"
                "<item jid=\"coven@conference.example.org/Bard\" name=\"Bard\"/>"
                "<item jid=\"coven@conference.example.org/Polo\" name=\"Polo\"/>"
                "<item jid=\"coven@conference.example.org/firstwitch\" name=\"firstwitch\"/>"
                "<item jid=\"coven@conference.example.org/secondwitch\" name=\"secondwitch\"/>"
                "<item jid=\"coven@conference.example.org/thirdwitch\" name=\"thirdwitch\"/></query>"));
  // Those who are not shown are not listed.
  driver_.room().ChangeOccupant("Polo")->set_is_shown(false);
  EXPECT_THAT(Items(kOwner), Not(HasSubstr("Polo")));
  EXPECT_THAT(Items(kNobody), HasSubstr("Polo"));
}

// XEP-0059.
TEST_F(RoomDisco, OccupantsComeInPages) {
  const std::string set = "<set xmlns='http://jabber.org/protocol/rsm'>";
  EXPECT_THAT(
      Items(kOwner, "", set + "<max>2</max><after>Polo</after></set>"),
      AllOf(HasSubstr("/firstwitch\""), HasSubstr("/secondwitch\""), Not(HasSubstr("/thirdwitch\"")),
            HasSubstr("<first index=\"2\">firstwitch</first><last>secondwitch</last><count>5</count>")));
  EXPECT_THAT(Items(kOwner, "", set + "<max>0</max></set>"), HasSubstr("<count>5</count>"));
  EXPECT_EQ(Refusal(Items(kOwner, "", set + "<after>nobody</after></set>")), "cancel item-not-found");
}

// XEP-0050 sections 2.2 and 2.3.
TEST_F(RoomDisco, CommandsAreListedForThoseWhoMayUseThem) {
  const std::string node = "http://jabber.org/protocol/commands";
  EXPECT_THAT(Items(kOwner, node), AllOf(HasSubstr("node=\"urn:xmpp:hats:commands:create\""),
                                         HasSubstr("node=\"urn:xmpp:hats:commands:assign\"")));
  EXPECT_THAT(Items(kAdmin, node), AllOf(Not(HasSubstr("commands:create")), HasSubstr("commands:assign")));
  EXPECT_THAT(Items(kNobody, node), AllOf(Not(HasSubstr("commands:assign")), HasSubstr("commands:list\"")));
  EXPECT_THAT(Info(kOwner, "urn:xmpp:hats:commands:create"),
              AllOf(HasSubstr("node=\"urn:xmpp:hats:commands:create\"><identity category=\"automation\" "
                              "type=\"command-node\""),
                    HasSubstr("<feature var=\"http://jabber.org/protocol/commands\"/>")));
  EXPECT_EQ(Refusal(Info(kAdmin, "urn:xmpp:hats:commands:create")), "cancel item-not-found");
}

}  // namespace
}  // namespace rookery::muc
