#include "domain/messages/moderation.h"

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

class ModerationTest : public Coven {
 protected:
  ModerationTest() { config().set_is_logged(true); }

  /// Gives its id.
  std::string Say(std::string_view from, std::string_view body = "secret") {
    Groupchat(from, "<body>" + std::string(body) + "</body>", "said");
    return NewestIdText();
  }
  static std::string RetractOf(std::string_view id) {
    return "<retract xmlns='urn:xmpp:message-retract:1' id='" + std::string(id) + "'/>";
  }
  Said Retract(std::string_view from, std::string_view id) {
    return Groupchat(from, RetractOf(id) + "<body>/me retracted a message</body>", "retract-1");
  }
  Said Request(std::string_view from, const std::string& payload) {
    return driver_.Apply("<iq type='set' id='q1' from='" + std::string(from) + "' to='" + std::string(kRoom) +
                         "'>" + payload + "</iq>");
  }
  Said Moderate(std::string_view from, std::string_view id, const std::string& more = "") {
    return Request(from, "<moderate xmlns='urn:xmpp:message-moderate:1' id='" + std::string(id) +
                             "'><retract xmlns='urn:xmpp:message-retract:1'/>" + more + "</moderate>");
  }
  /// Returns what somebody who enters is given, without the subject.
  Said History() {
    Said said = Enter(kHecate);
    said.pop_back();
    return said;
  }
};

// XEP-0424 section 4, "Retracted message tombstone".
TEST_F(ModerationTest, AnAuthorsRetractionLeavesATombstone) {
  const std::string id = Say(kHag);
  driver_.Pass(60'000);
  const Said said = Retract(kHag, id);
  EXPECT_THAT(said, SizeIs(3));
  EXPECT_THAT(said, Each(HasSubstr("<retract xmlns=\"urn:xmpp:message-retract:1\" id=\"" + id + "\"/>")));
  const Said history = History();
  ASSERT_THAT(history, SizeIs(2));
  EXPECT_EQ(history[0],
            "<message from=\"coven@conference.example.org/thirdwitch\" to=\"hecate@example.org/broom\" "
            "id=\"said\" type=\"groupchat\"><occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"" +
                OccupantId("thirdwitch") + "\"/><stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"" + id +
                "\" by=\"coven@conference.example.org\"/><retracted xmlns=\"urn:xmpp:message-retract:1\" "
                "id=\"retract-1\" stamp=\"2023-11-14T22:14:20.000Z\"/><delay xmlns=\"urn:xmpp:delay\" "
                "from=\"coven@conference.example.org\" stamp=\"2023-11-14T22:13:20.000Z\"/></message>");
  EXPECT_THAT(history, Each(Not(HasSubstr("secret"))));
}

// Section 5: "These clients will then become aware of the retraction as soon as they catch up with the
// archive."
TEST_F(ModerationTest, AnAuthorsRetractionIsArchived) {
  const std::string id = Say(kHag);
  Retract(kHag, id);
  ASSERT_THAT(outcome().archived, SizeIs(1));
  EXPECT_THAT(outcome().archived[0].stanza().payload(),
              AllOf(HasSubstr("<retract "), HasSubstr("/me retracted"), HasSubstr(OccupantId("thirdwitch"))));
}

TEST_F(ModerationTest, OfARoomThatIsNotLoggedTheArchiveHearsTheRetractionAlone) {
  const std::string id = Say(kHag);
  config().set_is_logged(false);
  settings().archives_all = false;
  Retract(kHag, id);
  ASSERT_THAT(outcome().archived, SizeIs(1));
  EXPECT_EQ(outcome().archived[0].stanza().payload(),
            "<retract xmlns=\"urn:xmpp:message-retract:1\" id=\"" + id +
                "\"/><occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"" + OccupantId("thirdwitch") +
                "\"/><stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"" + NewestIdText() +
                "\" by=\"coven@conference.example.org\"/>");
}

TEST_F(ModerationTest, AnAuthorRetractsFromAnotherSessionAndNick) {
  const std::string id = Say(kHag);
  room().RemoveSession(kHag);
  Put("oldhag", "hag66@example.org/phone");
  EXPECT_THAT(Retract("hag66@example.org/phone", id), SizeIs(3));
  EXPECT_THAT(History()[0], HasSubstr("<retracted "));
}

// Section 5: "both the original message and the retraction request are received from the same".
TEST_F(ModerationTest, NobodyRetractsWhatSomebodyElseHasSaid) {
  const std::string id = Say(kHag);
  EXPECT_THAT(Retract(kWicca, id), IsError(kWicca, "auth", "forbidden"));
  EXPECT_THAT(Retract(kCrone, id), IsError(kCrone, "auth", "forbidden"));
  EXPECT_THAT(History(), ElementsAre(HasSubstr("<body>secret</body>")));
  EXPECT_THAT(outcome().archived, IsEmpty());
}

TEST_F(ModerationTest, NobodyHidesOneRetractionBehindAnother) {
  const std::string hags = Say(kHag);
  const std::string own = Say(kWicca, "mine");
  for (const std::string& both : {RetractOf(own) + RetractOf(hags), RetractOf(hags) + RetractOf(own)})
    EXPECT_THAT(Groupchat(kWicca, both), IsError(kWicca, "auth", "forbidden"));
  const std::string second = Say(kWicca, "mine, too");
  EXPECT_THAT(Groupchat(kWicca, RetractOf(own) + RetractOf(second)),
              IsError(kWicca, "modify", "bad-request"));
  EXPECT_THAT(Groupchat(kWicca, RetractOf(own) + "<apply-to xmlns='urn:xmpp:fasten:0' id='" + own +
                                    "'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>"),
              SizeIs(3));
}

TEST_F(ModerationTest, ASubjectHidesNoRetraction) {
  const std::string hags = Say(kHag);
  const std::string own = Say(kCrone, "mine");
  EXPECT_THAT(Groupchat(kCrone, "<subject>Fire</subject>" + RetractOf(hags)),
              IsError(kCrone, "auth", "forbidden"));
  EXPECT_THAT(Groupchat(kCrone, "<subject>Fire</subject>" + RetractOf(own)),
              IsError(kCrone, "modify", "bad-request"));
}

TEST_F(ModerationTest, WhoAdministersTheRoomModeratesFromEachDevice) {
  const std::string id = Say(kHag);
  const std::string phone = "crone1@example.org/phone";
  EXPECT_THAT(To(Moderate(phone, id), phone), ElementsAre(HasSubstr("type=\"result\"")));
  EXPECT_THAT(Moderate("wiccarocks@example.org/phone", id), SizeIs(1));
  room().RemoveSession(kCrone);
  EXPECT_THAT(Moderate(phone, Say(kHag)), IsError(phone, "modify", "forbidden"));
}

TEST_F(ModerationTest, IsCounted) {
  settings().max_stanzas = 3;
  const std::string id = Say(kHag);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Moderate(kCrone, id), SizeIs(4));
  EXPECT_THAT(Moderate(kCrone, id), IsError(kCrone, "wait", "policy-violation"));
}

