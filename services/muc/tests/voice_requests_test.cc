#include "domain/affiliations/voice_requests.h"

#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class VoiceRequestsTest : public Coven {
 protected:
  VoiceRequestsTest() {
    config().set_is_moderated(true);
    SetRoleOf("thirdwitch", v1::ROLE_VISITOR);
  }
  static std::string FieldOf(std::string_view var, std::string_view value) {
    return "<field var='" + std::string(var) + "'><value>" + std::string(value) + "</value></field>";
  }
  Said Submit(std::string_view from, const std::string& fields, std::string_view type = "submit") {
    return ToRoom(from, "<x xmlns='jabber:x:data' type='" + std::string(type) + "'>" +
                            FieldOf("FORM_TYPE", "http://jabber.org/protocol/muc#request") + fields + "</x>");
  }
  Said Ask(std::string_view from) { return Submit(from, FieldOf("muc#role", "participant")); }
  Said Answer(std::string_view from, std::string_view allow, std::string_view jid = kHag,
              std::string_view nick = "thirdwitch") {
    std::string fields = FieldOf("muc#role", "participant");
    if (!jid.empty()) fields += FieldOf("muc#jid", jid);
    if (!nick.empty()) fields += FieldOf("muc#roomnick", nick);
    return Submit(from, fields + FieldOf("muc#request_allow", allow));
  }
};

// XEP-0045 section 8.6, "Voice Request Approval Form".
TEST_F(VoiceRequestsTest, GoToTheModeratorsAsAForm) {
  Put("firstwitch", "crone1@example.org/phone", v1::ROLE_MODERATOR);
  const Said said = Ask(kHag);
  ASSERT_THAT(said, SizeIs(2));
  EXPECT_THAT(outcome().said, SizeIs(1));
  EXPECT_THAT(said[1], HasSubstr("to=\"crone1@example.org/phone\""));
  EXPECT_THAT(said[0], HasSubstr("<message from=\"coven@conference.example.org\" "
                                 "to=\"crone1@example.org/desktop\" id=\"m1\">"
                                 "<x xmlns=\"jabber:x:data\" type=\"form\">"));
  for (const std::string_view part :
       {"<field var=\"FORM_TYPE\" "
        "type=\"hidden\"><value>http://jabber.org/protocol/muc#request</value></field>",
        "<field var=\"muc#role\" type=\"list-single\" label=\"Requested role\"><value>participant</value>",
        "<field var=\"muc#jid\" type=\"jid-single\" label=\"Address\"><value>hag66@example.org/pda</value>",
        "<value>thirdwitch</value>", "<field var=\"muc#request_allow\" type=\"boolean\"",
        "<value>false</value>"})
    EXPECT_THAT(said[0], HasSubstr(std::string(part)));
}

TEST_F(VoiceRequestsTest, OfWhoHasVoiceAskForNothing) {
  EXPECT_THAT(Ask(kWicca), IsEmpty());
  EXPECT_THAT(Ask(kCrone), IsEmpty());
}

TEST_F(VoiceRequestsTest, OfWhoIsNotInTheRoomAreNotAcceptable) {
  EXPECT_THAT(Ask(kHecate), IsError(kHecate, "modify", "not-acceptable"));
}

// Section 7.13: "a muc#role field with a value of participant".
TEST_F(VoiceRequestsTest, ForAnythingButVoiceAreABadRequest) {
  EXPECT_THAT(Submit(kHag, FieldOf("muc#role", "moderator")), IsError(kHag, "modify", "bad-request"));
  EXPECT_THAT(Submit(kHag, ""), IsError(kHag, "modify", "bad-request"));
  EXPECT_THAT(Submit(kHag, "<field var='muc#role'/>"), IsError(kHag, "modify", "bad-request"));
  EXPECT_THAT(
      Submit(kHag, "<field var='muc#role'><value>participant</value><value>moderator</value></field>"),
      IsError(kHag, "modify", "bad-request"));
}

// XEP-0004: what is not asked for is ignored; what is no form is refused.
TEST_F(VoiceRequestsTest, BearHostileForms) {
  EXPECT_THAT(Submit(kHag, FieldOf("muc#role", "participant") + FieldOf("unknown", "x") +
                               "<wild xmlns='urn:example'/>"),
              SizeIs(1));
  EXPECT_THAT(Submit(kHag, FieldOf("muc#role", "participant") + FieldOf("muc#role", "participant")),
              IsError(kHag, "modify", "bad-request"));
  EXPECT_THAT(Submit(kHag, "<field><value>x</value></field>"), IsError(kHag, "modify", "bad-request"));
  EXPECT_THAT(ToRoom(kHag, "<x xmlns='jabber:x:data' type='nonsense'/>"),
              IsError(kHag, "modify", "bad-request"));
  EXPECT_THAT(ToRoom(kHag, "<x xmlns='jabber:x:data' type='submit'/>"),
              IsError(kHag, "modify", "bad-request"));
  EXPECT_THAT(
      ToRoom(kHag, "<x xmlns='jabber:x:data' type='submit'>" + FieldOf("FORM_TYPE", "other") + "</x>"),
      IsError(kHag, "modify", "bad-request"));
}

