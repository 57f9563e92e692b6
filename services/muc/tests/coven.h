#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "domain/history.h"
#include "domain/subject.h"
#include "room_driver.h"

namespace rookery::muc::testing {

inline constexpr std::string_view kRoom = "coven@conference.example.org";
inline constexpr std::string_view kCrone = "crone1@example.org/desktop";
inline constexpr std::string_view kWicca = "wiccarocks@example.org/laptop";
inline constexpr std::string_view kHag = "hag66@example.org/pda";
inline constexpr std::string_view kHecate = "hecate@example.org/broom";

/// The XEP's coven: an owner who is the moderator (firstwitch), two participants (secondwitch, thirdwitch),
/// and hecate, who is not in the room.
class Coven : public ::testing::Test {
 protected:
  using Said = std::vector<std::string>;

  Coven() {
    driver_.Create();
    config().set_allow_pm(v1::AUDIENCE_ANYONE);
    config().set_max_history_fetch(20);
    Affiliate("crone1@example.org", v1::AFFILIATION_OWNER);
    Put("firstwitch", kCrone, v1::ROLE_MODERATOR);
    Put("secondwitch", kWicca);
    Put("thirdwitch", kHag);
  }

  void Put(std::string_view nick, std::string_view full_jid, v1::Role role = v1::ROLE_PARTICIPANT) {
    driver_.Put(nick, std::string(full_jid), role);
  }
  void SetRoleOf(std::string_view nick, v1::Role role) { room().ChangeOccupant(nick)->set_role(role); }
  void Affiliate(std::string_view bare, v1::Affiliation affiliation) {
    room().ChangeAffiliated(bare).set_affiliation(affiliation);
  }

  /// A message to the room, of `type`, with these children.
  Said Send(std::string_view from, std::string_view type, std::string_view children,
            std::string_view to = kRoom, std::string_view id = "m1") {
    std::string xml = "<message from='" + std::string(from) + "' to='" + std::string(to) + "'";
    if (!id.empty()) xml += " id='" + std::string(id) + "'";
    if (!type.empty()) xml += " type='" + std::string(type) + "'";
    return driver_.Apply(xml + ">" + std::string(children) + "</message>");
  }
  Said Groupchat(std::string_view from, std::string_view children, std::string_view id = "m1") {
    return Send(from, "groupchat", children, kRoom, id);
  }
  Said ToRoom(std::string_view from, std::string_view children) { return Send(from, "", children); }
  /// What somebody who has entered is given of the past.
  Said Enter(std::string_view full_jid, const xmpp::Element* history = nullptr) {
    return driver_.Do("<presence from='x@example.org/x' to='coven@conference.example.org/x'/>",
                      [&](Turn& turn) {
                        SendHistory(turn, full_jid, history);
                        SendSubject(turn, full_jid);
                      });
  }
  /// The newest id of the room's archive.
  std::uint64_t NewestId() { return room().state().last_archive_id(); }
  std::string NewestIdText() { return std::to_string(NewestId()); }

  static Said To(const Said& said, std::string_view full_jid) { return RoomDriver::To(said, full_jid); }

  v1::RoomConfig& config() { return driver_.config(); }
  Room& room() { return driver_.room(); }
  Outcome& outcome() { return driver_.outcome(); }
  Settings& settings() { return driver_.settings(); }
  std::string OccupantId(std::string_view nick) { return room().FindNick(nick)->occupant_id(); }

  RoomDriver driver_;
};

/// One error, to who has sent the stanza.
MATCHER_P3(IsError, to, type, condition, "") {
  if (arg.size() != 1) return false;
  const std::string& xml = arg.front();
  const auto has = [&](const std::string& text) { return xml.find(text) != std::string::npos; };
  return has(" to=\"" + std::string(to) + "\"") && has(" type=\"error\"") &&
         has("<error type=\"" + std::string(type) + "\"><" + std::string(condition) + " xmlns=");
}

inline int CountOf(const std::string& text, std::string_view part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace rookery::muc::testing
