#include "domain/messages/history.h"

#include "coven.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class HistoryTest : public Coven {
 protected:
  /// n messages, a minute apart: "1", "2" and so on.
  void Say(int count) {
    for (int i = 1; i <= count; ++i) {
      Groupchat(kHag, "<body>" + std::to_string(i) + "</body>", "m" + std::to_string(i));
      driver_.Pass(60'000);
    }
  }
  /// The bodies of what is given to who enters and asks so; without the subject.
  std::vector<std::string> Bodies(
      std::initializer_list<std::pair<std::string_view, std::string_view>> wanted) {
    xmpp::Element history("history", xmpp::ns::kMuc);
    for (const auto& [name, value] : wanted) history.SetAttr(name, value);
    return BodiesOf(Enter(kHecate, &history));
  }
  static std::vector<std::string> BodiesOf(const Said& said) {
    std::vector<std::string> bodies;
    for (const std::string& xml : said) {
      const std::size_t begin = xml.find("<body>");
      if (begin != std::string::npos)
        bodies.push_back(xml.substr(begin + 6, xml.find("</body>") - begin - 6));
    }
    return bodies;
  }
};

// XEP-0045 section 7.2.13, "Delivery of Discussion History"; section 7.2.15, "No Subject".
TEST_F(HistoryTest, ComesWithADelayByTheRoomAndThenTheSubject) {
  Groupchat(kHag, "<body>Harpier cries</body>", "hysf1v37");
  driver_.Pass(60'000);
  const Said said = Enter(kHecate);
  ASSERT_THAT(said, SizeIs(2));
  EXPECT_EQ(said[0],
            "<message from=\"coven@conference.example.org/thirdwitch\" to=\"hecate@example.org/broom\" "
            "id=\"hysf1v37\" type=\"groupchat\"><body>Harpier cries</body>"
            "<occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"" +
                OccupantId("thirdwitch") + "\"/><stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"" + NewestIdText() +
                "\" by=\"coven@conference.example.org\"/><delay xmlns=\"urn:xmpp:delay\" "
                "from=\"coven@conference.example.org\" stamp=\"2023-11-14T22:13:20.000Z\"/></message>");
  EXPECT_EQ(said[1],
            "<message from=\"coven@conference.example.org\" to=\"hecate@example.org/broom\" "
            "type=\"groupchat\"><subject/></message>");
}

TEST_F(HistoryTest, IsGivenOldestFirst) {
  Say(3);
  EXPECT_THAT(BodiesOf(Enter(kHecate)), ElementsAre("1", "2", "3"));
}

TEST_F(HistoryTest, HoldsWhatHasTextAndMayBeKept) {
  for (const std::string_view payload :
       {"<composing xmlns='http://jabber.org/protocol/chatstates'/>", "<subject>s</subject>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='7'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='7'/>",
        "<body>off</body><no-store xmlns='urn:xmpp:hints'/>",
        "<body>off</body><no-permanent-store xmlns='urn:xmpp:hints'/>"})
    EXPECT_THAT(Groupchat(kCrone, payload), SizeIs(3));
  EXPECT_THAT(room().history(), IsEmpty());
  Groupchat(kHag, "<encrypted xmlns='urn:xmpp:omemo:2'/>");
  Groupchat(kHag, "<subject>s</subject><body>1</body>");
  EXPECT_THAT(room().history(), SizeIs(2));
}

// muc#maxhistoryfetch.
TEST_F(HistoryTest, IsAsLongAsTheRoomSays) {
  config().set_max_history_fetch(2);
  Say(3);
  EXPECT_THAT(BodiesOf(Enter(kHecate)), ElementsAre("2", "3"));
  EXPECT_THAT(room().history(), SizeIs(2));
  config().set_max_history_fetch(1);
  EXPECT_THAT(BodiesOf(Enter(kHecate)), ElementsAre("3"));
  config().set_max_history_fetch(0);
  EXPECT_THAT(BodiesOf(Enter(kHecate)), IsEmpty());
  Say(1);
  EXPECT_THAT(room().history(), IsEmpty());
}

TEST_F(HistoryTest, IsNoLongerThanTheOperatorAllows) {
  settings().max_history_messages = 2;
  config().set_max_history_fetch(1000);
  Say(3);
  EXPECT_THAT(BodiesOf(Enter(kHecate)), ElementsAre("2", "3"));
  settings().max_history_messages = 1;
  EXPECT_THAT(BodiesOf(Enter(kHecate)), ElementsAre("3"));
}

TEST_F(HistoryTest, IsNoLargerThanTheOperatorAllows) {
  settings().max_history_bytes = 5000;
  for (const char c : {'a', 'b', 'c'}) Groupchat(kHag, "<body>" + std::string(2000, c) + "</body>");
  EXPECT_THAT(BodiesOf(Enter(kHecate)), ElementsAre(std::string(2000, 'b'), std::string(2000, 'c')));
}

// Section 7.2.14, "User Requests Limit on Number of Messages in History".
TEST_F(HistoryTest, MaxstanzasLimitsTheMessages) {
  Say(3);
  EXPECT_THAT(Bodies({{"maxstanzas", "2"}}), ElementsAre("2", "3"));
  EXPECT_THAT(Bodies({{"maxstanzas", "0"}}), IsEmpty());
  EXPECT_THAT(Bodies({{"maxstanzas", "100"}}), ElementsAre("1", "2", "3"));
}

// Section 7.2.14, "User Requests No History": the subject comes nevertheless.
TEST_F(HistoryTest, NoCharactersAreNoHistory) {
  Say(3);
  xmpp::Element history("history", xmpp::ns::kMuc);
  history.SetAttr("maxchars", "0");
  EXPECT_THAT(Enter(kHecate, &history), ElementsAre(HasSubstr("<subject/>")));
}

// Section 7.2.14, "User Requests Limit on Number of Characters in History": of complete stanzas, as many as
// fit.
TEST_F(HistoryTest, MaxcharsCountsWholeStanzasInCharacters) {
  const std::string body = "\xC3\xA9\xC3\xA9\xC3\xA9";
  Groupchat(kHag, "<body>" + body + "</body>");
  Groupchat(kHag, "<body>" + body + "</body>");
  const std::string whole = Enter(kHecate)[0];
  const std::size_t characters = whole.size() - 3;  // each é has two bytes
  EXPECT_THAT(Bodies({{"maxchars", std::to_string(characters - 1)}}), IsEmpty());
  EXPECT_THAT(Bodies({{"maxchars", std::to_string(characters)}}), SizeIs(1));
  EXPECT_THAT(Bodies({{"maxchars", std::to_string(2 * characters - 1)}}), SizeIs(1));
  EXPECT_THAT(Bodies({{"maxchars", std::to_string(2 * characters)}}), SizeIs(2));
}

// Section 7.2.14, "User Requests History in Last 3 Minutes".
TEST_F(HistoryTest, SecondsLimitItsAge) {
  Say(4);  // 4, 3, 2 and 1 minutes ago
  EXPECT_THAT(Bodies({{"seconds", "180"}}), ElementsAre("2", "3", "4"));
  EXPECT_THAT(Bodies({{"seconds", "179"}}), ElementsAre("3", "4"));
  EXPECT_THAT(Bodies({{"seconds", "0"}}), IsEmpty());
  EXPECT_THAT(Bodies({{"seconds", "18446744073709551615"}}), SizeIs(4));
}

// Section 7.2.14, "User Requests All History Since the Beginning of the Unix Era".
TEST_F(HistoryTest, SinceLimitsItsAge) {
  Say(3);  // from 22:13:20 on
  EXPECT_THAT(Bodies({{"since", "2023-11-14T22:14:20Z"}}), ElementsAre("2", "3"));
  EXPECT_THAT(Bodies({{"since", "2023-11-14T22:14:20.001Z"}}), ElementsAre("3"));
  EXPECT_THAT(Bodies({{"since", "1970-01-01T00:00:00Z"}}), SizeIs(3));
  EXPECT_THAT(Bodies({{"since", "2030-01-01T00:00:00Z"}}), IsEmpty());
}

// Section 7.2.14: "the smallest amount of traffic that meets any combination".
TEST_F(HistoryTest, TheNarrowestLimitHolds) {
  Say(4);
  EXPECT_THAT(Bodies({{"maxstanzas", "1"}, {"seconds", "180"}}), ElementsAre("4"));
  EXPECT_THAT(Bodies({{"maxstanzas", "3"}, {"seconds", "60"}}), ElementsAre("4"));
  EXPECT_THAT(Bodies({{"seconds", "180"}, {"since", "2023-11-14T22:16:00Z"}}), ElementsAre("4"));
  EXPECT_THAT(Bodies({{"maxstanzas", "3"}, {"maxchars", "0"}}), IsEmpty());
}

TEST_F(HistoryTest, WhatIsWrongInTheRequestIsIgnored) {
  Say(2);
  for (const std::string_view value :
       {"", "-1", "+1", "1x", " 1", "1.5", "99999999999999999999999999", "x", "yesterday"})
    for (const std::string_view name : {"maxstanzas", "maxchars", "seconds", "since", "unknown"})
      EXPECT_THAT(Bodies({{name, value}}), SizeIs(2)) << name << "=" << value;
}

// Section 7.9, "Owner Sends History to Room": "SHOULD NOT add its own delay elements".
TEST_F(HistoryTest, KeepsTheTimeThatAnOwnerHasSaid) {
  const std::string_view payload =
      "<body>Thrice</body><delay xmlns='urn:xmpp:delay' from='crone1@example.org/desktop' "
      "stamp='2004-09-29T01:54:37Z'/>";
  Groupchat(kCrone, payload);
  Groupchat(kHag, payload);
  const Said said = Enter(kHecate);
  EXPECT_EQ(CountOf(said[0], "<delay "), 1);
  EXPECT_THAT(said[0], HasSubstr("2004-09-29T01:54:37Z"));
  // Who is no owner says nothing in another's name.
  EXPECT_EQ(CountOf(said[1], "<delay "), 1);
  EXPECT_THAT(said[1], Not(HasSubstr("2004-09-29")));
}

TEST_F(HistoryTest, IsStillThereAfterItsMessagesWereReplaced) {
  settings().max_history_bytes = 3000;
  for (int i = 0; i < 50; ++i) {
    Groupchat(kHag, "<body>" + std::string(1000, 'x') + "</body>");
    Groupchat(kHag, "<retract xmlns='urn:xmpp:message-retract:1' id='" + NewestIdText() + "'/>");
  }
  EXPECT_GE(room().history().size(), 3u);
}

}  // namespace
}  // namespace rookery::muc
