#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "domain/outbound/outbox.h"
#include "domain/sessions/live_sessions.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/follow_up_writer.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

class DeliveryStates;
class DirectoryWriter;
class Gateways;
class SessionTable;
class Shards;
struct Settings;

/// Sessions without a connection (XEP-0198): puts them into the waiting store, where the next
/// owner of their shard finds them, and takes them out of it. One write of a session's row at a
/// time, repeated until it succeeds or is not wanted any more.
class SessionParker final : public LiveSessions::Listener, public Outbox::Listener {
 public:
  class Listener {
   public:
    /// Nothing that is stored of the session misleads a next owner any more, or is going to be looked at.
    virtual void OnRowTold(const std::shared_ptr<Session>& session) = 0;
    /// It is in its user's list, the last.
    virtual void OnRestored(Session& session) = 0;

   protected:
    ~Listener() = default;
  };

  SessionParker(asio::any_io_executor executor, const Settings& settings, const Clock& clock,
                runtime::TaskGroup& tasks, sharding::ShardOwner& owner, const Shards& shards,
                const SessionTable& table, Gateways& gateways, LiveSessions& live, DirectoryWriter& directory,
                const sharding::FollowUpWriter& follow_ups, DeliveryStates& states)
      : executor_(std::move(executor)),
        settings_(settings),
        clock_(clock),
        tasks_(tasks),
        owner_(owner),
        shards_(shards),
        table_(table),
        gateways_(gateways),
        live_(live),
        directory_(directory),
        follow_ups_(follow_ups),
        states_(states) {}
  /// Before the first session.
  void SetListener(Listener& listener) { listener_ = &listener; }
  bool is_wired() const { return listener_ != nullptr; }

  /// Its client is away: puts it into the store as soon as all that the client sent is in the log
  /// and the shard is live. Once it is there, its gateway may forget it. Repeatable, in any phase.
  void Park(const std::shared_ptr<Session>& session);
  /// The session has another phase: writes or removes its row if that is due, and puts into the log
  /// that it is outdated. Repeatable.
  void OnPhase(const Session& session) override;
  /// The state of a session without a gateway has changed: the next owner has to know before it finds the
  /// packets that depend on it.
  void OnStateChanged(Session& session) override;
  /// A stanza has come that the client, which is away, sent before it went: its row says less than will be
  /// confirmed, until it is written again.
  void OnReceivedWhileAway(Session& session);
  /// SessionBack has been read: it is not finished while the store may have an older row.
  void OnBackRecord(Shard& shard, const PendingRecord& pending);
  /// An earlier owner has finished it: a gateway that was cut off may still know the session from before.
  void OnFinishedBackRecord(Shard& shard, const PendingRecord& pending);
  /// The record of the session's end is being applied, and is not finished before RemoveRows is: nobody needs
  /// SessionBack any more. RemoveRows may wait for the cursor to pass it.
  void OnEndRead(Session& session);
  /// The session has ended: returns when the store has nothing of it any more, and everything that follows
  /// from its end.
  Task<void> RemoveRows(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);

  /// A session from the store, at a change of owner.
  void Restore(Shard& shard, WaitingStore::ParkedSession parked);

 private:
  static bool IsRowDue(const Session& session);
  /// Whether somebody may take what the store has, or what another gateway knows, for the session.
  static bool MayMislead(const Session& session);
  /// `event`, made when missing.
  const std::shared_ptr<runtime::Event>& EventOf(std::shared_ptr<runtime::Event>& event) const;
  Task<void> KeepRow(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  Task<absl::Status> WriteRow(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  /// Makes the rows of all in `back_` go, and has the log told of them.
  Task<void> TellTogether();
  void BeginTelling(const std::shared_ptr<Session>& session);
  static void EndTelling(Session& session);
  /// The row is outdated, and nothing else can be taken for the session.
  void LetRowGo(Session& session);
  Task<void> TellBack(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  /// Nothing older can be taken for the session: its SessionBack is finished.
  static void ReleaseBackRecord(Shard& shard, Session& session);

  asio::any_io_executor executor_;
  const Settings& settings_;
  const Clock& clock_;
  runtime::TaskGroup& tasks_;
  sharding::ShardOwner& owner_;
  const Shards& shards_;
  const SessionTable& table_;
  Gateways& gateways_;
  LiveSessions& live_;
  DirectoryWriter& directory_;
  const sharding::FollowUpWriter& follow_ups_;
  DeliveryStates& states_;
  Listener* listener_ = nullptr;
  /// Sessions whose clients have come back since TellTogether last looked; empty while it is not under way.
  std::vector<std::pair<std::shared_ptr<Shard>, std::shared_ptr<Session>>> back_;
};

}  // namespace rookery::session_manager
