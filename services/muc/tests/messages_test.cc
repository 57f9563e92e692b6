#include "domain/stanzas/messages.h"

#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using MessagesTest = Coven;

// XEP-0045 section 7.4, "Service Reflects Message to All Occupants".
TEST_F(MessagesTest, GoToAllWithTheSameIdFromTheOccupant) {
  const Said said = Groupchat(kHag, "<body>Harpier cries: &apos;tis time.</body>", "hysf1v37");
  ASSERT_THAT(said, SizeIs(3));
  EXPECT_EQ(said[0],
            "<message from=\"coven@conference.example.org/thirdwitch\" to=\"crone1@example.org/desktop\" "
            "id=\"hysf1v37\" type=\"groupchat\"><body>Harpier cries: 'tis time.</body>"
            "<occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"" +
                OccupantId("thirdwitch") + "\"/><stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"" + NewestIdText() +
                "\" by=\"coven@conference.example.org\"/></message>");
  EXPECT_THAT(To(said, kWicca), SizeIs(1));
  EXPECT_THAT(To(said, kHag), SizeIs(1));
}

TEST_F(MessagesTest, IsSaidOnceToTheSharedListOfSessions) {
  Put("secondwitch", "wiccarocks@example.org/phone");
  const auto everyone = room().everyone();
  ASSERT_THAT(*everyone, SizeIs(4));
  Groupchat(kHag, "<body>hi</body><active xmlns='http://jabber.org/protocol/chatstates'/>");
  ASSERT_THAT(outcome().said, SizeIs(1));
  EXPECT_EQ(outcome().said[0].recipients, everyone);
  EXPECT_TRUE(outcome().said[0].stanza.to().empty());
}

// Section 7.4: "If the sender is not an occupant of the room".
TEST_F(MessagesTest, OfWhoIsNotInTheRoomAreNotAcceptable) {
  EXPECT_THAT(Groupchat(kHecate, "<body>hi</body>"), IsError(kHecate, "modify", "not-acceptable"));
  // Another session of an occupant is not in the room either.
  EXPECT_THAT(Groupchat("hag66@example.org/other", "<body>hi</body>"),
              IsError("hag66@example.org/other", "modify", "not-acceptable"));
  EXPECT_THAT(outcome().archived, IsEmpty());
}

// Section 7.4: "If the sender is a visitor".
TEST_F(MessagesTest, OfVisitorsOfAModeratedRoomAreForbidden) {
  config().set_is_moderated(true);
  SetRoleOf("thirdwitch", v1::ROLE_VISITOR);
  EXPECT_THAT(Groupchat(kHag, "<body>hi</body>"), IsError(kHag, "auth", "forbidden"));
  EXPECT_THAT(room().history(), IsEmpty());
  EXPECT_THAT(Groupchat(kWicca, "<body>hi</body>"), SizeIs(3));
}

// Section 5.1.1: an implementation may grant voice to visitors of an unmoderated room.
TEST_F(MessagesTest, OfVisitorsOfAnUnmoderatedRoomGoToAll) {
  SetRoleOf("thirdwitch", v1::ROLE_VISITOR);
  EXPECT_THAT(Groupchat(kHag, "<body>hi</body>"), SizeIs(3));
}

// Section 7.4: "policies regarding message content or size".
TEST_F(MessagesTest, ThatAreTooLargeAreRefused) {
  settings().max_message_bytes = 100;
  const std::string body = "<body>" + std::string(80, 'x') + "</body>";
  EXPECT_THAT(Groupchat(kHag, body), SizeIs(3));
  EXPECT_THAT(Groupchat(kHag, body, std::string(100, 'i')), IsError(kHag, "modify", "policy-violation"));
  EXPECT_THAT(Send(kHag, "chat", "<body>" + std::string(100, 'x') + "</body>",
                   "coven@conference.example.org/firstwitch"),
              IsError(kHag, "modify", "policy-violation"));
  EXPECT_THAT(ToRoom(kHag, "<body>" + std::string(100, 'x') + "</body>"),
              IsError(kHag, "modify", "policy-violation"));
}

TEST_F(MessagesTest, WithoutIdAreReflectedWithoutOne) {
  const Said said = Groupchat(kHag, "<body>hi</body>", "");
  EXPECT_THAT(said, ::testing::Each(Not(HasSubstr(" id=\"\""))));
  EXPECT_THAT(said[0], HasSubstr("to=\"crone1@example.org/desktop\" type=\"groupchat\">"));
}