TEST_F(VoiceRequestsTest, ThatAreNotSubmittedAskForNothing) {
  EXPECT_THAT(Submit(kHag, FieldOf("muc#role", "participant"), "cancel"), IsEmpty());
  EXPECT_THAT(Submit(kHag, FieldOf("muc#role", "participant"), "form"), IsEmpty());
}

TEST_F(VoiceRequestsTest, WithoutAModeratorFindNobody) {
  SetRoleOf("firstwitch", v1::ROLE_PARTICIPANT);
  EXPECT_THAT(Ask(kHag), IsError(kHag, "wait", "recipient-unavailable"));
}

TEST_F(VoiceRequestsTest, AreLimitedInTime) {
  settings().max_requests = 2;
  EXPECT_THAT(Ask(kHag), SizeIs(1));
  EXPECT_THAT(Ask(kHag), SizeIs(1));
  EXPECT_THAT(Ask(kHag), IsError(kHag, "wait", "policy-violation"));
  driver_.Pass(settings().changes_period.count());
  EXPECT_THAT(Ask(kHag), SizeIs(1));
}

// Section 8.6: "a moderator shall submit the form".
TEST_F(VoiceRequestsTest, AreAnsweredByModeratorsOnly) {
  EXPECT_THAT(Answer(kWicca, "true"), IsError(kWicca, "auth", "forbidden"));
  EXPECT_THAT(Answer(kHag, "true"), IsError(kHag, "auth", "forbidden"));
  EXPECT_THAT(Answer(kHecate, "true"), IsError(kHecate, "modify", "not-acceptable"));
  EXPECT_EQ(room().FindNick("thirdwitch")->role(), v1::ROLE_VISITOR);
}

// Section 8.6: "the service shall grant voice to the occupant and send a presence update".
TEST_F(VoiceRequestsTest, ThatAreGrantedGiveVoice) {
  const Said said = Answer(kCrone, "true");
  EXPECT_EQ(room().FindNick("thirdwitch")->role(), v1::ROLE_PARTICIPANT);
  for (const std::string_view to : {kCrone, kWicca, kHag})
    EXPECT_THAT(To(said, to), ElementsAre(AllOf(HasSubstr("<presence "), HasSubstr("/thirdwitch\""),
                                                HasSubstr("role=\"participant\""))));
  EXPECT_THAT(Groupchat(kHag, "<body>hi</body>"), SizeIs(3));
}

TEST_F(VoiceRequestsTest, AreGrantedFromAnotherDeviceOfWhoAdministersTheRoom) {
  Answer("wiccarocks@example.org/phone", "true");
  EXPECT_EQ(room().FindNick("thirdwitch")->role(), v1::ROLE_VISITOR);
  Answer("crone1@example.org/phone", "true");
  EXPECT_EQ(room().FindNick("thirdwitch")->role(), v1::ROLE_PARTICIPANT);
}

TEST_F(VoiceRequestsTest, AreGrantedToWhoHasANewNick) {
  room().Rename("thirdwitch", "oldhag");
  Answer(kCrone, "1");
  EXPECT_EQ(room().FindNick("oldhag")->role(), v1::ROLE_PARTICIPANT);
}

TEST_F(VoiceRequestsTest, AreGrantedByNickWhereTheFormNamesNoSession) {
  Answer(kCrone, "true", "");
  EXPECT_EQ(room().FindNick("thirdwitch")->role(), v1::ROLE_PARTICIPANT);
}

TEST_F(VoiceRequestsTest, ThatAreDeniedChangeNothing) {
  EXPECT_THAT(Answer(kCrone, "false"), IsEmpty());
  EXPECT_THAT(Answer(kCrone, "0"), IsEmpty());
  EXPECT_EQ(room().FindNick("thirdwitch")->role(), v1::ROLE_VISITOR);
}

TEST_F(VoiceRequestsTest, HaveHostileAnswersRefused) {
  EXPECT_THAT(Answer(kCrone, "maybe"), IsError(kCrone, "modify", "bad-request"));
  EXPECT_THAT(Answer(kCrone, "true", "@@"), IsError(kCrone, "modify", "jid-malformed"));
  EXPECT_THAT(Answer(kCrone, "true", kHecate), IsError(kCrone, "cancel", "item-not-found"));
  EXPECT_THAT(Answer(kCrone, "true", "", "nobody"), IsError(kCrone, "cancel", "item-not-found"));
  EXPECT_THAT(Answer(kCrone, "true", "", ""), IsError(kCrone, "cancel", "item-not-found"));
  // A moderator would lose by it.
  EXPECT_THAT(Answer(kCrone, "true", kCrone, ""), IsEmpty());
  EXPECT_EQ(room().FindNick("firstwitch")->role(), v1::ROLE_MODERATOR);
}

}  // namespace
}  // namespace rookery::muc
