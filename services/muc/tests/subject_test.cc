#include "domain/messages/subject.h"

#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using SubjectTest = Coven;

// XEP-0045 section 8.1, "Service Informs All Occupants of Subject Change".
TEST_F(SubjectTest, IsChangedByAModeratorAndToldToAll) {
  const Said said = Groupchat(kCrone, "<subject>Fire Burn and Cauldron Bubble!</subject>", "lh2bs617");
  ASSERT_THAT(said, SizeIs(3));
  EXPECT_THAT(said[2], HasSubstr("<message from=\"coven@conference.example.org/firstwitch\" "
                                 "to=\"hag66@example.org/pda\" id=\"lh2bs617\" type=\"groupchat\">"
                                 "<subject>Fire Burn and Cauldron Bubble!</subject><occupant-id "));
  EXPECT_THAT(said[2], Not(HasSubstr("<delay")));
  ASSERT_THAT(outcome().said, SizeIs(1));
  EXPECT_EQ(outcome().said[0].recipients, room().everyone());
}

// Section 7.2.15, "Service Informs New Occupant of Room Subject".
TEST_F(SubjectTest, IsToldToWhoEntersWithTheTimeOfItsChange) {
  Groupchat(kCrone, "<subject>Fire Burn</subject><x xmlns='urn:example'/>", "lh2bs617");
  driver_.Pass(60'000);
  const Said said = Enter(kHecate);
  ASSERT_THAT(said, SizeIs(1));
  EXPECT_EQ(said[0],
            "<message from=\"coven@conference.example.org/firstwitch\" to=\"hecate@example.org/broom\" "
            "id=\"lh2bs617\" type=\"groupchat\"><subject>Fire Burn</subject>"
            "<occupant-id xmlns=\"urn:xmpp:occupant-id:0\" id=\"" +
                OccupantId("firstwitch") + "\"/><stanza-id xmlns=\"urn:xmpp:sid:0\" id=\"" + NewestIdText() +
                "\" by=\"coven@conference.example.org\"/><delay xmlns=\"urn:xmpp:delay\" "
                "from=\"coven@conference.example.org\" stamp=\"2023-11-14T22:13:20.000Z\"/></message>");
}

// Section 7.2.13: "the room subject is not part of the discussion history".
TEST_F(SubjectTest, ComesAfterTheHistoryAndIsNoneOfIt) {
  Groupchat(kCrone, "<subject>Fire Burn</subject>");
  Groupchat(kCrone, "<subject>Fire Burn and Cauldron Bubble</subject>");
  Groupchat(kHag, "<body>hi</body>");
  EXPECT_THAT(Enter(kHecate), ElementsAre(HasSubstr("<body>hi</body>"), HasSubstr("Cauldron")));
}

// Section 8.1, "Moderator Sets Empty Subject"; section 7.2.15: a delay where it was cleared.
TEST_F(SubjectTest, IsClearedByAnEmptyOne) {
  Groupchat(kCrone, "<subject>Fire Burn</subject>");
  EXPECT_THAT(Groupchat(kCrone, "<subject/>"), ::testing::Each(HasSubstr("<subject/>")));
  const Said said = Enter(kHecate);
  ASSERT_THAT(said, SizeIs(1));
  EXPECT_THAT(said[0], HasSubstr("<subject/>"));
  EXPECT_THAT(said[0], HasSubstr("<delay "));
}

// Section 8.1: "a <subject/> and a <body/> or a <subject/> and a <thread/> is a legitimate message".
TEST_F(SubjectTest, IsNotChangedByAMessageWithBodyOrThread) {
  for (const std::string payload :
       {"<subject>x</subject><body>hi</body>", "<subject>x</subject><thread>t</thread>",
        "<subject>x</subject><thread/>"})
    EXPECT_THAT(Groupchat(kHag, payload), SizeIs(3)) << payload;
  EXPECT_FALSE(room().state().has_subject());
  EXPECT_THAT(Groupchat(kCrone, "<wrapped xmlns='urn:example'><subject>x</subject></wrapped>"), SizeIs(3));
  EXPECT_FALSE(room().state().has_subject());
}

// Section 8.1, "Service Returns Error Related to Unauthorized Subject Change".
TEST_F(SubjectTest, IsForbiddenToChangeForParticipants) {
  EXPECT_THAT(Groupchat(kHag, "<subject>x</subject>"), IsError(kHag, "auth", "forbidden"));
  EXPECT_FALSE(room().state().has_subject());
}

// muc#roomconfig_changesubject.
TEST_F(SubjectTest, IsChangedByParticipantsWhereTheRoomSaysSo) {
  config().set_change_subject(true);
  EXPECT_THAT(Groupchat(kHag, "<subject>x</subject>"), SizeIs(3));
  SetRoleOf("thirdwitch", v1::ROLE_VISITOR);
  EXPECT_THAT(Groupchat(kHag, "<subject>y</subject>"), IsError(kHag, "auth", "forbidden"));
  EXPECT_THAT(room().state().subject().stanza().payload(), HasSubstr("<subject>x</subject>"));
  EXPECT_EQ(room().state().subject().sender(), "hag66@example.org");
}

TEST_F(SubjectTest, MayBeInSeveralLanguages) {
  Groupchat(kCrone, "<subject>Fire</subject><subject xml:lang='de'>Feuer</subject>");
  EXPECT_THAT(Enter(kHecate)[0],
              HasSubstr("<subject>Fire</subject><subject xml:lang=\"de\">Feuer</subject><occupant-id "));
}

TEST_F(SubjectTest, IsNoLongerThanTheOperatorAllows) {
  settings().max_subject_bytes = 200;
  const std::string part(60, 'x');
  EXPECT_THAT(
      Groupchat(kCrone, "<subject>" + part + "</subject><subject xml:lang='de'>" + part + "</subject>"),
      SizeIs(3));
  EXPECT_THAT(Groupchat(kCrone, "<subject>" + part + part + part + part + "</subject>"),
              IsError(kCrone, "modify", "policy-violation"));
  std::string many;
  for (int i = 0; i < 20; ++i) many += "<subject xml:lang='l" + std::to_string(i) + "'>y</subject>";
  EXPECT_THAT(Groupchat(kCrone, many), IsError(kCrone, "modify", "policy-violation"));
  EXPECT_THAT(room().state().subject().stanza().payload(), HasSubstr(part));
}

// XEP-0313 section 5.1.2.
TEST_F(SubjectTest, IsArchivedWhereTheRoomIsLogged) {
  config().set_is_logged(true);
  Groupchat(kCrone, "<subject>Fire Burn</subject>");
  ASSERT_THAT(outcome().archived, SizeIs(1));
  EXPECT_EQ(outcome().archived[0].archive_id(), room().state().subject().archive_id());
}

}  // namespace
}  // namespace rookery::muc