// XEP-0359 section 3: the room's id is its own; XEP-0421 section 4: exactly one occupant id.
TEST_F(MessagesTest, LoseWhatOnlyTheRoomSays) {
  const Said said = Groupchat(
      kHag,
      "<body>hi</body>"
      "<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='coven@conference.example.org'/>"
      "<stanza-id xmlns='urn:xmpp:sid:0' id='spelled' by='Coven@CONFERENCE.example.org'/>"
      "<stanza-id xmlns='urn:xmpp:sid:0' id='account' by='hag66@example.org'/>"
      "<stanza-id xmlns='urn:xmpp:sid:0' id='elsewhere' by='other@example.org'/>"
      "<origin-id xmlns='urn:xmpp:sid:0' id='origin'/>"
      "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>"
      "<x xmlns='http://jabber.org/protocol/muc#user'><status code='301'/></x>"
      "<hats xmlns='urn:xmpp:hats:0'><hat title='King'/></hats>"
      "<delay xmlns='urn:xmpp:delay' from='coven@conference.example.org' stamp='2002-10-13T23:58:37Z'/>"
      "<delay xmlns='urn:xmpp:delay' from='conference.example.org' stamp='2002-10-13T23:58:38Z'/>"
      "<delay xmlns='urn:xmpp:delay' stamp='2002-10-13T23:58:39Z'/>"
      "<delay xmlns='urn:xmpp:delay' from='hag66@example.org/pda' stamp='2002-10-13T23:58:40Z'/>"
      "<mentions xmlns='urn:xmpp:mmn:0'/>"
      "<retracted xmlns='urn:xmpp:message-retract:1' id='x'/>"
      "<moderated xmlns='urn:xmpp:message-moderate:1' by='x'/>"
      "<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='a@b'/></addresses>"
      "<store xmlns='urn:xmpp:hints'/>");
  ASSERT_THAT(said, SizeIs(3));
  EXPECT_EQ(said[0],
            "<message from=\"coven@conference.example.org/thirdwitch\" to=\"crone1@example.org/desktop\" "
            "id=\"m1\" type=\"groupchat\"><body>hi</body>"
            "<stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"elsewhere\" by=\"other@example.org\"/>"
            "<origin-id xmlns=\"urn:xmpp:sid:0\" id=\"origin\"/>"
            "<delay xmlns=\"urn:xmpp:delay\" from=\"hag66@example.org/pda\" stamp=\"2002-10-13T23:58:40Z\"/>"
            "<store xmlns=\"urn:xmpp:hints\"/>"
            "<occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"" +
                OccupantId("thirdwitch") + "\"/><stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"" + NewestIdText() +
                "\" by=\"coven@conference.example.org\"/></message>");
}

TEST_F(MessagesTest, LoseEachThingThatOnlyTheRoomSaysWhereItStandsAlone) {
  for (const std::string forged :
       {"<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='coven@conference.example.org'/>",
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><status code='forged'/></x>",
        "<hats xmlns='urn:xmpp:hats:0'><hat title='forged'/></hats>",
        "<delay xmlns='urn:xmpp:delay' from='coven@conference.example.org' stamp='forged'/>",
        "<mentions xmlns='urn:xmpp:mmn:0'><forged/></mentions>",
        "<retracted xmlns='urn:xmpp:message-retract:1' id='forged'/>",
        "<moderated xmlns='urn:xmpp:message-moderate:1' by='forged'/>",
        "<moderated xmlns='urn:xmpp:message-moderate:0' by='forged'/>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='9'><moderated "
        "xmlns='urn:xmpp:message-moderate:1' by='forged'/></retract>",
        "<apply-to xmlns='urn:xmpp:fasten:0' id='9'><moderated xmlns='urn:xmpp:message-moderate:0' "
        "by='forged'/></apply-to>",
        "<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' "
        "jid='forged'/></addresses>"}) {
    const Said said = Groupchat(kHag, "<body>hi</body>" + forged);
    ASSERT_THAT(said, SizeIs(3));
    EXPECT_THAT(said[0], Not(HasSubstr("forged")));
    EXPECT_THAT(said[0], HasSubstr("<body>hi</body>"));
  }
}

TEST_F(MessagesTest, ThatSayTheNamesOfSuchThingsAsTextAreLeftAlone) {
  const Said said = Groupchat(
      kHag, "<body>urn:xmpp:hats:0 &lt;subject&gt;</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/>");
  EXPECT_THAT(said[0], HasSubstr("<body>urn:xmpp:hats:0 &lt;subject&gt;</body><origin-id"));
}

