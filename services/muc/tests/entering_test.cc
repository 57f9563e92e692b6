#include "domain/stanzas/entering.h"

#include <algorithm>

#include "room_fixture.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kCrone;
using testing::kHag;
using ::testing::Not;
using testing::RoomTest;
using ::testing::SizeIs;

constexpr std::string_view kMuc = "<x xmlns='http://jabber.org/protocol/muc'/>";

class EnteringTest : public RoomTest {
 protected:
  static std::string Presence(std::string_view from, std::string_view nick, std::string_view payload = kMuc) {
    return "<presence from='" + std::string(from) + "' to='coven@conference.example.org/" +
           std::string(nick) + "' id='n13mt3l'>" + std::string(payload) + "</presence>";
  }
  Said Enter(std::string_view from, std::string_view nick, std::string_view payload = kMuc) {
    return driver_.Apply(Presence(from, nick, payload));
  }
  /// An open room with its owner in it.
  void Open() {
    driver_.Create();
    Affiliate("crone1@example.org", v1::AFFILIATION_OWNER);
    Put("firstwitch", kCrone, v1::ROLE_MODERATOR);
  }
};

// ---- entering (XEP-0045 section 7.2)

// Section 7.2.2: others first, oneself last, which is how a client knows that it has them all.
TEST_F(EnteringTest, GivesTheOthersFirstAndOneselfLastWith110) {
  Open();
  driver_.Put("secondwitch", "wiccarocks@example.org/laptop");
  const Said said = Enter(kHag, "thirdwitch");
  const Said own = To(said, kHag);
  ASSERT_GE(own.size(), 3u);
  EXPECT_THAT(own[0],
              AllOf(HasSubstr("/firstwitch\""), HasSubstr("affiliation=\"owner\" role=\"moderator\"")));
  EXPECT_THAT(own[1], HasSubstr("/secondwitch\""));
  EXPECT_THAT(own[2],
              AllOf(HasSubstr("/thirdwitch\""), HasSubstr("<status code=\"110\"/>"),
                    HasSubstr("id=\"n13mt3l\""), HasSubstr("affiliation=\"none\" role=\"participant\"")));
  EXPECT_THAT(To(said, kCrone), ElementsAre(AllOf(HasSubstr("/thirdwitch\""), Not(HasSubstr("110")))));
  EXPECT_EQ(driver_.room().FindSession(kHag)->nick(), "thirdwitch");
}

TEST_F(EnteringTest, TellsWhatTheClientSaysButNotThatItEnters) {
  Open();
  const Said said =
      Enter(kHag, "thirdwitch",
            "<x xmlns='http://jabber.org/protocol/muc'><password>p</password></x><show>away</show>");
  EXPECT_THAT(To(said, kCrone), ElementsAre(AllOf(HasSubstr("<show>away</show>"), Not(HasSubstr("password")),
                                                  Not(HasSubstr("\"http://jabber.org/protocol/muc\"")))));
}

// Section 7.1, XEP-0463 section 5.2.1, XEP-0486.
TEST_F(EnteringTest, TellsThingsInTheirOrder) {
  Open();
  v1::PastMessage message;
  message.mutable_stanza()->set_kind(common::v1::STANZA_KIND_MESSAGE);
  message.mutable_stanza()->set_type("groupchat");
  message.mutable_stanza()->set_from("coven@conference.example.org/firstwitch");
  message.mutable_stanza()->set_payload("<body>Harpier cries</body>");
  message.set_archive_id(1);
  message.set_received_at_ms(driver_.now_ms());
  driver_.config().set_max_history_fetch(20);
  driver_.room().Remember(message, 20, 10'000);
  driver_.room().ChangeState().set_avatar_hash("da39a3ee5e6b4b0d3255bfef95601890afd80709");
  // One who may know the affiliations.
  driver_.config().set_member_list_readers(1u << v1::ROLE_PARTICIPANT);
  driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  Affiliate("hag66@example.org", v1::AFFILIATION_MEMBER);
  const auto step_of = [](const std::string& one) {
    const std::string open_tag = one.substr(0, one.find('>'));
    const bool is_presence = open_tag.starts_with("<presence");
    if (one.find("<mav ") != std::string::npos && !is_presence) return 0;
    if (is_presence && open_tag.find("/firstwitch\"") != std::string::npos) return 1;
    if (is_presence && open_tag.find("/thirdwitch\"") != std::string::npos) return 2;
    if (is_presence) return 3;
    return one.find("<subject") == std::string::npos ? 4 : 5;
  };
  const Said own = To(Enter(kHag, "thirdwitch",
                            "<x xmlns='http://jabber.org/protocol/muc'>"
                            "<mav xmlns='urn:xmpp:muc:affiliations:1'/></x>"),
                      kHag);
  std::vector<int> steps;
  for (const std::string& one : own) steps.push_back(step_of(one));
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end())) << ::testing::PrintToString(own);
  EXPECT_THAT(steps, AllOf(Contains(0), Contains(1), Contains(2)));
}

