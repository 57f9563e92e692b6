#include "domain/messages/private_messages.h"

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

class PrivateMessagesTest : public Coven {
 protected:
  Said Whisper(std::string_view from, std::string_view nick, std::string_view children,
               std::string_view type = "chat") {
    return Send(from, type, children, "coven@conference.example.org/" + std::string(nick), "hgn27af1");
  }
};

// XEP-0045 section 7.5, "Recipient Receives the Private Message".
TEST_F(PrivateMessagesTest, GoFromOccupantToOccupant) {
  config().set_is_logged(true);
  EXPECT_THAT(Whisper(kWicca, "firstwitch",
                      "<body>I&apos;ll give thee a wind.</body>"
                      "<x xmlns='http://jabber.org/protocol/muc#user'/>"),
              ElementsAre("<message from=\"coven@conference.example.org/secondwitch\" "
                          "to=\"crone1@example.org/desktop\" id=\"hgn27af1\" type=\"chat\">"
                          "<body>I'll give thee a wind.</body>"
                          "<occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"" +
                          OccupantId("secondwitch") +
                          "\"/><x xmlns=\"http://jabber.org/protocol/muc#user\"/></message>"));
  EXPECT_THAT(outcome().archived, IsEmpty());
  EXPECT_THAT(room().history(), IsEmpty());
}

// "The service SHOULD add the <x/> element if the message does not contain it already."
TEST_F(PrivateMessagesTest, HaveOneEmptyMarkWhateverTheClientSaysInIt) {
  for (const std::string_view x :
       {"", "<x xmlns='http://jabber.org/protocol/muc#user'/>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='king@example.org'/></x>"}) {
    const Said said = Whisper(kWicca, "firstwitch", "<body>hi</body>" + std::string(x));
    ASSERT_THAT(said, SizeIs(1));
    EXPECT_EQ(CountOf(said[0], "muc#user"), 1);
    EXPECT_THAT(said[0], HasSubstr("<x xmlns=\"http://jabber.org/protocol/muc#user\"/></message>"));
  }
}

TEST_F(PrivateMessagesTest, GoToEachSessionOfTheOccupant) {
  Put("firstwitch", "crone1@example.org/phone");
  const Said said = Whisper(kWicca, "firstwitch", "<body>hi</body>");
  EXPECT_THAT(said, ElementsAre(HasSubstr("to=\"crone1@example.org/desktop\""),
                                HasSubstr("to=\"crone1@example.org/phone\"")));
  EXPECT_THAT(outcome().said, SizeIs(1));
}

TEST_F(PrivateMessagesTest, DoNotTellWhoSendsThem) {
  const Said said =
      Whisper(kWicca, "firstwitch",
              "<body>hi</body><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='wiccarocks@example.org'/>"
              "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>");
  EXPECT_THAT(said, ElementsAre(Not(HasSubstr("wiccarocks"))));
  EXPECT_EQ(CountOf(said[0], "<occupant-id "), 1);
}

// Section 7.5, "Occupant Attempts to Send a Message of Type "Groupchat" to a Particular Occupant".
TEST_F(PrivateMessagesTest, OfTypeGroupchatAreABadRequest) {
  EXPECT_THAT(Whisper(kWicca, "firstwitch", "<body>hi</body>", "groupchat"),
              IsError(kWicca, "modify", "bad-request"));
}

// "an occupant JID that does not exist"
TEST_F(PrivateMessagesTest, ToNobodyAreNotFound) {
  EXPECT_THAT(Whisper(kWicca, "fourthwitch", "<body>hi</body>"), IsError(kWicca, "cancel", "item-not-found"));
}

// "If the sender is not an occupant of the room"
TEST_F(PrivateMessagesTest, OfWhoIsNotInTheRoomAreNotAcceptable) {
  EXPECT_THAT(Whisper(kHecate, "firstwitch", "<body>hi</body>"),
              IsError(kHecate, "modify", "not-acceptable"));
  // Nor does an outsider learn whose nicks there are.
  EXPECT_THAT(Whisper(kHecate, "fourthwitch", "<body>hi</body>"),
              IsError(kHecate, "modify", "not-acceptable"));
}

