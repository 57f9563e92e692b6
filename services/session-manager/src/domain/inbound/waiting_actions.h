#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "domain/state/shard.h"
#include "rookery/base/clock.h"
#include "rookery/base/session_id.h"

namespace rookery::session_manager {

struct Settings;

/// The actions of gateways that wait until their shard is live (`Shard::waiting`), and the sessions that are
/// known from these alone: whose attachment is one of them. I/O thread only.
class WaitingActions {
 public:
  WaitingActions(const Settings& settings, const Clock& clock) : settings_(settings), clock_(clock) {}

  bool HasRoom(const Shard& shard) const;
  /// There is room.
  void Add(Shard& shard, WaitingAction&& asked);
  /// The number of the shard for which the attachment of the session waits. Nothing: none does.
  std::optional<std::uint32_t> ShardOf(const SessionId& id) const;
  /// Whether attachments wait for the shard.
  bool HasAttachments(const Shard& shard) const;
  /// All of them, in the order in which they are to be done: what clients have sent, and the ends of their
  /// sessions, come before the sessions that they begin next, on another gateway, whose actions may have come
  /// before.
  std::deque<WaitingAction> Take(Shard& shard);
  /// The gateway is gone.
  void Drop(Shard& shard, const std::string& gateway);
  /// The shard is another's, to whose owner all of it comes again.
  void Forget(Shard& shard);

 private:
  struct Attachment {
    std::uint32_t shard = 0;
    SteadyTime since;
  };

  void ForgetAttachments(const Shard& shard);

  const Settings& settings_;
  const Clock& clock_;
  absl::flat_hash_map<SessionId, Attachment> attachments_;
};

}  // namespace rookery::session_manager