// Section 7.2.1, "No Nickname Specified".
TEST_F(EnteringTest, WithoutNickIsRefused) {
  Open();
  EXPECT_THAT(
      driver_.Apply("<presence from='hag66@example.org/pda' to='coven@conference.example.org'>" +
                    std::string(kMuc) + "</presence>"),
      ElementsAre(HasSubstr("<error type=\"modify\" by=\"coven@conference.example.org\"><jid-malformed ")));
}

// Section 7.2.3.
TEST_F(EnteringTest, ANonAnonymousRoomWarnsWith100) {
  Open();
  driver_.config().set_whois(v1::AUDIENCE_ANYONE);
  const Said said = Enter(kHag, "thirdwitch");
  EXPECT_THAT(To(said, kHag), Contains(HasSubstr("<status code=\"100\"/><status code=\"110\"/>")));
  EXPECT_THAT(To(said, kHag)[0], HasSubstr("jid=\"" + kCrone + "\""));
}

// Section 7.2.4.
TEST_F(EnteringTest, ASemiAnonymousRoomShowsTheEnteringNoAddressOfOthers) {
  Open();
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kHag)[0], Not(HasSubstr("jid=")));
}

// Section 7.2.5.
TEST_F(EnteringTest, WithoutTheRightPasswordIsRefused) {
  Open();
  driver_.config().set_password("cauldronburn");
  const auto with = [](const std::string& password) {
    return "<x xmlns='http://jabber.org/protocol/muc'><password>" + password + "</password></x>";
  };
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("auth", "not-authorized"));
  EXPECT_THAT(Enter(kHag, "thirdwitch", with("")), IsRefused("auth", "not-authorized"));
  EXPECT_THAT(Enter(kHag, "thirdwitch", with("cauldronburns")), IsRefused("auth", "not-authorized"));
  EXPECT_THAT(Enter("crone1@example.org/phone", "firstwitch"), IsRefused("auth", "not-authorized"));
  EXPECT_THAT(To(Enter(kHag, "thirdwitch", with("cauldronburn")), kHag), Contains(HasSubstr("110")));
}

// Section 7.2.6.
TEST_F(EnteringTest, AMembersOnlyRoomRefusesOthers) {
  Open();
  driver_.config().set_is_members_only(true);
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("auth", "registration-required"));
  Affiliate("hag66@example.org", v1::AFFILIATION_MEMBER);
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kHag), Contains(HasSubstr("affiliation=\"member\"")));
}

// Section 7.2.7.
TEST_F(EnteringTest, TheBannedAreRefused) {
  Open();
  Affiliate("hag66@example.org", v1::AFFILIATION_OUTCAST);
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("auth", "forbidden"));
  Affiliate("bad.example.com", v1::AFFILIATION_OUTCAST);
  EXPECT_THAT(Enter("who@bad.example.com/x", "thirdwitch"), IsRefused("auth", "forbidden"));
}

// Section 7.2.8.
TEST_F(EnteringTest, ANickThatIsTakenIsRefused) {
  Open();
  EXPECT_THAT(Enter(kHag, "firstwitch"), IsRefused("cancel", "conflict"));
}

TEST_F(EnteringTest, ANickThatAnotherHasReservedIsRefused) {
  Open();
  driver_.room().SetReservedNick("wiccarocks@example.org", "thirdwitch");
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("cancel", "conflict"));
  EXPECT_THAT(To(Enter("wiccarocks@example.org/laptop", "thirdwitch"), kCrone), SizeIs(1));
}