// muc#roomconfig_allowpm.
TEST_F(PrivateMessagesTest, AreAllowedToWhomTheRoomAllowsThem) {
  SetRoleOf("thirdwitch", v1::ROLE_VISITOR);
  struct Row {
    v1::Audience allowed;
    bool moderator, participant, visitor;
  };
  for (const Row& row :
       {Row{v1::AUDIENCE_ANYONE, true, true, true}, Row{v1::AUDIENCE_PARTICIPANTS, true, true, false},
        Row{v1::AUDIENCE_MODERATORS, true, false, false}, Row{v1::AUDIENCE_NOBODY, false, false, false}}) {
    config().set_allow_pm(row.allowed);
    const auto may = [&](std::string_view from, std::string_view nick) {
      const Said said = Whisper(from, nick, "<body>hi</body>");
      if (said[0].find(" type=\"error\"") == std::string::npos) return true;
      EXPECT_THAT(said, IsError(from, "auth", "forbidden"));
      return false;
    };
    EXPECT_EQ(may(kCrone, "secondwitch"), row.moderator) << row.allowed;
    EXPECT_EQ(may(kWicca, "firstwitch"), row.participant) << row.allowed;
    EXPECT_EQ(may(kHag, "firstwitch"), row.visitor) << row.allowed;
  }
}

// RFC 6121 section 5.2.2.
TEST_F(PrivateMessagesTest, OfAnUnknownTypeAreNormal) {
  EXPECT_THAT(Whisper(kWicca, "firstwitch", "<body>hi</body>", "nonsense"), Each(Not(HasSubstr(" type="))));
  EXPECT_THAT(Whisper(kWicca, "firstwitch", "<body>hi</body>", "normal"), Each(Not(HasSubstr(" type="))));
  EXPECT_THAT(Whisper(kWicca, "firstwitch", "<body>hi</body>", "headline"),
              Each(HasSubstr(" type=\"headline\"")));
}

// ---- that come back

class ReturnedMessagesTest : public PrivateMessagesTest {
 protected:
  /// Makes the error that firstwitch's server, or client, returns to secondwitch for a message with this id.
  static std::string ErrorOf(std::string_view condition, std::string_view mark = {},
                             std::string_view from = kCrone, std::string_view to = "secondwitch") {
    return "<message type='error' id='hgn27af1' from='" + std::string(from) +
           "' to='coven@conference.example.org/" + std::string(to) + "'>" + std::string(mark) +
           "<error type='cancel' by='crone1@example.org'><" + std::string(condition) +
           " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text "
           "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>crone1@example.org</text></error></message>";
  }
  static constexpr std::string_view kMark = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
};

TEST_F(ReturnedMessagesTest, AreToldToTheirSender_AndWhoIsGoneIsOut) {
  Put("secondwitch", "wiccarocks@example.org/phone");
  const Said said = driver_.Apply(ErrorOf("service-unavailable", kMark));
  EXPECT_EQ(room().FindNick("firstwitch"), nullptr);
  EXPECT_EQ(To(said, kWicca).back(),
            "<message from=\"coven@conference.example.org/firstwitch\" to=\"wiccarocks@example.org/laptop\" "
            "id=\"hgn27af1\" type=\"error\"><error type=\"cancel\"><service-unavailable "
            "xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/></error></message>");
  EXPECT_THAT(To(said, "wiccarocks@example.org/phone").back(), HasSubstr(" type=\"error\""));
  EXPECT_THAT(To(said, kHag), Each(Not(HasSubstr("type=\"error\""))));
}

// A message to all that cannot be given to somebody comes back to the same address.
TEST_F(ReturnedMessagesTest, AreNotMessagesToAll) {
  const Said said = driver_.Apply(ErrorOf("service-unavailable"));
  EXPECT_EQ(room().FindNick("firstwitch"), nullptr);
  EXPECT_THAT(said, Each(Not(HasSubstr("type=\"error\""))));
}

