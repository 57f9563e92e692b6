#pragma once

#include <memory>
#include <vector>

#include "domain/state/shard.h"
#include "ports/waiting_store.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class Outbox;
class HandOuts;
class DeliveryStates;
class OfflineMarks;
class Shards;

/// Finds out in the offline store what a new owner of a shard, or of one session of it, has to know
/// (README.md, L1 to L3). I/O thread only.
class OfflineRecovery {
 public:
  OfflineRecovery(const Shards& shards, WaitingStore& store, Outbox& outbox, DeliveryStates& states,
                  OfflineMarks& marks, HandOuts& hand_outs)
      : shards_(shards),
        store_(store),
        outbox_(outbox),
        states_(states),
        marks_(marks),
        hand_outs_(hand_outs) {}

  /// A session has come with a change of owner, its numbers are known.
  void OnAttached(const std::shared_ptr<Session>& session);
  /// The shard is about to be read: rows that its sessions were given are loaded again.
  Task<void> Recover(std::shared_ptr<Shard> shard);
  /// The shard is about to be read: finds the available users whom an earlier owner had not given all that
  /// waits for them. HandOuts::HandOutWhatIsDue follows.
  Task<void> LookForWaiting(std::shared_ptr<Shard> shard);
  /// The last step before the shard is read: rows of sessions that have come since Recover.
  Task<void> LoadRowsDue(std::shared_ptr<Shard> shard);

 private:
  /// In pages that are bounded in rows and bytes, and made smaller when the store does not give one. What it
  /// can never give is passed over.
  Task<void> LoadTask(std::shared_ptr<Shard> shard, std::vector<WaitingStore::RowKey> keys);
  /// The row is the packet that a session was given as it.
  static void Fill(const Shard& shard, const std::string& owner, WaitingStore::OfflineMessage& row);
  // Coroutines of the shard, like those above.
  /// Sees to it that what the store has and late sessions were given before is not given again, nor to others
  /// (late_sessions.h). One session after the other; those of whose users nothing waits cost little.
  Task<void> TakeBackAll(std::shared_ptr<Shard> shard);
  /// False: the store has not said all.
  Task<bool> TakeBackFrom(std::shared_ptr<Session> session);
  /// Nothing of it is left: no later owner needs to look.
  void EndLate(Session& session);

  const Shards& shards_;
  WaitingStore& store_;
  Outbox& outbox_;
  DeliveryStates& states_;
  OfflineMarks& marks_;
  HandOuts& hand_outs_;
};

}  // namespace rookery::session_manager