TEST_F(EnteringTest, ANickThatLooksLikeAnothersIsRefused) {
  Open();
  EXPECT_THAT(Enter(kHag, "firstw\u0456tch"),
              IsRefused("modify", "not-acceptable"));  // Cyrillic within Latin
  driver_.Put("scope", "wiccarocks@example.org/laptop");
  EXPECT_THAT(Enter(kHag, "\u0455\u0441\u043e\u0440\u0435"),
              IsRefused("cancel", "conflict"));  // all Cyrillic
  EXPECT_THAT(Enter(kHag, "scope "), IsRefused("cancel", "conflict"));
}

TEST_F(EnteringTest, ANickThatCannotBeSeenOrIsTooLongIsRefused) {
  Open();
  EXPECT_THAT(Enter(kHag, "  "), IsRefused("modify", "not-acceptable"));
  EXPECT_THAT(Enter(kHag, std::string(257, 'a')), IsRefused("modify", "not-acceptable"));
  EXPECT_THAT(To(Enter(kHag, std::string(256, 'a')), kCrone), SizeIs(1));
}

// Section 7.2.8: a user's devices share a nick.
TEST_F(EnteringTest, AnotherDeviceSharesTheNickUnnoticed) {
  Open();
  Enter(kHag, "thirdwitch");
  const Said said = Enter("hag66@example.org/phone", "thirdwitch");
  EXPECT_THAT(To(said, kCrone), IsEmpty());
  EXPECT_THAT(To(said, kHag), IsEmpty());
  const Said own = To(said, "hag66@example.org/phone");
  ASSERT_GE(own.size(), 2u);
  EXPECT_THAT(own[0], HasSubstr("/firstwitch\""));
  EXPECT_THAT(own[1], AllOf(HasSubstr("/thirdwitch\""), HasSubstr("110")));
  EXPECT_EQ(driver_.room().occupants().size(), 2u);
}

TEST_F(EnteringTest, AMoreAvailableDeviceIsHeardOf) {
  Open();
  Enter(kHag, "thirdwitch", std::string(kMuc) + "<show>xa</show>");
  const Said said = Enter("hag66@example.org/phone", "thirdwitch");
  EXPECT_THAT(To(said, kCrone),
              ElementsAre(AllOf(HasSubstr("jid=\"hag66@example.org/phone\""), Not(HasSubstr("<show>")))));
}

TEST_F(EnteringTest, DevicesWithOneNickAreBounded) {
  Open();
  driver_.settings().max_sessions_per_nick = 2;
  Enter(kHag, "thirdwitch");
  Enter("hag66@example.org/phone", "thirdwitch");
  EXPECT_THAT(Enter("hag66@example.org/tablet", "thirdwitch"), IsRefused("wait", "resource-constraint"));
}

// Section 7.2.9.
TEST_F(EnteringTest, AFullRoomRefusesAllButThoseWhoAdministerIt) {
  Open();
  driver_.config().set_max_users(1);
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("wait", "service-unavailable"));
  // A device more is no occupant more.
  EXPECT_THAT(To(Enter("crone1@example.org/phone", "firstwitch"), "crone1@example.org/phone"),
              Contains(HasSubstr("110")));
  Affiliate("wiccarocks@example.org", v1::AFFILIATION_ADMIN);
  EXPECT_THAT(To(Enter("wiccarocks@example.org/laptop", "secondwitch"), kCrone), SizeIs(1));
}

TEST_F(EnteringTest, NoRoomHasMoreOccupantsThanTheServiceAllows) {
  Open();
  driver_.settings().max_occupants = 1;
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("wait", "service-unavailable"));
}

// Section 7.2.10.
TEST_F(EnteringTest, ALockedRoomIsNotThereForOthers) {
  Open();
  driver_.room().ChangeState().set_is_locked(true);
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("cancel", "item-not-found"));
  Affiliate("hag66@example.org", v1::AFFILIATION_MEMBER);
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("cancel", "item-not-found"));
  EXPECT_THAT(To(Enter("crone1@example.org/phone", "firstwitch"), "crone1@example.org/phone"),
              Contains(HasSubstr("110")));
}

