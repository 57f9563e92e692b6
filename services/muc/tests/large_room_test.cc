// A room with as many occupants as the settings that are shipped allow.
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using testing::kAdmin;
using testing::kModerator;
using testing::kOwner;

class LargeRoom : public testing::StaffedRoomTest {
 protected:
  static std::string Guest(std::size_t i) {
    return "guest" + std::to_string(i) + "@example.org/phone.Xa7K2q9Z";
  }
  static std::string NickOf(std::size_t i) { return "guest" + std::to_string(100'000 + i); }
  /// What clients say of themselves (XEP-0115, XEP-0153).
  static std::string Children() {
    return "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example/messenger' "
           "ver='QgayPKawpkPSDYmwT/WM94uAlu0='/><x xmlns='vcard-temp:x:update'>"
           "<photo>da39a3ee5e6b4b0d3255bfef95601890afd80709</photo></x>";
  }
  void PutGuest(std::size_t i) {
    Put(NickOf(i), Guest(i));
    room().ChangeSession(Guest(i))->mutable_presence()->set_payload(Children());
    const auto crowd = static_cast<std::size_t>(settings().quiet_above);
    room().ChangeKnown(NickOf(i))->set_is_shown(room().occupants().size() <= crowd);
  }
  Said Enter(const std::string& from, const std::string& nick) {
    return driver_.Apply("<presence from='" + from + "' to='coven@conference.example.org/" + nick + "'>" +
                         Children() + "<x xmlns='http://jabber.org/protocol/muc'/></presence>");
  }
};

TEST_F(LargeRoom, OfAsManyAsMayEnterWorks) {
  const auto most = static_cast<std::size_t>(settings().max_occupants);
  ASSERT_EQ(most, 10'000u);
  // What a session-manager keeps for a session that does not acknowledge it.
  constexpr std::size_t kMostToOne = 2'500;
  std::size_t i = 0;
  for (; room().occupants().size() < most; ++i) {
    const std::size_t occupants = room().occupants().size();
    if (occupants % 1'000 != 0 && occupants + 1 != most) {
      PutGuest(i);
      continue;
    }
    const Said said = Enter(Guest(i), NickOf(i));
    const std::size_t to_itself = To(said, Guest(i)).size();
    ASSERT_NE(room().FindSession(Guest(i)), nullptr) << occupants;
    EXPECT_LE(to_itself, kMostToOne) << occupants;
    EXPECT_GE(to_itself, std::min<std::size_t>(occupants, 2'000)) << occupants;
    if (occupants < static_cast<std::size_t>(settings().quiet_above)) continue;
    // Of the others none but moderators hears of one more.
    const std::size_t to_moderators =
        To(said, kOwner).size() + To(said, kAdmin).size() + To(said, kModerator).size();
    EXPECT_EQ(said.size(), to_itself + to_moderators) << occupants;
    EXPECT_LE(to_moderators, 3u) << occupants;
  }
  EXPECT_LE(room().bytes(), static_cast<std::size_t>(settings().max_room_bytes));

  driver_.Apply("<message type='groupchat' id='m' from='" + Guest(7) +
                "' to='coven@conference.example.org'><body>hi</body></message>");
  EXPECT_EQ(outcome().deliveries, most);
  EXPECT_EQ(outcome().said.size(), 1u);

  // Whoever has come last goes as unnoticed.
  driver_.Apply("<presence type='unavailable' from='" + Guest(i - 1) +
                "' to='coven@conference.example.org/x'/>");
  EXPECT_LE(outcome().deliveries, 1u + 3u);
  EXPECT_EQ(Enter(Guest(i - 1), NickOf(i - 1)).size() > 1u, true);

  EXPECT_EQ(RefusalIn(Enter("one-too-many@example.org/x", "one-too-many")), "wait service-unavailable");
  Affiliate("late@example.org", v1::AFFILIATION_ADMIN);
  Enter("late@example.org/x", "late");
  EXPECT_EQ(RoleOf("late"), v1::ROLE_MODERATOR);
  AdminSet(kAdmin, "<item affiliation='outcast' jid='guest7@example.org'/>");
  EXPECT_EQ(RoleOf(NickOf(7)), v1::ROLE_NONE);
}

}  // namespace
}  // namespace rookery::muc