// XEP-0444, XEP-0308, XEP-0184, XEP-0333, XEP-0461: nothing but to pass on.
TEST_F(MessagesTest, PassAsTheyCame) {
  for (const std::string payload :
       {"<reactions xmlns=\"urn:xmpp:reactions:0\" id=\"7\"><reaction>x</reaction></reactions>",
        "<body>but soft</body><replace xmlns=\"urn:xmpp:message-correct:0\" id=\"bad1\"/>",
        "<body>hi</body><request xmlns=\"urn:xmpp:receipts\"/>",
        "<displayed xmlns=\"urn:xmpp:chat-markers:0\" id=\"7\"/>",
        "<body>hi</body><reply xmlns=\"urn:xmpp:reply:0\" id=\"7\"/>"})
    EXPECT_THAT(Groupchat(kHag, payload)[0], HasSubstr(">" + payload + "<occupant-id"));
}

// XEP-0313 section 5.1.2.
TEST_F(MessagesTest, AreArchivedWhereTheRoomIsLogged) {
  settings().archives_all = false;
  Groupchat(kHag, "<body>hi</body>");
  EXPECT_THAT(outcome().archived, IsEmpty());
  config().set_is_logged(true);
  Groupchat(kHag, "<body>hi</body>");
  ASSERT_THAT(outcome().archived, SizeIs(1));
  const v1::PastMessage& archived = outcome().archived[0];
  EXPECT_EQ(archived.sender(), "hag66@example.org");
  EXPECT_EQ(archived.archive_id(), NewestId());
  EXPECT_EQ(archived.received_at_ms(), driver_.now_ms());
  EXPECT_EQ(archived.stanza().SerializeAsString(), outcome().said[0].stanza.SerializeAsString());
}

// `muc#roomconfig_enablelogging` makes a public log (section 7.2.12); an archive for those who may enter is
// the operator's.
TEST_F(MessagesTest, AreArchivedInEveryRoomOrInLoggedOnes) {
  for (const bool archives_all : {true, false})
    for (const bool is_logged : {true, false}) {
      settings().archives_all = archives_all;
      config().set_is_logged(is_logged);
      Groupchat(kHag, "<body>hi</body>");
      EXPECT_EQ(outcome().archived.size(), archives_all || is_logged ? 1u : 0u) << archives_all << is_logged;
    }
}

TEST_F(MessagesTest, AreArchivedByWhatIsInThem) {
  config().set_is_logged(true);
  const std::string reactions = "<reactions xmlns='urn:xmpp:reactions:0' id='7'/>";
  const std::string no_store = "<no-store xmlns='urn:xmpp:hints'/>";
  const std::string no_permanent_store = "<no-permanent-store xmlns='urn:xmpp:hints'/>";
  const std::string retract = "<retract xmlns='urn:xmpp:message-retract:1' id='7'/>";
  const std::vector<std::pair<std::string, bool>> rows = {
      {"<body>hi</body>", true},
      {"<store xmlns='urn:xmpp:hints'/><x xmlns='urn:example'/>", true},
      {"<encrypted xmlns='urn:xmpp:omemo:2'/>", true},
      {reactions, true},
      {retract, true},
      {"<apply-to xmlns='urn:xmpp:fasten:0' id='7'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
       true},
      {"<displayed xmlns='urn:xmpp:chat-markers:0' id='7'/>", true},
      {"<received xmlns='urn:xmpp:receipts' id='7'/>", true},
      {"<propose xmlns='urn:xmpp:jingle-message:0' id='7'/>", true},
      {"<composing xmlns='http://jabber.org/protocol/chatstates'/>", false},
      {"<x xmlns='urn:example'/>", false},
      {"", false},
      {"<body>hi</body>" + no_store, false},
      {"<body>hi</body>" + no_permanent_store, false},
      {reactions + no_store, false},
      // XEP-0424 section 5: the archive is told.
      {retract + no_store, true}};
  for (const auto& [payload, is_archived] : rows) {
    const Said said = Groupchat(kHag, payload);
    ASSERT_THAT(said, SizeIs(3)) << payload;
    EXPECT_EQ(outcome().archived.size(), is_archived ? 1u : 0u) << payload;
    const bool has_text = payload.find("<body>") != std::string::npos;
    EXPECT_EQ(CountOf(said[0], "<stanza-id "), is_archived || has_text ? 1 : 0) << payload;
  }
}