// Section 7.2.12.
TEST_F(EnteringTest, ALoggedRoomWarnsWith170) {
  Open();
  driver_.config().set_is_logged(true);
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kHag),
              Contains(HasSubstr("<status code=\"110\"/><status code=\"170\"/>")));
}

// Section 7.2.18, since version 1.32.
TEST_F(EnteringTest, PresenceOfOneWhoIsNotInIsAnsweredThatHeIsNot) {
  Open();
  const auto is_kicked =
      ElementsAre(AllOf(HasSubstr("to=\"" + kHag + "\""), HasSubstr("type=\"unavailable\""),
                        HasSubstr("<status code=\"110\"/><status code=\"307\"/><status code=\"333\"/>")));
  EXPECT_THAT(Enter(kHag, "thirdwitch", "<show>away</show>"), is_kicked);
  EXPECT_EQ(driver_.room().FindSession(kHag), nullptr);
  testing::RoomDriver nowhere;
  EXPECT_THAT(nowhere.Apply(Presence(kHag, "thirdwitch", "")), is_kicked);
  EXPECT_FALSE(nowhere.room().exists());
}

TEST_F(EnteringTest, WithoutMucIsAdmittedWhereTheOperatorWantsIt) {
  Open();
  driver_.settings().admits_groupchat_1 = true;
  EXPECT_THAT(To(Enter(kHag, "thirdwitch", ""), kHag), Contains(HasSubstr("110")));
  EXPECT_TRUE(driver_.room().FindSession(kHag)->sessions(0).is_gc1());
  testing::RoomDriver nowhere;
  nowhere.settings().admits_groupchat_1 = true;
  EXPECT_THAT(nowhere.Apply(Presence(kHag, "thirdwitch", "")), Contains(HasSubstr("201")));
  EXPECT_FALSE(nowhere.room().state().is_locked());
}

// Section 5.1.2.
TEST_F(EnteringTest, AModeratedRoomGivesVoiceToMembersOnly) {
  Open();
  driver_.config().set_is_moderated(true);
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kCrone), ElementsAre(HasSubstr("role=\"visitor\"")));
  Affiliate("wiccarocks@example.org", v1::AFFILIATION_MEMBER);
  EXPECT_THAT(To(Enter("wiccarocks@example.org/laptop", "secondwitch"), kCrone),
              ElementsAre(HasSubstr("role=\"participant\"")));
}

// Section 7.2.2: the service assigns a nick that is locked.
TEST_F(EnteringTest, WithALockedNickIsUnderTheReservedOneWith210) {
  Open();
  driver_.room().SetReservedNick("hag66@example.org", "thirdwitch");
  driver_.config().set_locks_nicks(true);
  EXPECT_THAT(
      To(Enter(kHag, "other"), kHag),
      Contains(AllOf(HasSubstr("/thirdwitch\""), HasSubstr("<status code=\"110\"/><status code=\"210\"/>"))));
}

TEST_F(EnteringTest, TheReservedNickIsAChoiceWhereNicksAreNotLocked) {
  Open();
  driver_.room().SetReservedNick("hag66@example.org", "thirdwitch");
  EXPECT_THAT(To(Enter(kHag, "other"), kHag), Contains(AllOf(HasSubstr("/other\""), Not(HasSubstr("210")))));
}

TEST_F(EnteringTest, AnAdministratorOfTheServiceIsAnOwner) {
  Open();
  driver_.settings().administrators = {"root@example.org"};
  Affiliate("root@example.org", v1::AFFILIATION_OUTCAST);
  EXPECT_THAT(To(Enter("root@example.org/x", "root"), kCrone),
              ElementsAre(HasSubstr("affiliation=\"owner\" role=\"moderator\"")));
}

// XEP-0463 section 5.2.1.
TEST_F(EnteringTest, TheOwnPresenceNamesTheVersionOfTheAffiliations) {
  Open();
  driver_.room().ChangeState().set_affiliation_version(17);
  const Said said = Enter(kHag, "thirdwitch");
  EXPECT_THAT(To(said, kHag),
              Contains(HasSubstr("<mav xmlns=\"urn:xmpp:muc:affiliations:1\" until=\"17\"/>")));
  EXPECT_THAT(To(said, kCrone), ElementsAre(Not(HasSubstr("<mav"))));
}

