// Invitations that come to nobody.
#include "coven.h"

namespace rookery::muc {
namespace {

using namespace testing;  // NOLINT
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class ReturnedInvitationsTest : public Coven {
 protected:
  ReturnedInvitationsTest() { config().set_is_members_only(true); }

  /// The id under which the invitation goes on.
  std::string Invite(std::string_view to = "hecate@example.org", std::string_view from = kCrone) {
    ToRoom(from, "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='" + std::string(to) + "'/></x>");
    return outcome().said.back().stanza.id();
  }
  static std::string ErrorOf(const std::string& id, std::string_view from = "hecate@example.org",
                             std::string_view condition = "service-unavailable") {
    return "<message type='error' id='" + id + "' from='" + std::string(from) +
           "' to='coven@conference.example.org'><error type='cancel'><" + std::string(condition) +
           " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
  }
  Said Return(const std::string& id, std::string_view from = "hecate@example.org") {
    return driver_.Apply(ErrorOf(id, from));
  }
  v1::Affiliation OfHecate() { return room().AffiliationOf("hecate@example.org"); }
};

// XEP-0045 section 7.8.2: "If the inviter supplies a non-existent JID".
TEST_F(ReturnedInvitationsTest, AreToldToTheInviter_AndMakeNoMember) {
  const std::string id = Invite();
  EXPECT_EQ(OfHecate(), v1::AFFILIATION_MEMBER);
  const Said said = Return(id);
  EXPECT_EQ(OfHecate(), v1::AFFILIATION_NONE);
  EXPECT_THAT(
      To(said, kCrone),
      ElementsAre(
          HasSubstr("<item affiliation=\"none\" jid=\"hecate@example.org\""),
          "<message from=\"coven@conference.example.org\" to=\"crone1@example.org/desktop\" "
          "id=\"m1\" type=\"error\"><error type=\"cancel\"><item-not-found "
          "xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/><text "
          "xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\" xml:lang=\"en\">The invitation has not reached "
          "hecate@example.org</text></error></message>"));
  EXPECT_THAT(said, Each(HasSubstr("to=\"" + kCrone + "\"")));
  // Once.
  EXPECT_THAT(Return(id), IsEmpty());
}

TEST_F(ReturnedInvitationsTest, OfASessionAreReturnedByItsServer) {
  const std::string id = Invite("hecate@example.org/broom");
  EXPECT_THAT(Return(id, "hecate@example.org/broom"), Contains(HasSubstr("<item-not-found ")));
  EXPECT_EQ(OfHecate(), v1::AFFILIATION_NONE);
}

// It is there, and says why it does not want it.
TEST_F(ReturnedInvitationsTest, OfAClientSayWhatItHasSaid) {
  const std::string id = Invite();
  // Not from where.
  EXPECT_THAT(driver_.ApplyOfClient(ErrorOf(id, kHecate)),
              Contains(AllOf(HasSubstr("<service-unavailable "), Not(HasSubstr("/broom")))));
  EXPECT_EQ(OfHecate(), v1::AFFILIATION_NONE);
}

TEST_F(ReturnedInvitationsTest, AreToldUnderAnotherNickAndAfterAnotherOwnersTurn) {
  const std::string id = Invite();
  room().Rename("firstwitch", "crone");
  EXPECT_THAT(To(Return(id), kCrone), Contains(HasSubstr("<item-not-found ")));
}

TEST_F(ReturnedInvitationsTest, AreToldToNobodyElse) {
  const std::string id = Invite();
  room().RemoveSession(kCrone);
  EXPECT_THAT(Return(id), IsEmpty());
  EXPECT_EQ(OfHecate(), v1::AFFILIATION_NONE);
}

TEST_F(ReturnedInvitationsTest, LeaveWhoWasAMemberBefore) {
  Affiliate("hecate@example.org", v1::AFFILIATION_MEMBER);
  EXPECT_THAT(Return(Invite()), ElementsAre(HasSubstr("<item-not-found ")));
  EXPECT_EQ(OfHecate(), v1::AFFILIATION_MEMBER);
}

TEST_F(ReturnedInvitationsTest, LeaveWhoWasMadeMoreSince) {
  const std::string id = Invite();
  const auto set = [&](const std::string& affiliation) {
    driver_.Apply("<iq type='set' id='1' from='" + kCrone +
                  "' to='coven@conference.example.org'><query xmlns='http://jabber.org/protocol/muc#admin'>"
                  "<item jid='hecate@example.org' affiliation='" +
                  affiliation + "'/></query></iq>");
  };
  set("admin");
  set("member");
  Return(id);
  EXPECT_EQ(OfHecate(), v1::AFFILIATION_MEMBER);
}

TEST_F(ReturnedInvitationsTest, LeaveWhoIsIn) {
  const std::string id = Invite();
  Put("hecate", kHecate);
  Return(id);
  EXPECT_EQ(OfHecate(), v1::AFFILIATION_MEMBER);
  EXPECT_NE(room().FindSession(kHecate), nullptr);
}

// An error of one's own making takes nothing from others, and reaches nobody.
TEST_F(ReturnedInvitationsTest, AreThoseThatTheRoomHasSent) {
  const std::string id = Invite();
  for (const std::string& forged :
       {std::string(), std::string("m1"), id + "AAAA", id.substr(0, id.size() - 4)})
    EXPECT_THAT(Return(forged), IsEmpty()) << forged;
  EXPECT_THAT(Return(id, "king@example.org"), IsEmpty());
  EXPECT_EQ(OfHecate(), v1::AFFILIATION_MEMBER);
  // Declined.
  ToRoom(kHecate, "<x xmlns='http://jabber.org/protocol/muc#user'><decline to='crone1@example.org'/></x>");
  EXPECT_THAT(Return(id), Each(Not(HasSubstr("type=\"error\""))));
}

TEST_F(ReturnedInvitationsTest, HaveAnIdThatGoesOn) {
  const std::string invite =
      "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='hecate@example.org'/></x>";
  EXPECT_THAT(Send(kCrone, "", invite, kRoom, std::string(512, 'i')),
              IsError(kCrone, "modify", "policy-violation"));
  EXPECT_EQ(OfHecate(), v1::AFFILIATION_NONE);
  Send(kCrone, "", invite, kRoom, std::string(511, 'i'));
  const std::string id = outcome().said.back().stanza.id();
  EXPECT_LE(id.size(), 1023u);
  EXPECT_THAT(Return(id), Contains(HasSubstr(" id=\"" + std::string(511, 'i') + "\"")));
}

}  // namespace
}  // namespace rookery::muc
