#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "domain/addresses.h"
#include "domain/features/feature_hooks.h"
#include "domain/outbound/gateways.h"
#include "domain/sessions/ended_sessions.h"
#include "domain/sessions/logged_stanzas.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"
#include "domain/state/shard.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

/// The sessions of our shards in their phases: who is in, when to look at whom next, what waits for the end
/// of one, and what has ended and must not come back. Features hear of each that begins and ends. Whatever
/// else follows from a phase is its callers' work. I/O thread only.
class LiveSessions {
 public:
  /// Told what follows from moves. Each function may be called from within any of LiveSessions.
  class Listener {
   public:
    /// The session has another phase, the gateway that its client has left knows so, or its client waits to
    /// be back.
    virtual void OnPhase(const Session& session) = 0;

   protected:
    ~Listener() = default;
  };
  /// Does what had to wait for the end of a session, from the loop.
  class Actions {
   public:
    virtual void Do(WaitingAction action) = 0;

   protected:
    ~Actions() = default;
  };

  LiveSessions(asio::any_io_executor executor, const Settings& settings, const Clock& clock,
               const Addresses& addresses, SessionTable& table, Gateways& gateways,
               const FeatureHooks& features)
      : executor_(std::move(executor)),
        settings_(settings),
        clock_(clock),
        table_(table),
        gateways_(gateways),
        features_(features),
        shards_(addresses.shard_count()) {}
  /// Before the first session.
  void SetListener(Listener& listener) { listener_ = &listener; }
  void SetActions(Actions& actions) { actions_ = &actions; }
  bool is_wired() const { return listener_ != nullptr && actions_ != nullptr; }

  /// Puts the session, whose phase the caller has set, among the user's and the shard's.
  void Add(User& user, const std::shared_ptr<Session>& session);
  /// Moves the session on, and looks at it again when something is due in its new phase.
  void Enter(Session& session, SessionPhase phase);
  /// The gateway that its client has left has been told, while the client is away again.
  void NoteLeft(const Session& session) { listener_->OnPhase(session); }
  /// Its client wants to be back, and cannot yet.
  void NoteAwaited(const Session& session) { listener_->OnPhase(session); }
  /// Something else has changed that decides when that is.
  void Schedule(Session& session);
  /// The session, which has entered kEnded, is its user's no more.
  void Remove(const std::shared_ptr<Session>& session);
  /// Forgets one whose place another snapshot of the same session takes: nothing follows from it.
  void Retire(const std::shared_ptr<Session>& session);

  /// `asked` is done again when the session has ended. False: too much waits for that already.
  bool RunAfterEnd(Session& session, WaitingAction asked);
  /// It has ended, or is not going to: does what waited for that, soon.
  void RunSuccessors(Session& session);

  EndedSessions& EndedOf(const Shard& shard) { return StateOf(shard).ended; }
  LoggedStanzas& LoggedOf(const Shard& shard) { return StateOf(shard).logged; }
  /// Whether we still know every session of the shard that ended while a gateway was out of reach for
  /// `out_of_reach`.
  bool KnowsEndsOf(const Shard& shard, std::chrono::milliseconds out_of_reach);
  /// The session has the name of another one, and is to end when the shard is live.
  void NoteConflict(const Session& session) { StateOf(*session.user->shard).conflicts.push_back(session.id); }
  std::vector<SessionId> TakeConflicts(const Shard& shard) {
    return std::exchange(StateOf(shard).conflicts, {});
  }
  /// The session is of older credentials than the account has, and is to end when the shard is live.
  void NoteOldCredentials(const Session& session, std::uint64_t version) {
    StateOf(*session.user->shard).old_credentials.emplace_back(session.id, version);
  }
  std::vector<std::pair<SessionId, std::uint64_t>> TakeOldCredentials(const Shard& shard) {
    return std::exchange(StateOf(shard).old_credentials, {});
  }
  /// Its client is back, which the log has to say when the shard is live.
  void NoteBack(const Session& session) { StateOf(*session.user->shard).back.push_back(session.id); }
  std::vector<SessionId> TakeReturned(const Shard& shard) { return std::exchange(StateOf(shard).back, {}); }

  /// Those whose clients may resume and that are not in the store yet.
  std::vector<std::shared_ptr<Session>> Unparked(const Shard& shard);
  /// Waits until there are none, `limit` at most.
  Task<void> AwaitParked(std::shared_ptr<Shard> shard, std::chrono::milliseconds limit);
  /// The next session of the shard that is to be looked at; null: none is due.
  std::shared_ptr<Session> TakeDue(const Shard& shard);
  /// Forgets what has ended long ago.
  void Expire(const Shard& shard);
  /// Sessions whose clients are away.
  std::int64_t away() const { return away_; }

  /// Forgets the sessions of a shard that is no longer ours. Nobody but features is told anything.
  void Forget(Shard& shard);

 private:
  /// The state that is kept for the sessions of one shard. Two sessions of one full JID are possible for a
  /// moment: when a gateway brings one that the shard's owner did not know.
  struct ShardState {
    explicit ShardState(const asio::any_io_executor& executor)
        : all_parked(std::make_shared<runtime::Event>(executor)) {}
    EndedSessions ended;
    LoggedStanzas logged;
    std::set<std::pair<SteadyTime, SessionId>> due;
    std::set<SessionId> unparked;
    std::shared_ptr<runtime::Event> all_parked;
    std::vector<SessionId> conflicts;
    std::vector<std::pair<SessionId, std::uint64_t>> old_credentials;
    std::vector<SessionId> back;
  };
  ShardState& StateOf(const Shard& shard);
  void DoLater(WaitingAction waiting);

  asio::any_io_executor executor_;
  const Settings& settings_;
  const Clock& clock_;
  SessionTable& table_;
  Gateways& gateways_;
  const FeatureHooks& features_;
  Listener* listener_ = nullptr;
  Actions* actions_ = nullptr;
  std::vector<std::unique_ptr<ShardState>> shards_;
  std::int64_t away_ = 0;
};

}  // namespace rookery::session_manager
