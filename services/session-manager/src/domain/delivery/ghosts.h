#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "domain/records/cause.h"
#include "domain/records/shard.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Addresses;
class Consequences;
class Deliverer;
struct SessionManagerMetrics;

/// Those to whom rooms speak and who are not there: the room is told, so that it takes them out (XEP-0045,
/// Ghost Users; README.md, RM3). I/O thread only.
class Ghosts {
 public:
  Ghosts(SessionManagerMetrics& metrics, const Addresses& addresses, Consequences& consequences,
         Deliverer& deliverer)
      : metrics_(metrics), addresses_(addresses), consequences_(consequences), deliverer_(deliverer) {}

  /// What a room is told that has said this to somebody who is not there. Nothing where it has nothing to
  /// learn, or the sender is no room.
  std::optional<xmpp::ErrorCondition> ConditionFor(const xmpp::Stanza& stanza) const;
  /// `ghost`: the full JID that it was said to. Nothing of the stanza is given back.
  void Tell(Shard& shard, Cause cause, const xmpp::Stanza& stanza, std::string_view ghost,
            xmpp::ErrorCondition condition);
  /// Whether the session has too much already to be given the stanza, too (B4): for a room it is not there
  /// then.
  bool IsSpared(Session& session, const xmpp::Stanza& stanza, std::int64_t offset);

 private:
  SessionManagerMetrics& metrics_;
  const Addresses& addresses_;
  Consequences& consequences_;
  Deliverer& deliverer_;
};

}  // namespace rookery::session_manager
