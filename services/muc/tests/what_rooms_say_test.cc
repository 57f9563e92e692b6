// Nobody else says what only a room may say, in messages and presence alike.
#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kOnlyTheRoomSays[] = {
    "<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/>",
    "<delay xmlns='urn:xmpp:delay' from='conference.example.org' stamp='2002-09-10T23:08:25Z'/>",
    "<delay xmlns='urn:xmpp:delay' from='COVEN@Conference.example.org' stamp='2002-09-10T23:08:25Z'/>",
    "<x xmlns='jabber:x:delay' from='coven@conference.example.org' stamp='20020910T23:08:25'/>",
    "<x xmlns='jabber:x:delay' stamp='20020910T23:08:25'/>",
    "<delay xmlns='urn:xmpp:delay' from='coven@conference.example.org/x' stamp='2002-09-10T23:08:25Z'/>",
    "<delay xmlns='urn:xmpp:delay' from='juliet@example.org/balcony' stamp='2002-09-10T23:08:25Z'/>",
    "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='COVEN@conference.example.org'/>",
    "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='hag66@example.org'/>",
    "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='other'/>",
    "<x xmlns='http://jabber.org/protocol/muc#user'><status code='100'/></x>",
    "<x xmlns='http://jabber.org/protocol/muc'><password>cauldronburn</password></x>",
    "<hats xmlns='urn:xmpp:hats:0'><hat title='King' uri='urn:king'/></hats>",
    "<mentions xmlns='urn:xmpp:mmn:0'/>",
    "<moderated xmlns='urn:xmpp:message-moderate:1'/>",
    "<moderated xmlns='urn:xmpp:message-moderate:0'/>",
    "<retracted xmlns='urn:xmpp:message-retract:1' id='1'/>",
    "<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='a@b.c'/></addresses>",
};
constexpr const char* kAnybodySays[] = {
    "<delay xmlns=\"urn:xmpp:delay\" from=\"hag66@example.org/pda\" stamp=\"2002-09-10T23:08:25Z\"/>",
    "<stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"1\" by=\"example.net\"/>",
    "<c xmlns=\"http://jabber.org/protocol/caps\" node=\"n\" ver=\"v\"/>",
};

class WhatRoomsSay : public Coven {
 protected:
  /// Returns what others are given of it.
  std::string InMessage(const std::string& child) {
    return To(Groupchat(kHag, "<body>hi</body>" + child), kWicca).front();
  }
  std::string InPresence(const std::string& child) {
    return To(driver_.Apply(
                  "<presence from='hag66@example.org/pda' to='coven@conference.example.org/thirdwitch'>"
                  "<status>" +
                  std::to_string(++count_) + "</status>" + child + "</presence>"),
              kWicca)
        .front();
  }
  int count_ = 100;
};

TEST_F(WhatRoomsSay, NobodyElseSays) {
  const std::string message = InMessage(""), presence = InPresence("");
  const auto shape = [](std::string text) {
    for (char& c : text)
      if (c >= '0' && c <= '9') c = '#';
    return text;
  };
  for (const char* child : kOnlyTheRoomSays) {
    EXPECT_EQ(shape(InMessage(child)), shape(message)) << child;
    EXPECT_EQ(shape(InPresence(child)), shape(presence)) << child;
  }
  for (const char* child : kAnybodySays) {
    EXPECT_THAT(InMessage(child), HasSubstr(child));
    EXPECT_THAT(InPresence(child), HasSubstr(child));
  }
}

// XEP-0425 section 6.
TEST_F(WhatRoomsSay, ARetractionIsNobodysModeration) {
  const std::string child =
      "<retract xmlns='urn:xmpp:message-retract:1' id='1'><moderated xmlns='urn:xmpp:message-moderate:1' "
      "by='coven@conference.example.org/firstwitch'/></retract>";
  EXPECT_THAT(InMessage(child), Not(HasSubstr("moderated")));
  EXPECT_THAT(InPresence(child), Not(HasSubstr("moderated")));
}

// XEP-0045 section 8.1: nothing has been said with it, so it is a change.
TEST_F(WhatRoomsSay, ASubjectWithAnEmptyBodyIsAChange) {
  for (const char* body : {"<body/>", "<body></body>", "<body/><body xml:lang='de'/>"})
    EXPECT_THAT(Groupchat(kHag, "<subject>Mine</subject>" + std::string(body)),
                IsError(kHag, "auth", "forbidden"));
  EXPECT_FALSE(room().state().has_subject());
  const Said said = Groupchat(kCrone, "<subject>Fire Burn</subject><body/>");
  EXPECT_TRUE(room().state().has_subject());
  // Else clients would take it for none.
  EXPECT_THAT(said, Each(Not(HasSubstr("<body"))));
  EXPECT_THAT(said, SizeIs(3));
}

// With a body or a thread it is a message and no change; some clients show one all the same.
TEST_F(WhatRoomsSay, ASubjectInAMessageIsForThoseWhoMayChangeIt) {
  for (const char* with : {"<body>hi</body>", "<thread>t</thread>"}) {
    EXPECT_THAT(Groupchat(kHag, "<subject>Mine</subject>" + std::string(with)),
                Each(AllOf(Not(HasSubstr("<subject")), HasSubstr(with))))
        << with;
    EXPECT_THAT(Groupchat(kCrone, "<subject>Fire Burn</subject>" + std::string(with)),
                Each(HasSubstr("<subject>Fire Burn</subject>")));
  }
  EXPECT_FALSE(room().state().has_subject());
  config().set_change_subject(true);
  EXPECT_THAT(Groupchat(kHag, "<subject>Mine</subject><body>hi</body>"), Each(HasSubstr("<subject>")));
}

}  // namespace
}  // namespace rookery::muc