// ---- creating (section 10.1)

TEST_F(EnteringTest, TheFirstToEnterCreatesTheRoomAndOwnsIt) {
  EXPECT_THAT(To(Enter(kCrone, "firstwitch"), kCrone),
              Contains(AllOf(HasSubstr("affiliation=\"owner\" role=\"moderator\""),
                             HasSubstr("<status code=\"110\"/>"), HasSubstr("<status code=\"201\"/>"))));
  EXPECT_TRUE(driver_.room().exists());
  EXPECT_TRUE(driver_.room().state().is_locked());
  EXPECT_EQ(driver_.room().state().created_at_ms(), driver_.now_ms());
  EXPECT_EQ(driver_.room().AffiliationOf("crone1@example.org"), v1::AFFILIATION_OWNER);
}

TEST_F(EnteringTest, ARoomThatIsMadeAgainHasNewerVersionsOfItsAffiliations) {
  Enter(kCrone, "firstwitch");
  const std::uint64_t before = driver_.room().state().affiliation_version();
  driver_.Apply(
      "<presence from='crone1@example.org/desktop' to='coven@conference.example.org/firstwitch' "
      "type='unavailable'/>");
  EXPECT_FALSE(driver_.room().exists());
  driver_.Pass(10);
  Enter(kHag, "thirdwitch");
  EXPECT_GT(driver_.room().state().affiliation_horizon(), before);
  EXPECT_EQ(driver_.room().AffiliationOf("crone1@example.org"), v1::AFFILIATION_NONE);
}

TEST_F(EnteringTest, CreatingIsForThoseWhomTheOperatorLets) {
  driver_.settings().administrators = {"root@example.org"};
  driver_.settings().creation = Creation::kAdministrators;
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("cancel", "not-allowed"));
  driver_.settings().creation = Creation::kMembers;
  EXPECT_THAT(Enter("hag66@example.com/pda", "thirdwitch"), IsRefused("cancel", "not-allowed"));
  EXPECT_THAT(Enter("hag66@conference.example.org/pda", "thirdwitch"), IsRefused("cancel", "not-allowed"));
  EXPECT_FALSE(driver_.room().exists());
  EXPECT_THAT(Enter(kHag, "thirdwitch"), Contains(HasSubstr("201")));
}

TEST_F(EnteringTest, AdministratorsAlwaysCreate) {
  driver_.settings().administrators = {"root@example.com"};
  driver_.settings().creation = Creation::kAdministrators;
  EXPECT_THAT(Enter("root@example.com/x", "root"), Contains(HasSubstr("201")));
}

// Who makes a room is asked for before: what WouldCreate does not see makes one that nobody has allowed.
TEST_F(EnteringTest, OnlyWhatIsSeenToCreateARoomCreatesOne) {
  const std::string muc(kMuc);
  const std::string tag =
      "<presence from='crone1@example.org/desktop' id='1' to='coven@conference.example.org";
  const struct {
    std::string xml;
    bool creates;
    /// Where presence without <x/> is a join, too.
    bool creates_with_groupchat_1;
  } presences[] = {
      {tag + "/witch'>" + muc + "</presence>", true, true},
      {tag + "/witch'><show>away</show>" + muc + "</presence>", true, true},
      {tag + "/witch'><x xmlns='http://jabber.org/protocol/muc'><password>x</password></x></presence>", true,
       true},
      {tag + "/witch'><x xmlns='http://jabber.org/protocol/muc'/>" + muc + "</presence>", true, true},
      {tag + "/witch'/>", false, true},
      {tag + "/witch'><x xmlns='http://jabber.org/protocol/muc#user'/></presence>", false, true},
      {tag + "/witch'><y xmlns='http://jabber.org/protocol/muc'/></presence>", false, true},
      {tag + "/witch'><status>http://jabber.org/protocol/muc</status></presence>", false, true},
      {tag + "/witch'><z xmlns='urn:z'><x xmlns='http://jabber.org/protocol/muc'/></z></presence>", false,
       true},
      {tag + "'>" + muc + "</presence>", false, false},
      {tag + "/witch' type='unavailable'>" + muc + "</presence>", false, false},
      {tag + "/witch' type='probe'>" + muc + "</presence>", false, false},
      {tag + "/witch' type='error'>" + muc + "</presence>", false, false},
      {tag + "/witch' type='subscribe'>" + muc + "</presence>", false, false},
      {"<message from='crone1@example.org/desktop' to='coven@conference.example.org/witch'>" + muc +
           "</message>",
       false, false},
      {"<iq type='get' id='1' from='crone1@example.org/desktop' to='coven@conference.example.org/witch'>" +
           muc + "</iq>",
       false, false},
  };
  for (const bool admits_groupchat_1 : {false, true}) {
    for (const auto& [xml, creates, creates_with_groupchat_1] : presences) {
      testing::RoomDriver driver;
      driver.settings().admits_groupchat_1 = admits_groupchat_1;
      const xmpp::Stanza stanza = *xmpp::FromElement(xmpp::ParsePayload(xml)->front());
      const bool is_seen = WouldCreate(driver.settings(), driver.room(), stanza);
      driver.Apply(xml);
      EXPECT_EQ(driver.room().exists(), is_seen) << xml;
      EXPECT_EQ(is_seen, admits_groupchat_1 ? creates_with_groupchat_1 : creates) << xml;
      driver.room().Create();
      EXPECT_FALSE(WouldCreate(driver.settings(), driver.room(), stanza)) << "it is there: " << xml;
    }
  }
}

