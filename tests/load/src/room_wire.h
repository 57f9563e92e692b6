#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rookery::load {

/// The stanzas that the occupants of the rooms benchmark say, and how they recognise what they hear
/// (XEP-0045), with as little reading as will do: it happens for every delivery.

/// Enters as `room/nick`, without the room's history (section 7.2).
std::string EnterRoom(std::string_view occupant_jid);
/// Makes a new room with the service's defaults: an instant room (section 10.1.2). `presence_broadcast`: but
/// for the roles of those whose presence it shows, if any are given; `none` is nobody's.
std::string UnlockRoom(std::string_view room_jid, std::string_view id,
                       const std::vector<std::string>& presence_broadcast = {});

/// Which message of which room of the run.
struct RoomMessage {
  std::uint32_t room = 0;
  std::uint32_t number = 0;
  bool operator==(const RoomMessage&) const = default;
};
std::string SayInRoom(std::string_view room_jid, RoomMessage message, std::string_view filler);

enum class RoomStanza : std::uint8_t {
  kMessage,  // a groupchat message of ours
  kError,    // one of ours was refused
  kStrange,  // a groupchat message with a body that is not ours
  kOther,    // a subject, a change of configuration, anything else
};
struct HeardMessage {
  RoomStanza what = RoomStanza::kOther;
  std::optional<RoomMessage> message;  // of kMessage always, of kError if its id tells
};
/// Classifies a `<message>`.
HeardMessage ReadRoomMessage(std::string_view stanza);

/// Whether a presence has this status code (section 15.6): 110 is the receiver itself, 201 a new room.
bool HasStatus(std::string_view presence, std::string_view code);

}  // namespace rookery::load