TEST_F(ReturnedMessagesTest, OfAClientTakeItOutOnlyWhereItSaysThatItHasGone) {
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("service-unavailable")),
              ElementsAre(AllOf(HasSubstr("to=\"" + kWicca + "\""), HasSubstr("<service-unavailable "),
                                Not(HasSubstr("crone1")))));
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("feature-not-implemented")),
              ElementsAre(HasSubstr("<feature-not-implemented ")));
  EXPECT_NE(room().FindNick("firstwitch"), nullptr);
  driver_.ApplyOfClient(ErrorOf("gone"));
  EXPECT_EQ(room().FindNick("firstwitch"), nullptr);
}

// Another one has it.
TEST_F(ReturnedMessagesTest, OfOneOfSeveralDevicesAreToldToNobody) {
  Put("firstwitch", "crone1@example.org/phone");
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("not-acceptable")), IsEmpty());
  EXPECT_THAT(driver_.Apply(ErrorOf("service-unavailable", kMark)), Each(Not(HasSubstr("type=\"error\""))));
  EXPECT_EQ(room().FindSession(kCrone), nullptr);
  EXPECT_THAT(
      To(driver_.Apply(ErrorOf("service-unavailable", kMark, "crone1@example.org/phone")), kWicca).back(),
      HasSubstr("type=\"error\""));
}

// All occupants know the ids of what was said to all.
TEST_F(ReturnedMessagesTest, OfAClientAreNoneOfWhatWasSaidToAll) {
  Groupchat(kWicca, "<body>hi</body>", "hgn27af1");
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("not-acceptable")), IsEmpty());
}

// An id is only recommended (RFC 6120 section 8.1.3).
TEST_F(ReturnedMessagesTest, OfAServerNeedNoId) {
  std::string error = ErrorOf("not-acceptable", kMark);
  error.erase(error.find(" id='hgn27af1'"), std::string(" id='hgn27af1'").size());
  EXPECT_THAT(driver_.Apply(error), SizeIs(1));
  EXPECT_THAT(driver_.ApplyOfClient(error), IsEmpty());
}

TEST_F(ReturnedMessagesTest, AreCounted_AndKeepNobodyFromTalking) {
  settings().max_stanzas = 3;
  for (int i = 0; i < 3; ++i) EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("not-acceptable")), SizeIs(1));
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("not-acceptable")), IsEmpty());
  EXPECT_THAT(Groupchat(kCrone, "<body>hi</body>"), SizeIs(3));
  driver_.Pass(settings().changes_period.count());
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("not-acceptable")), SizeIs(1));
  // What a server returns is not what its user does.
  for (int i = 0; i < 5; ++i) EXPECT_THAT(driver_.Apply(ErrorOf("not-acceptable", kMark)), SizeIs(1));
}

// Nobody keeps others' errors from somebody by what tells nothing.
TEST_F(ReturnedMessagesTest, ThatAreToldToNobodyAreNotCounted) {
  settings().max_stanzas = 1;
  std::string without_id = ErrorOf("not-acceptable");
  without_id.erase(without_id.find(" id='hgn27af1'"), std::string(" id='hgn27af1'").size());
  for (int i = 0; i < 5; ++i) EXPECT_THAT(driver_.ApplyOfClient(without_id), IsEmpty());
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("not-acceptable")), SizeIs(1));
}

TEST_F(ReturnedMessagesTest, AreToldToWhoMayHaveSentThemOnly) {
  config().set_allow_pm(v1::AUDIENCE_MODERATORS);
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("not-acceptable")), IsEmpty());
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("not-acceptable", {}, kWicca, "firstwitch")), SizeIs(1));
  config().set_allow_pm(v1::AUDIENCE_ANYONE);
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("not-acceptable", {}, kWicca, "nobody")), IsEmpty());
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf("not-acceptable", {}, kHecate, "firstwitch")), IsEmpty());
}

}  // namespace
}  // namespace rookery::muc