TEST_F(EnteringTest, ARefusedNickCreatesNothing) {
  EXPECT_THAT(Enter(kHag, " "), IsRefused("modify", "not-acceptable"));
  EXPECT_FALSE(driver_.room().exists());
}

// ---- entering again (section 7.2.1 and 17.3.3)

TEST_F(EnteringTest, AgainGivesEverythingAgainAndTellsOthersNothing) {
  Open();
  driver_.config().set_is_logged(true);
  Enter(kHag, "thirdwitch");
  const Said said = Enter(kHag, "thirdwitch");
  EXPECT_THAT(To(said, kCrone), IsEmpty());
  const Said own = To(said, kHag);
  ASSERT_GE(own.size(), 2u);
  EXPECT_THAT(own[0], HasSubstr("/firstwitch\""));
  EXPECT_THAT(own[1],
              AllOf(HasSubstr("/thirdwitch\""), HasSubstr("<status code=\"110\"/><status code=\"170\"/>")));
}

TEST_F(EnteringTest, AgainWithAnotherPresenceTellsOthers) {
  Open();
  Enter(kHag, "thirdwitch");
  EXPECT_THAT(To(Enter(kHag, "thirdwitch", std::string(kMuc) + "<show>dnd</show>"), kCrone),
              ElementsAre(HasSubstr("<show>dnd</show>")));
}

// Section 10.1.1: the room still waits for its configuration.
TEST_F(EnteringTest, AgainInALockedRoomSaysThatItIsNew) {
  Enter(kCrone, "firstwitch");
  const auto is_new = Contains(HasSubstr("<status code=\"110\"/><status code=\"201\"/>"));
  EXPECT_THAT(Enter(kCrone, "firstwitch"), is_new);
  EXPECT_THAT(To(Enter("crone1@example.org/phone", "firstwitch"), "crone1@example.org/phone"), is_new);
  driver_.room().ChangeState().set_is_locked(false);
  EXPECT_THAT(Enter(kCrone, "firstwitch"), Not(Contains(HasSubstr("201"))));
}

TEST_F(EnteringTest, AgainUnderAnotherNickChangesItAndGivesEverything) {
  Open();
  Enter(kHag, "thirdwitch");
  const Said said = Enter(kHag, "oldhag");
  EXPECT_THAT(To(said, kCrone), ElementsAre(HasSubstr("303"), HasSubstr("/oldhag\"")));
  // Section 7.2.2: oneself last.
  EXPECT_THAT(To(said, kHag),
              ElementsAre(AllOf(HasSubstr("/thirdwitch\""), HasSubstr("303")), HasSubstr("/firstwitch\""),
                          AllOf(HasSubstr("/oldhag\""), HasSubstr("110"), HasSubstr("id=\"n13mt3l\"")),
                          HasSubstr("<subject")));
}

