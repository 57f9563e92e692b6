// Whoever declines an invitation is heard if there was one.
#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class DeclinesTest : public Coven {
 protected:
  Said User(std::string_view from, const std::string& children) {
    return ToRoom(from, "<x xmlns='http://jabber.org/protocol/muc#user'>" + children + "</x>");
  }
  Said Invite(std::string_view from, std::string_view to) {
    return User(from, "<invite to='" + std::string(to) + "'/>");
  }
  Said Decline(std::string_view from, std::string_view to, const std::string& reason = "no") {
    return User(from, "<decline to='" + std::string(to) + "'><reason>" + reason + "</reason></decline>");
  }
};

TEST_F(DeclinesTest, WithoutAnInvitationNobodyIsReached) {
  Affiliate("king@example.org", v1::AFFILIATION_MEMBER);
  for (const char* to : {"hag66@example.org", "hag66@example.org/pda",
                         "coven@conference.example.org/thirdwitch", "king@example.org"})
    EXPECT_THAT(Decline(kHecate, to), IsEmpty()) << to;
  Invite(kHag, "hecate@example.org");
  EXPECT_THAT(Decline(kHecate, "hag66@example.org"), SizeIs(1));
}

TEST_F(DeclinesTest, EachInvitationIsDeclinedOnceAndToItsInviterOnly) {
  Invite(kHag, "hecate@example.org/broom");
  Invite(kWicca, "king@example.org");
  EXPECT_THAT(Decline(kHecate, "wiccarocks@example.org"), IsEmpty());
  EXPECT_THAT(Decline("king@example.org/x", "coven@conference.example.org/thirdwitch"), IsEmpty());
  EXPECT_THAT(Decline("hecate@example.org/other", "coven@conference.example.org/thirdwitch"),
              ElementsAre(HasSubstr("to=\"hag66@example.org/pda\"")));
  EXPECT_THAT(Decline(kHecate, "coven@conference.example.org/thirdwitch"), IsEmpty());
  EXPECT_THAT(Decline(kHecate, "hag66@example.org"), IsEmpty());
  EXPECT_THAT(Decline("king@example.org/x", "wiccarocks@example.org"), SizeIs(1));
}

// By then the nick may be somebody else's.
TEST_F(DeclinesTest, AreNotForWhoHasTheNickNow) {
  Invite(kHag, "hecate@example.org");
  room().RemoveSession(kHag);
  Put("thirdwitch", "king@example.org/castle");
  EXPECT_THAT(Decline(kHecate, "coven@conference.example.org/thirdwitch"), IsEmpty());
  Invite("king@example.org/castle", "hecate@example.org");
  EXPECT_THAT(Decline(kHecate, "coven@conference.example.org/thirdwitch"),
              ElementsAre(HasSubstr("to=\"king@example.org/castle\"")));
}

TEST_F(DeclinesTest, AnInvitationIsRememberedForADay) {
  Invite(kHag, "hecate@example.org");
  driver_.Pass(24 * 3'600'000);
  EXPECT_THAT(Decline(kHecate, "hag66@example.org"), IsEmpty());
  Invite(kHag, "hecate@example.org");
  driver_.Pass(24 * 3'600'000 - 1);
  EXPECT_THAT(Decline(kHecate, "hag66@example.org"), SizeIs(1));
}

TEST_F(DeclinesTest, SoManyInvitationsAreRemembered) {
  settings().max_requests = 1000;
  for (int i = 0; i < 300; ++i) Invite(kHag, "a" + std::to_string(i) + "@example.org");
  EXPECT_THAT(room().state().invitations(), SizeIs(256));
  EXPECT_THAT(Decline("a0@example.org/x", "hag66@example.org"), IsEmpty());
  EXPECT_THAT(Decline("a299@example.org/x", "hag66@example.org"), SizeIs(1));
}

TEST_F(DeclinesTest, ReasonsHaveABound) {
  Invite(kHag, "hecate@example.org");
  EXPECT_THAT(Decline(kHecate, "hag66@example.org", std::string(1025, 'r')),
              IsError(kHecate, "modify", "not-acceptable"));
  EXPECT_THAT(Decline(kHecate, "hag66@example.org", std::string(1024, 'r')), SizeIs(1));
  EXPECT_THAT(
      User(kHag, "<invite to='hecate@example.org'><reason>" + std::string(1025, 'r') + "</reason></invite>"),
      IsError(kHag, "modify", "not-acceptable"));
}

TEST_F(DeclinesTest, AreCounted) {
  settings().max_requests = 2;
  for (const std::string_view from : {kHag, kWicca, kCrone}) Invite(from, "hecate@example.org");
  EXPECT_THAT(Decline(kHecate, "hag66@example.org"), SizeIs(1));
  EXPECT_THAT(Decline("hecate@example.org/other", "wiccarocks@example.org"), SizeIs(1));
  EXPECT_THAT(Decline(kHecate, "crone1@example.org"), IsError(kHecate, "wait", "policy-violation"));
  driver_.Pass(settings().changes_period.count());
  EXPECT_THAT(Decline(kHecate, "crone1@example.org"), SizeIs(1));
}

// Section 9.5: that of an admin who has made a member.
TEST_F(DeclinesTest, AnInvitationToANewMemberIsOneToo) {
  config().set_is_members_only(true);
  driver_.Apply(
      "<iq type='set' id='1' from='crone1@example.org/desktop' to='coven@conference.example.org'>"
      "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member' "
      "jid='hecate@example.org'/></query></iq>");
  EXPECT_THAT(Decline(kHecate, "coven@conference.example.org/firstwitch"), SizeIs(1));
}

}  // namespace
}  // namespace rookery::muc
