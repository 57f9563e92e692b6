// Whoever takes a room over from its checkpoint says what its old owner would have said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "room_driver.h"

namespace rookery::muc {
namespace {

/// One room in a store.
class Stored {
 public:
  void Apply(const RoomChanges& changes) {
    if (changes.is_destroyed || changes.is_new) *this = Stored();
    if (changes.is_destroyed) return;
    exists_ = true;
    state_ = changes.state;
    for (const std::string& nick : changes.gone_nicks) occupants_.erase(nick);
    for (const v1::Occupant& occupant : changes.occupants) occupants_[occupant.nick()] = occupant;
    for (const std::string& jid : changes.forgotten_affiliations) affiliations_.erase(jid);
    for (const v1::Affiliated& one : changes.affiliations) affiliations_[one.jid()] = one;
  }
  Room Load(const std::string& jid) const {
    if (!exists_) return Room(jid);
    StoredRoom stored;
    stored.room = jid;
    stored.state = state_;
    for (const auto& [nick, occupant] : occupants_) stored.occupants.push_back(occupant);
    for (const auto& [bare, affiliated] : affiliations_) stored.affiliations.push_back(affiliated);
    return Room(std::move(stored));
  }

 private:
  bool exists_ = false;
  v1::RoomState state_;
  std::map<std::string, v1::Occupant> occupants_;
  std::map<std::string, v1::Affiliated> affiliations_;
};

/// Makes a stanza of one of six devices of three accounts, at random.
std::string RandomStanza(std::mt19937& random) {
  const auto pick = [&](const std::vector<std::string>& from) { return from[random() % from.size()]; };
  const std::string from =
      pick({"hag66@example.org/pda", "hag66@example.org/phone", "crone1@example.org/pda",
            "crone1@example.org/phone", "wicca@example.org/pda", "wicca@example.org/phone"});
  const std::string addresses = " from='" + from + "' to='coven@conference.example.org/" +
                                pick({"hag", "hags", "crone", "scope", "sc0pe"}) + "'";
  switch (random() % 8) {
    case 0:
    case 1:
      return "<presence" + addresses + "><x xmlns='http://jabber.org/protocol/muc'/><show>" +
             pick({"away", "chat", "dnd"}) + "</show></presence>";
    case 2:
      return "<presence" + addresses + "/>";
    case 3:
      return "<presence" + addresses + "><show>" + pick({"away", "chat", "dnd"}) + "</show></presence>";
    case 4:
      return "<presence type='unavailable'" + addresses + "/>";
    case 5:
      return "<message type='error'" + addresses + "><error type='cancel'><" + pick({"gone", "forbidden"}) +
             " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
    case 6:
      return "<iq type='get' id='1'" + addresses + "><ping xmlns='urn:xmpp:ping'/></iq>";
    default:
      return "<iq type='get' id='1'" + addresses + "><vCard xmlns='vcard-temp'/></iq>";
  }
}

TEST(NextOwner, SaysWhatTheOldOneWouldHaveSaid) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    testing::RoomDriver one;
    testing::RoomDriver next;
    for (testing::RoomDriver* driver : {&one, &next}) {
      driver->settings().max_changes = 6;
      driver->settings().quiet_above = 2;
      if (seed % 2 == 0) driver->Create();
    }
    Stored stored;
    for (int i = 0; i < 200; ++i) {
      const std::string stanza = RandomStanza(random);
      ASSERT_EQ(next.Apply(stanza), one.Apply(stanza)) << seed << " " << i << " " << stanza;
      const auto pause = static_cast<std::int64_t>(random() % 5'000);
      one.Pass(pause);
      next.Pass(pause);
      if (next.room().has_changed()) stored.Apply(next.room().TakeChanges());
      if (random() % 4 == 0) next.room() = stored.Load(next.room().jid());
      // On it depends who is refused.
      ASSERT_EQ(next.room().bytes(), one.room().bytes()) << seed << " " << i;
      // Each session has one occupant, and each occupant one account.
      std::size_t sessions = 0;
      for (const auto& [nick, occupant] : one.room().occupants()) {
        sessions += static_cast<std::size_t>(occupant.sessions_size());
        for (const v1::OccupantSession& session : occupant.sessions()) {
          ASSERT_EQ(one.room().FindSession(session.jid()), &occupant);
          ASSERT_EQ(xmpp::BareOf(session.jid()), Room::AccountOf(occupant));
        }
      }
      ASSERT_EQ(sessions, one.room().session_count());
    }
  }
}

}  // namespace
}  // namespace rookery::muc