TEST_F(EnteringTest, AgainUnderTheNickOfAnotherDeviceGivesOneselfLast) {
  Open();
  Enter(kHag, "thirdwitch");
  Enter("hag66@example.org/phone", "oldhag");
  EXPECT_THAT(To(Enter(kHag, "oldhag"), kHag),
              ElementsAre(AllOf(HasSubstr("/thirdwitch\""), HasSubstr("303")), HasSubstr("/firstwitch\""),
                          AllOf(HasSubstr("/oldhag\""), HasSubstr("110")), HasSubstr("<subject")));
}

// Section 7.2.2: as at the first time, whatever nick the client asks for.
TEST_F(EnteringTest, AgainWithALockedNickIsUnderTheReservedOneWith210) {
  Open();
  driver_.room().SetReservedNick("hag66@example.org", "thirdwitch");
  driver_.config().set_locks_nicks(true);
  Enter(kHag, "other");
  const auto is_assigned =
      Contains(AllOf(HasSubstr("/thirdwitch\""), HasSubstr("<status code=\"110\"/><status code=\"210\"/>")));
  const Said said = Enter(kHag, "other");
  EXPECT_THAT(To(said, kHag), AllOf(Contains(HasSubstr("/firstwitch\"")), is_assigned));
  EXPECT_THAT(To(said, kCrone), IsEmpty());
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kHag), Not(Contains(HasSubstr("210"))));
  // An occupant who was in before nicks were locked has the reserved one then.
  driver_.room().Rename("thirdwitch", "oldhag");
  EXPECT_THAT(To(Enter(kHag, "other"), kHag), is_assigned);
  EXPECT_EQ(driver_.room().FindSession(kHag)->nick(), "thirdwitch");
}

// ---- how often

TEST_F(EnteringTest, ComingAndGoingTooOftenIsRefusedUntilThePeriodIsOver) {
  Open();
  driver_.settings().max_changes = 3;
  const auto leave = [&] {
    driver_.Apply(
        "<presence from='hag66@example.org/pda' to='coven@conference.example.org/thirdwitch' "
        "type='unavailable'/>");
  };
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kCrone), SizeIs(1)) << i;
    leave();
    driver_.Pass(1000);
  }
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("wait", "resource-constraint"));
  // Another nick, or another device, is of the same account.
  EXPECT_THAT(Enter("hag66@example.org/phone", "other"), IsRefused("wait", "resource-constraint"));
  EXPECT_THAT(To(Enter("wiccarocks@example.org/laptop", "secondwitch"), kCrone), SizeIs(1));
  driver_.Pass(57'000);
  EXPECT_THAT(To(Enter(kHag, "thirdwitch"), kCrone), SizeIs(1));
}

TEST_F(EnteringTest, AgainTooOftenIsRefused) {
  Open();
  driver_.settings().max_changes = 2;
  Enter(kHag, "thirdwitch");
  Enter(kHag, "thirdwitch");
  EXPECT_THAT(Enter(kHag, "thirdwitch"), IsRefused("wait", "resource-constraint"));
  EXPECT_NE(driver_.room().FindSession(kHag), nullptr);
}

// ---- hostile

TEST_F(EnteringTest, NothingThatAClientForgesReachesOthers) {
  Open();
  const Said said = Enter(
      kHag, "thirdwitch",
      std::string(kMuc) +
          "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' role='moderator'/></x>"
          "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>"
          "<hats xmlns='urn:xmpp:hats:0'><hat uri='urn:forged' title='Owner'/></hats>");
  ASSERT_THAT(To(said, kCrone), SizeIs(1));
  EXPECT_THAT(To(said, kCrone)[0], AllOf(Not(HasSubstr("owner")), Not(HasSubstr("forged"))));
}

TEST_F(EnteringTest, TwoOwnersWhoApplyTheSameSayTheSame) {
  testing::RoomDriver other;
  for (const std::string& xml :
       {Presence(kCrone, "firstwitch"), Presence(kCrone, "oldhag"), Presence(kHag, "thirdwitch"),
        Presence(kCrone, "oldhag", "<show>away</show>")})
    EXPECT_EQ(driver_.Apply(xml), other.Apply(xml));
}

}  // namespace
}  // namespace rookery::muc
