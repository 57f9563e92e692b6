#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "domain/features/feature_hooks.h"
#include "domain/state/cause.h"
#include "domain/state/shard.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Addresses;
class Consequences;
class Deliverer;
class Outbox;
class Shards;
struct SessionManagerMetrics;

/// Those to whom rooms speak and who are not there: the room is told, so that it takes them out (XEP-0045,
/// Ghost Users; README.md, RM3). I/O thread only.
class Ghosts : public LifeHook {
 public:
  Ghosts(SessionManagerMetrics& metrics, const Addresses& addresses, const Shards& shards,
         Consequences& consequences, Outbox& outbox, Deliverer& deliverer)
      : metrics_(metrics),
        addresses_(addresses),
        shards_(shards),
        consequences_(consequences),
        outbox_(outbox),
        deliverer_(deliverer) {}

  /// A private message of an occupant (XEP-0045 section 7.5).
  bool IsPrivate(const xmpp::Stanza& stanza) const;
  /// Returns the error for a room that has said this to somebody who is not there. Nothing where it has
  /// nothing to learn, or the sender is no room.
  std::optional<xmpp::ErrorCondition> ConditionFor(const xmpp::Stanza& stanza) const;
  /// `ghost`: the full JID that it was said to. Nothing of the stanza is given back but, of a private
  /// message, <x/> of muc#user, so that the room tells its sender.
  void Tell(Shard& shard, Cause cause, const xmpp::Stanza& stanza, std::string_view ghost,
            xmpp::ErrorCondition condition);
  /// True: the session has too much already to be given the stanza, too (B4): for a room it is not there
  /// then.
  [[nodiscard]] bool SpareIfFull(Session& session, const xmpp::Stanza& stanza, std::int64_t offset);
  /// What a room is told that has said this to somebody who is spared it: also where it says that somebody
  /// else is gone, which nobody says again.
  std::optional<xmpp::ErrorCondition> ConditionForSpared(const xmpp::Stanza& stanza) const;
  /// Asks the rooms of a session that may have missed what they said, and was answered for then, whether it
  /// is in (RM7); the next owner does it if this one does not. A room that has taken it out tells its client
  /// so.
  void ComeBack(Session& session);

  void OnShardLive(Shard& shard) override;

 private:
  Task<void> ComeBackTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);

  SessionManagerMetrics& metrics_;
  const Addresses& addresses_;
  const Shards& shards_;
  Consequences& consequences_;
  Outbox& outbox_;
  Deliverer& deliverer_;
};

}  // namespace rookery::session_manager