TEST_F(ModerationTest, OfWhatIsNotRememberedTheArchiveDecides) {
  const std::string id = Say(kHag);
  config().set_max_history_fetch(1);
  Say(kHag, "newer");
  EXPECT_THAT(Retract(kWicca, id), SizeIs(3));
  EXPECT_THAT(outcome().archived, SizeIs(1));
}

TEST_F(ModerationTest, IdsThatOnlyClientsKnowPass) {
  Say(kHag);
  for (const std::string_view id : {"said", "", "0", "007", "-1", "99999999999999999999999", "1 "})
    EXPECT_THAT(Retract(kWicca, id), SizeIs(3)) << id;
  EXPECT_THAT(History()[0], HasSubstr("<body>secret</body>"));
}

// XEP-0424 version 0.2, a fastening.
TEST_F(ModerationTest, AnAuthorRetractsInTheOlderWay) {
  const std::string id = Say(kHag);
  EXPECT_THAT(Groupchat(kHag, "<apply-to xmlns='urn:xmpp:fasten:0' id='" + id +
                                  "'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>"),
              SizeIs(3));
  EXPECT_THAT(outcome().archived, SizeIs(1));
  EXPECT_THAT(History(), ElementsAre(HasSubstr("<retracted ")));
}

TEST_F(ModerationTest, ARetractionWithoutIdIsNamedByTheArchive) {
  const std::string id = Say(kHag);
  Groupchat(kHag, RetractOf(id), "");
  EXPECT_THAT(History()[0],
              HasSubstr("<retracted xmlns=\"urn:xmpp:message-retract:1\" id=\"" + NewestIdText() + "\""));
}

