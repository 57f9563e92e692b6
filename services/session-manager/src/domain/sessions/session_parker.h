#pragma once

#include <functional>
#include <memory>

#include "domain/core.h"

namespace rookery::session_manager {

/// Sessions without a connection (XEP-0198): puts them into the waiting store, where the next
/// owner of their shard finds them, and takes them out of it. One write of a session's row at a
/// time, repeated until it succeeds or is not wanted any more.
class SessionParker {
 public:
  explicit SessionParker(Core& core) : core_(core) {}

  /// Its client is away: puts it into the store as soon as all that the client sent is in the log
  /// and the shard is live. Once it is there, its gateway may forget it. Repeatable, in any phase.
  void Park(const std::shared_ptr<Session>& session);
  /// The session has another phase: writes or removes its row if that is due, and puts into the log
  /// that it is outdated. Repeatable.
  void OnPhase(const Session& session);
  /// The state of a session without a gateway has changed: the next owner has to know before it finds the
  /// packets that depend on it.
  void OnStateChanged(Session& session);
  /// SessionBack has been read: it is not finished while the store may have an older row.
  void OnBackRecord(const std::shared_ptr<Session>& session, const PendingRecord& pending);
  /// The session has ended: calls `done` when the store has nothing of it any more, and everything
  /// that follows from its end.
  void RemoveRows(const std::shared_ptr<Shard>& shard, const std::shared_ptr<Session>& session,
                  std::function<void()> done);

  /// A session from the store, at a change of owner.
  void Restore(Shard& shard, WaitingStore::ParkedSession parked);

 private:
  static bool IsRowDue(const Session& session);
  Task<void> KeepRow(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  Task<absl::Status> WriteRow(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  Task<void> TellBack(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  /// No older row is in the store.
  static void ReleaseRecord(Shard& shard, Session& session);

  Core& core_;
};

}  // namespace rookery::session_manager
