#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "domain/room/turn.h"

namespace rookery::muc {

/// The facts about something that the room has passed on, for when its answer comes.
struct Relayed {
  /// TagOfAsker.
  std::string asker;
  /// Without a NUL.
  std::string note;
  /// The id under which the asker has sent it.
  std::string id;
};

/// The id under which it goes on, so that nothing is kept: any owner of the room reads it. Only whoever is at
/// `answerer`, a bare JID, can make use of it, and learns no address. It is read for the purpose that it was
/// made for. It may be longer than ids may be (xmpp::kMaxIdBytes).
std::string MakeRelayedId(const Turn& turn, std::string_view purpose, std::string_view answerer,
                          const Relayed& relayed);
/// Nullopt: the room has not made it, or not for this purpose or answerer.
std::optional<Relayed> ReadRelayedId(const Turn& turn, std::string_view purpose, std::string_view answerer,
                                     const std::string& id);

/// Names a session of an occupant to the room alone, whatever its nick becomes.
std::string TagOfAsker(const Turn& turn, const v1::Occupant& asker, std::string_view full_jid);
/// The session's full JID. Empty: it is not in the room any more. Costs least where it still has the nick.
std::string FindAsker(const Turn& turn, std::string_view tag, std::string_view nick);

}  // namespace rookery::muc