// XEP-0425 section 3.1, "The MUC sends a moderation message to all participants".
TEST_F(ModerationTest, AModeratorsRequestIsToldToAllAndAnswered) {
  const std::string id = Say(kHag);
  const Said said = Moderate(kCrone, id, "<reason>Not here</reason>");
  ASSERT_THAT(said, SizeIs(4));
  EXPECT_EQ(outcome().said[0].recipients, room().everyone());
  const std::string moderated =
      "<occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"" + OccupantId("firstwitch") + "\"/>";
  EXPECT_EQ(
      said[2],
      "<message from=\"coven@conference.example.org\" to=\"hag66@example.org/pda\" "
      "id=\"moderation-43\" type=\"groupchat\">"
      "<retract xmlns=\"urn:xmpp:message-retract:1\" id=\"" +
          id +
          "\">"
          "<moderated xmlns=\"urn:xmpp:message-moderate:1\" by=\"coven@conference.example.org/firstwitch\">" +
          moderated +
          "</moderated><reason>Not here</reason></retract>"
          "<apply-to xmlns=\"urn:xmpp:fasten:0\" id=\"" +
          id +
          "\">"
          "<moderated xmlns=\"urn:xmpp:message-moderate:0\" by=\"coven@conference.example.org/firstwitch\">" +
          moderated +
          "<retract xmlns=\"urn:xmpp:message-retract:0\"/><reason>Not here</reason>"
          "</moderated></apply-to><stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"" +
          NewestIdText() + "\" by=\"coven@conference.example.org\"/></message>");
  EXPECT_THAT(said[3], AllOf(HasSubstr("<iq "), HasSubstr("type=\"result\""), HasSubstr("id=\"q1\""),
                             HasSubstr("to=\"crone1@example.org/desktop\"")));
}