TEST_F(MessagesTest, HaveRisingIdsFromTheRecordsOffset) {
  Groupchat(kHag, "<body>1</body>");
  EXPECT_EQ(NewestId(), 43u);  // of record 42
  Groupchat(kHag, "<composing xmlns='http://jabber.org/protocol/chatstates'/>");
  EXPECT_EQ(NewestId(), 43u);
  Groupchat(kHag, "<body>2</body>");
  EXPECT_EQ(NewestId(), 45u);
  room().TakeArchiveId(100);
  Groupchat(kHag, "<body>3</body>");
  EXPECT_EQ(NewestId(), 101u);
}

// The next owner says again what an owner has said.
TEST_F(MessagesTest, AreTheSameAtEveryOwner) {
  class Other : public Coven {
   public:
    using Coven::config;
    using Coven::driver_;
    using Coven::outcome;
    using Coven::room;
    void TestBody() override {}
  } other;
  config().set_slow_mode_seconds(20);
  other.config().set_slow_mode_seconds(20);
  config().set_is_logged(true);
  other.config().set_is_logged(true);
  const auto message = [](std::string_view from, std::string_view payload) {
    return "<message type='groupchat' id='m' to='coven@conference.example.org' from='" + std::string(from) +
           "'>" + std::string(payload) + "</message>";
  };
  for (const std::string& xml :
       {message(kHag, "<body>1</body>"), message(kHag, "<body>too soon</body>"),
        message(kCrone, "<subject>s</subject>"),
        message(kHag, "<retract xmlns='urn:xmpp:message-retract:1' id='43'/>"),
        std::string(
            "<iq type='set' id='q' to='coven@conference.example.org' from='crone1@example.org/desktop'>"
            "<moderate xmlns='urn:xmpp:message-moderate:1' id='43'>"
            "<retract xmlns='urn:xmpp:message-retract:1'/></moderate></iq>")}) {
    EXPECT_EQ(driver_.Apply(xml), other.driver_.Apply(xml));
    ASSERT_EQ(outcome().archived.size(), other.outcome().archived.size());
    for (std::size_t i = 0; i < outcome().archived.size(); ++i)
      EXPECT_EQ(outcome().archived[i].SerializeAsString(), other.outcome().archived[i].SerializeAsString());
    driver_.Pass(1000);
    other.driver_.Pass(1000);
  }
  EXPECT_EQ(room().state().SerializeAsString(), other.room().state().SerializeAsString());
  ASSERT_THAT(room().history(), SizeIs(1));
  EXPECT_EQ(room().history()[0].SerializeAsString(), other.room().history()[0].SerializeAsString());
}

// Section 10.2.1, "Configuration Status Code".
TEST_F(MessagesTest, OfTheRoomTellAllWhatHasChanged) {
  const Said said = driver_.Do("<presence from='x@example.org/x' to='coven@conference.example.org/x'/>",
                               [](Turn& turn) { BroadcastStatuses(turn, {104, 170}); });
  ASSERT_THAT(outcome().said, SizeIs(1));
  EXPECT_EQ(outcome().said[0].recipients, room().everyone());
  EXPECT_EQ(said[0],
            "<message from=\"coven@conference.example.org\" to=\"crone1@example.org/desktop\" "
            "type=\"groupchat\"><x xmlns=\"http://jabber.org/protocol/muc#user\"><status code=\"104\"/>"
            "<status code=\"170\"/></x></message>");
  EXPECT_THAT(room().history(), IsEmpty());
  EXPECT_THAT(outcome().archived, IsEmpty());
}

// Section 7.4: "a service MAY ignore or reject messages that do not have a type of groupchat".
TEST_F(MessagesTest, ToTheRoomOfAnotherTypeAreRefusedIfTheyHaveABody) {
  for (const std::string_view type : {"", "chat", "normal", "headline", "nonsense"}) {
    EXPECT_THAT(Send(kHag, type, "<body>hi</body>"), IsError(kHag, "modify", "bad-request"));
    EXPECT_THAT(Send(kHag, type, "<composing xmlns='http://jabber.org/protocol/chatstates'/>"), IsEmpty());
    EXPECT_THAT(Send(kHag, type, "<x xmlns='http://jabber.org/protocol/muc#user'/>"), IsEmpty());
  }
}

// XEP-0249: nothing that a room has to do with.
TEST_F(MessagesTest, ToTheRoomWithADirectInvitationAreNotPassedOn) {
  EXPECT_THAT(ToRoom(kHag, "<x xmlns='jabber:x:conference' jid='other@conference.example.org'/>"), IsEmpty());
}

}  // namespace
}  // namespace rookery::muc
