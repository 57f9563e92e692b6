#include "domain/messages/mentions.h"

#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class MentionsTest : public Coven {
 protected:
  MentionsTest() {
    config().set_forwards_mentions(true);
    Affiliate("hecate@example.org", v1::AFFILIATION_MEMBER);
    room().SetReservedNick("hecate@example.org", "the hecate");
  }
  static std::string ReferenceTo(std::string_view uri, std::string_view type = "mention") {
    return "<reference xmlns='urn:xmpp:reference:0' type='" + std::string(type) + "' uri='" +
           std::string(uri) + "'/>";
  }
  /// To whom the message is forwarded.
  Recipients Mentioned(const std::string& references) {
    Groupchat(kHag, "<body>hi</body>" + references);
    Recipients mentioned;
    for (std::size_t i = 1; i < outcome().said.size(); ++i) {
      // To the account alone, so that it waits for who is away.
      EXPECT_EQ(outcome().said[i].recipients, nullptr);
      mentioned.push_back(outcome().said[i].stanza.to());
    }
    return mentioned;
  }
};

// XEP-0452 section 3.2, "MUC forwards the message to the users client".
TEST_F(MentionsTest, GoToMembersWhoAreNotInTheRoom) {
  const Said said = Groupchat(kHag, "<body>hecate: hi</body>" + ReferenceTo("xmpp:hecate@example.org"));
  ASSERT_THAT(said, SizeIs(4));
  const std::string reflected = said[0].substr(said[0].find("<body>"));
  EXPECT_EQ(said[3],
            "<message from=\"coven@conference.example.org\" to=\"hecate@example.org\">"
            "<mentions xmlns=\"urn:xmpp:mmn:0\"><forwarded xmlns=\"urn:xmpp:forward:0\">"
            "<delay xmlns=\"urn:xmpp:delay\" stamp=\"2023-11-14T22:13:20.000Z\"/>"
            "<message xmlns=\"jabber:client\" from=\"coven@conference.example.org/thirdwitch\" "
            "to=\"coven@conference.example.org\" id=\"m1\" type=\"groupchat\">" +
                reflected + "</forwarded></mentions></message>");
  EXPECT_TRUE(xmpp::ParsePayload(said[3]).ok());
}

TEST_F(MentionsTest, AreForwardedWhereTheRoomSaysSo) {
  config().set_forwards_mentions(false);
  EXPECT_THAT(Mentioned(ReferenceTo("xmpp:hecate@example.org")), IsEmpty());
}

TEST_F(MentionsTest, NameAnAccountOrAReservedNick) {
  for (const std::string_view uri :
       {"xmpp:hecate@example.org", "XMPP:Hecate@example.org", "xmpp:hecate@example.org/broom",
        "xmpp:hecate@example.org?message", "xmpp:hec%61te@example.org",
        "xmpp:coven@conference.example.org/the%20hecate"})
    EXPECT_THAT(Mentioned(ReferenceTo(uri)), ElementsAre("hecate@example.org")) << uri;
}

TEST_F(MentionsTest, OfNobodyGoNowhere) {
  for (const std::string_view uri :
       {"", "xmpp:", "hecate@example.org", "mailto:hecate@example.org", "xmpp:@@", "xmpp:%", "xmpp:%zz%4",
        "xmpp:king@example.org", "xmpp:coven@conference.example.org",
        "xmpp:coven@conference.example.org/nobody", "xmpp:other@conference.example.org/the%20hecate"})
    EXPECT_THAT(Mentioned(ReferenceTo(uri)), IsEmpty()) << uri;
  EXPECT_THAT(Mentioned(ReferenceTo("xmpp:hecate@example.org", "data")), IsEmpty());
}

TEST_F(MentionsTest, OfOthersThanMembersGoNowhere) {
  Affiliate("king@example.org", v1::AFFILIATION_NONE);
  Affiliate("evil@example.org", v1::AFFILIATION_OUTCAST);
  EXPECT_THAT(Mentioned(ReferenceTo("xmpp:king@example.org") + ReferenceTo("xmpp:evil@example.org")),
              IsEmpty());
}

TEST_F(MentionsTest, OfWhoIsInTheRoomGoNowhereElse) {
  EXPECT_THAT(Mentioned(ReferenceTo("xmpp:crone1@example.org")), IsEmpty());
  Put("hecate", "hecate@example.org/other");
  EXPECT_THAT(Mentioned(ReferenceTo("xmpp:hecate@example.org")), IsEmpty());
}

TEST_F(MentionsTest, CountAsRequests_BeyondTheBoundTheyAreSaidInTheRoomAlone) {
  settings().max_requests = 2;
  const std::string reference = ReferenceTo("xmpp:hecate@example.org");
  for (int i = 0; i < 2; ++i) EXPECT_THAT(Mentioned(reference), ElementsAre("hecate@example.org"));
  EXPECT_THAT(Mentioned(reference), IsEmpty());
  EXPECT_THAT(outcome().said, SizeIs(1)) << "the message itself";
  driver_.Pass(settings().changes_period.count());
  EXPECT_THAT(Mentioned(reference), ElementsAre("hecate@example.org"));
}

TEST_F(MentionsTest, AreForwardedOnceAndToTenAtMost) {
  EXPECT_THAT(Mentioned(ReferenceTo("xmpp:hecate@example.org") + ReferenceTo("xmpp:hecate@example.org/x")),
              ElementsAre("hecate@example.org"));
  std::string references;
  for (int i = 0; i < 20; ++i) {
    const std::string account = "m" + std::to_string(i) + "@example.org";
    Affiliate(account, v1::AFFILIATION_MEMBER);
    references += ReferenceTo("xmpp:" + account);
  }
  EXPECT_THAT(Mentioned(references), SizeIs(10));
}

}  // namespace
}  // namespace rookery::muc
