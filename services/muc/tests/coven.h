#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "domain/messages/history.h"
#include "domain/messages/subject.h"
#include "room_fixture.h"

namespace rookery::muc::testing {

/// The XEP's coven: an owner who is the moderator (firstwitch), two participants (secondwitch, thirdwitch),
/// and hecate, who is not in the room.
class Coven : public RoomTest {
 protected:
  Coven() {
    driver_.Create();
    config().set_allow_pm(v1::AUDIENCE_ANYONE);
    config().set_max_history_fetch(20);
    Affiliate("crone1@example.org", v1::AFFILIATION_OWNER);
    Put("firstwitch", kCrone, v1::ROLE_MODERATOR);
    Put("secondwitch", kWicca);
    Put("thirdwitch", kHag);
  }

  void SetRoleOf(std::string_view nick, v1::Role role) { room().ChangeOccupant(nick)->set_role(role); }

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
  /// Returns what somebody who has entered is given of the past.
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

  std::string OccupantId(std::string_view nick) { return room().FindNick(nick)->occupant_id(); }
};

/// One error, to who has sent the stanza.
MATCHER_P3(IsError, to, type, condition, "") {
  if (arg.size() != 1) return false;
  const std::string& xml = arg.front();
  const auto has = [&](const std::string& text) { return xml.find(text) != std::string::npos; };
  return has(" to=\"" + std::string(to) + "\"") && has(" type=\"error\"") &&
         has("<error type=\"" + std::string(type) + "\" by=\"" + kRoom + "\"><" + std::string(condition) +
             " xmlns=");
}

inline int CountOf(const std::string& text, std::string_view part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace rookery::muc::testing
