#include "domain/private_messages.h"

#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
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

}  // namespace
}  // namespace rookery::muc
