// XEP-0045 section 5.1: an implementation "SHOULD" persist roles across visits "for moderated rooms".
#include "domain/occupants/voice.h"

#include "staffed_room.h"

namespace rookery::muc {
namespace {

using testing::kAdmin;
using testing::kMember;
using testing::kNobody;
using testing::kOwner;
using ::testing::SizeIs;

class Voice : public testing::StaffedRoomTest {
 protected:
  Voice() { config().set_is_moderated(true); }
  void SetRole(const std::string& nick, const std::string& role) {
    EXPECT_TRUE(IsResult(AdminSet(kOwner, "<item nick='" + nick + "' role='" + role + "'/>").front()));
  }
  void Leave(const std::string& from) {
    driver_.Apply("<presence type='unavailable' from='" + from + "' to='coven@conference.example.org/x'/>");
  }
  v1::Role Enter(const std::string& from, const std::string& nick) {
    driver_.Apply("<presence from='" + from + "' to='coven@conference.example.org/" + nick +
                  "'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    return RoleOf(nick);
  }
  v1::Role ComeBack(const std::string& from, const std::string& nick) {
    Leave(from);
    return Enter(from, nick);
  }
};

TEST_F(Voice, AMemberWhoHasLostItDoesNotGetItBackByLeaving) {
  SetRole("thirdwitch", "visitor");
  EXPECT_EQ(ComeBack(kMember, "thirdwitch"), v1::ROLE_VISITOR);
  EXPECT_EQ(ComeBack(kMember, "othernick"), v1::ROLE_VISITOR);
  // Nor by another nick.
  EXPECT_EQ(Enter("hag66@example.org/phone", "second"), v1::ROLE_VISITOR);
  Leave("hag66@example.org/phone");
  SetRole("othernick", "participant");
  EXPECT_EQ(ComeBack(kMember, "thirdwitch"), v1::ROLE_PARTICIPANT);
}

TEST_F(Voice, AMemberWhoHasLostItHasItWithMembershipAnew) {
  SetRole("thirdwitch", "visitor");
  Leave(kMember);
  AdminSet(kAdmin, "<item affiliation='none' jid='hag66@example.org'/>");
  AdminSet(kAdmin, "<item affiliation='member' jid='hag66@example.org'/>");
  EXPECT_EQ(Enter(kMember, "thirdwitch"), v1::ROLE_PARTICIPANT);
}

TEST_F(Voice, WhoWasGivenItComesBackWithIt) {
  SetRole("Polo", "visitor");
  EXPECT_EQ(ComeBack(kNobody, "Polo"), v1::ROLE_VISITOR);
  SetRole("Polo", "participant");
  EXPECT_EQ(ComeBack(kNobody, "Polo"), v1::ROLE_PARTICIPANT);
  EXPECT_EQ(ComeBack(kNobody, "Marco"), v1::ROLE_PARTICIPANT);
  SetRole("Marco", "visitor");
  EXPECT_EQ(ComeBack(kNobody, "Polo"), v1::ROLE_VISITOR);
}

TEST_F(Voice, WhoIsKickedOrBannedHasLostWhatWasGiven) {
  AdminSet(kOwner, "<item nick='Polo' role='none'/>");
  EXPECT_EQ(Enter(kNobody, "Polo"), v1::ROLE_VISITOR);
  SetRole("Polo", "participant");
  EXPECT_EQ(ComeBack(kNobody, "Polo"), v1::ROLE_PARTICIPANT);
  AdminSet(kAdmin, "<item affiliation='outcast' jid='polonius@example.net'/>");
  AdminSet(kAdmin, "<item affiliation='none' jid='polonius@example.net'/>");
  EXPECT_EQ(Enter(kNobody, "Polo"), v1::ROLE_VISITOR);
}

TEST_F(Voice, WhereAllHaveItNothingIsKept) {
  config().set_is_moderated(false);
  SetRole("thirdwitch", "visitor");
  EXPECT_EQ(ComeBack(kMember, "thirdwitch"), v1::ROLE_PARTICIPANT);
  Leave(kNobody);
  EXPECT_THAT(room().state().voices(), SizeIs(0));
}

TEST_F(Voice, TheNewestAreKept) {
  for (int i = 0; i < kMaxKeptVoices + 10; ++i) {
    const std::string jid = "guest" + std::to_string(i) + "@example.org/x";
    Put("guest", jid);
    Leave(jid);
  }
  EXPECT_THAT(room().state().voices(), SizeIs(kMaxKeptVoices));
  EXPECT_EQ(Enter("guest9@example.org/x", "guest"), v1::ROLE_VISITOR);
  Leave("guest9@example.org/x");
  EXPECT_EQ(Enter("guest10@example.org/x", "guest"), v1::ROLE_PARTICIPANT);
}

}  // namespace
}  // namespace rookery::muc
