#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "domain/state/shard.h"
#include "ports/gateway_peer.h"
#include "rookery/base/session_id.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class AccountCheck;
class Gateways;
class SessionAttacher;
class SessionEnds;
class SessionResumer;
class SessionTable;
class Shards;
class TurnedAway;
struct Settings;

/// Attaches the sessions that gateways bring. One that comes when its shard has been loaded is attached once
/// the account store has said that the session is still let in, and whatever comes of the session meanwhile
/// waits for that, too (README.md, AC5). I/O thread only.
class Attachments {
 public:
  class Listener {
   public:
    /// The session has been checked: an attachment, which is let in, can be done now, and so can whatever
    /// came of the session after it. From the loop.
    virtual void OnChecked(GatewayPeer& gateway, WaitingAction& asked) = 0;

   protected:
    ~Listener() = default;
  };

  Attachments(const Settings& settings, const Shards& shards, const SessionTable& table, Gateways& gateways,
              SessionAttacher& attacher, SessionResumer& resumer, SessionEnds& ends,
              AccountCheck& account_check, TurnedAway& turned_away)
      : settings_(settings),
        shards_(shards),
        table_(table),
        gateways_(gateways),
        attacher_(attacher),
        resumer_(resumer),
        ends_(ends),
        account_check_(account_check),
        turned_away_(turned_away) {}
  /// Before the first action.
  void SetListener(Listener& listener) { listener_ = &listener; }
  bool is_wired() const { return listener_ != nullptr; }

  /// True: the session of the action is being checked, and the action waits for that, or has been turned away
  /// since too many do.
  bool AwaitCheck(GatewayPeer& gateway, session::v1::GatewayAction& action, std::uint64_t arrival);
  /// True: whether the session is over can only be told when the shard is live, so the action must wait.
  bool HasToWait(const session::v1::GatewayAction& action, const Shard& shard) const;
  /// Attaches the session, or begins to check it. `is_checked`: it has been.
  void Attach(GatewayPeer& gateway, session::v1::GatewayAction& action, std::uint64_t arrival, Shard& shard,
              bool is_checked);
  /// The gateway has attached all its sessions of the shard. Counts when the last of them has been checked,
  /// and not while some have been turned away.
  void OnAttachDone(GatewayPeer& gateway, const session::v1::AttachDone& done);
  /// The gateway is gone.
  void Forget(const GatewayPeer& gateway);
  /// The shard is not ours any more, or acquired afresh: gateways say all of it again to its next life, which
  /// has checks of its own.
  void Forget(const Shard& shard);

 private:
  /// Of one session.
  struct Check {
    std::uint32_t shard = 0;
    /// The attachment, and what has come of the session since.
    std::deque<WaitingAction> waiting;
  };
  /// Of one gateway and shard.
  struct Checks {
    int open = 0;
    /// The gateway's `attach_done` after the last of them.
    std::optional<session::v1::AttachDone> done;
  };

  Task<void> AttachIfCurrent(std::shared_ptr<Shard> shard, SessionId id, std::string by, std::string bare,
                             session::v1::SessionManagerState state);
  /// The check has ended. Returns the gateway's `attach_done` if that has waited for it.
  std::optional<session::v1::AttachDone> Finish(const std::string& gateway, std::uint32_t shard);

  const Settings& settings_;
  const Shards& shards_;
  const SessionTable& table_;
  Gateways& gateways_;
  SessionAttacher& attacher_;
  SessionResumer& resumer_;
  SessionEnds& ends_;
  AccountCheck& account_check_;
  TurnedAway& turned_away_;
  Listener* listener_ = nullptr;
  absl::flat_hash_map<SessionId, Check> checking_;
  /// By gateway and shard.
  std::map<std::pair<std::string, std::uint32_t>, Checks> checks_;
};

}  // namespace rookery::session_manager