// XEP-0425 section 4, "Retracted groupchat message tombstone in a MAM result".
TEST_F(ModerationTest, AModeratorsRequestLeavesATombstone) {
  const std::string id = Say(kHag);
  Moderate(kCrone, id, "<reason>Not here</reason>");
  const Said history = History();
  ASSERT_THAT(history, SizeIs(1));
  EXPECT_THAT(history[0],
              HasSubstr("<occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"" + OccupantId("thirdwitch")));
  EXPECT_THAT(history[0],
              HasSubstr("<retracted xmlns=\"urn:xmpp:message-retract:1\" id=\"moderation-43\" "
                        "stamp=\"2023-11-14T22:13:20.000Z\"><moderated "
                        "xmlns=\"urn:xmpp:message-moderate:1\" "
                        "by=\"coven@conference.example.org/firstwitch\"><occupant-id "
                        "xmlns=\"urn:xmpp:occupant-id:0\" id=\"" +
                        OccupantId("firstwitch") + "\"/></moderated><reason>Not here</reason></retracted>"));
  EXPECT_THAT(history[0], Not(HasSubstr("secret")));
}

TEST_F(ModerationTest, TheArchiveHearsOfModerationWhetherOrNotTheRoomIsLogged) {
  settings().archives_all = false;
  for (const bool is_logged : {true, false}) {
    config().set_is_logged(is_logged);
    const std::string id = Say(kHag);
    Moderate(kCrone, id);
    ASSERT_THAT(outcome().archived, SizeIs(1));
    const v1::PastMessage& archived = outcome().archived[0];
    EXPECT_EQ(archived.stanza().from(), kRoom);
    EXPECT_EQ(archived.sender(), "crone1@example.org");
    EXPECT_EQ(archived.archive_id(), NewestId());
    EXPECT_THAT(archived.stanza().payload(), HasSubstr(" id=\"" + id + "\"><moderated "));
  }
}

// Messages beyond the remembered history are left to the archive.
TEST_F(ModerationTest, AModeratorsRequestForWhatIsNotRememberedGoesToTheArchive) {
  const std::string id = Say(kHag);
  config().set_max_history_fetch(1);
  Say(kHag, "newer");
  EXPECT_THAT(Moderate(kCrone, id), SizeIs(4));
  EXPECT_THAT(outcome().archived, SizeIs(1));
  EXPECT_THAT(History(), ElementsAre(HasSubstr("<body>newer</body>")));
}

// XEP-0425 section 3: "The MUC will append a stanza ID to the message before relaying it".
TEST_F(ModerationTest, WhatAsksNotToBeKeptIsModeratedAllTheSame) {
  for (const std::string_view hint : {"no-store", "no-permanent-store"})
    for (const std::string_view text : {"<body>secret</body>", "<encrypted xmlns='urn:xmpp:omemo:2'/>"}) {
      const Said message =
          Groupchat(kHag, std::string(text) + "<" + std::string(hint) + " xmlns='urn:xmpp:hints'/>");
      const std::string id = NewestIdText();
      EXPECT_THAT(message, Each(HasSubstr("<stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"" + id + "\" by=\"" +
                                          kRoom + "\"/>")))
          << hint;
      EXPECT_THAT(outcome().archived, IsEmpty()) << hint;
      EXPECT_THAT(History(), IsEmpty()) << hint;
      const Said said = Moderate(kCrone, id);
      ASSERT_THAT(said, SizeIs(4)) << hint;
      EXPECT_THAT(said[0],
                  HasSubstr("<retract xmlns=\"urn:xmpp:message-retract:1\" id=\"" + id + "\"><moderated "));
      // Its own author retracts it, too.
      EXPECT_THAT(Groupchat(kHag, RetractOf(id)), SizeIs(3)) << hint;
    }
}

// XEP-0425 section 3.2, "The MUC responds with an error stanza".
TEST_F(ModerationTest, OnlyModeratorsModerate) {
  const std::string id = Say(kHag);
  EXPECT_THAT(Moderate(kWicca, id), IsError(kWicca, "modify", "forbidden"));
  EXPECT_THAT(Moderate(kHag, id), IsError(kHag, "modify", "forbidden"));
  EXPECT_THAT(Moderate(kHecate, id), IsError(kHecate, "modify", "forbidden"));
  EXPECT_THAT(History(), ElementsAre(HasSubstr("secret")));
}

TEST_F(ModerationTest, IdsThatWereNeverGivenAreNotFound) {
  const std::string id = Say(kHag);
  for (const std::string& unknown : {std::to_string(NewestId() + 1), std::string("said"), std::string("0"),
                                     "0" + id, " " + id, std::string("99999999999999999999999")})
    EXPECT_THAT(Moderate(kCrone, unknown), IsError(kCrone, "cancel", "item-not-found")) << unknown;
  EXPECT_THAT(Moderate(kCrone, ""), IsError(kCrone, "modify", "bad-request"));
}

TEST_F(ModerationTest, HostileRequestsAreRefused) {
  const std::string id = Say(kHag);
  EXPECT_THAT(Request(kCrone, "<moderate xmlns='urn:xmpp:message-moderate:1' id='" + id + "'/>"),
              IsError(kCrone, "cancel", "feature-not-implemented"));
  EXPECT_THAT(Request(kCrone, "<apply-to xmlns='urn:xmpp:fasten:0' id='" + id + "'/>"),
              IsError(kCrone, "modify", "bad-request"));
  EXPECT_THAT(Moderate(kCrone, id, "<reason>" + std::string(1025, 'x') + "</reason>"),
              IsError(kCrone, "modify", "policy-violation"));
  EXPECT_THAT(History(), ElementsAre(HasSubstr("secret")));
}

// XEP-0425 version 0.2.
TEST_F(ModerationTest, AModeratorAsksInTheOlderWay) {
  const std::string id = Say(kHag);
  const Said said = Request(kCrone, "<apply-to xmlns='urn:xmpp:fasten:0' id='" + id +
                                        "'><moderate xmlns='urn:xmpp:message-moderate:0'><retract "
                                        "xmlns='urn:xmpp:message-retract:0'/><reason>Not here</reason>"
                                        "</moderate></apply-to>");
  ASSERT_THAT(said, SizeIs(4));
  EXPECT_THAT(said[0], HasSubstr("<reason>Not here</reason></retract>"));
  EXPECT_THAT(History(), ElementsAre(HasSubstr("<retracted ")));
}

TEST_F(ModerationTest, ASubjectIsRetractedToo) {
  config().set_change_subject(true);
  for (const bool is_moderated : {false, true}) {
    Groupchat(kHag, "<subject xml:lang='en'>secret</subject>");
    const std::string id = NewestIdText();
    EXPECT_THAT(Retract(kWicca, id), IsError(kWicca, "auth", "forbidden"));
    EXPECT_THAT(Enter(kHecate).back(), HasSubstr("secret"));
    is_moderated ? Moderate(kCrone, id) : Retract(kHag, id);
    EXPECT_THAT(Enter(kHecate).back(), AllOf(HasSubstr("<subject/>"), Not(HasSubstr("secret"))));
  }
}

TEST_F(ModerationTest, TheFirstTombstoneStays) {
  const std::string id = Say(kHag);
  Moderate(kCrone, id, "<reason>Not here</reason>");
  EXPECT_THAT(Retract(kHag, id), SizeIs(3));
  EXPECT_THAT(History()[0], HasSubstr("<moderated "));
}

}  // namespace
}  // namespace rookery::muc
