// XEP-0045 section 10.1: of a room that is not configured yet only its owner knows.
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using testing::kOwner;
using testing::kStranger;

class LockedRoom : public testing::StaffedRoomTest {
 protected:
  LockedRoom() { driver_.room().ChangeState().set_is_locked(true); }
};

TEST_F(LockedRoom, AnswersAsOneThatIsNotThere) {
  const std::string from = " from='" + std::string(kStranger) + "' id='1' to='coven@conference.example.org";
  std::vector<std::string> stanzas;
  for (const char* to : {"'", "/firstwitch'"})
    for (const char* type : {"", " type='groupchat'", " type='chat'", " type='normal'"})
      for (const char* payload :
           {"<body>hi</body>", "<subject>s</subject>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@example.org'/></x>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><decline to='a@example.org'/></x>"})
        stanzas.push_back("<message" + from + to + type + ">" + payload + "</message>");
  for (const char* to : {"'", "/firstwitch'"})
    for (const char* payload : {"<query xmlns='http://jabber.org/protocol/disco#info'/>",
                                "<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='jabber:iq:register'/>"})
      stanzas.push_back("<iq type='get'" + from + to + ">" + payload + "</iq>");
  stanzas.push_back("<presence" + from + "/nick'/>");
  std::vector<Said> answers;
  for (const std::string& stanza : stanzas) answers.push_back(driver_.Apply(stanza));
  EXPECT_EQ(RefusalIn(answers.front()), "cancel item-not-found");
  driver_.room().Destroy();
  for (std::size_t i = 0; i < stanzas.size(); ++i)
    EXPECT_EQ(answers[i], driver_.Apply(stanzas[i])) << stanzas[i];
}

TEST_F(LockedRoom, IsThereForItsOwner) {
  EXPECT_EQ(driver_
                .Apply("<message type='groupchat' from='" + std::string(kOwner) +
                       "' to='coven@conference.example.org'><body>hi</body></message>")
                .size(),
            5u);
}

}  // namespace
}  // namespace rookery::muc
