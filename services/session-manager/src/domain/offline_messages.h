#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "domain/core.h"
#include "domain/delivery.h"

namespace rookery::session_manager {

/// Messages for users who are away, and those of sessions that have ended (XEP-0160): kept in
/// the store, given to the first session that can have them, and marked there once its
/// client has acknowledged them. What may be lost with the owner of the shard is written into
/// the sessions' state before it matters.
class OfflineMessages {
 public:
  explicit OfflineMessages(Core& core) : core_(core) {}

  /// Keeps the message for the user's next session; bounces it when that cannot be.
  void Store(User& user, std::shared_ptr<Delivery> message);
  /// The same for one of a session that has ended. It is nobody's fault if there are many, so
  /// the quota applies only while the user is away.
  void StoreEnded(User& user, Session& ended, std::shared_ptr<Delivery> message);

  /// Gives the session what waits, as fast as its client takes it. Within a turn.
  Task<void> Give(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  /// Something may wait that an available session can have: gives it in a turn of its own.
  void GiveSoon(User& user);

  /// The client of the session has these rows.
  void MarkGiven(Session& session, std::vector<std::uint64_t> ids);
  /// The session has ended: marks what its client has had.
  void MarkEnded(const std::shared_ptr<Session>& session);
  /// Calls `then` when the store has everything that follows from the session's end; at once if
  /// that is nothing.
  static void AfterWrites(const Session& session, std::function<void()> then);

  /// A session has come with a change of owner, its numbers are known.
  void OnAttached(const std::shared_ptr<Session>& session);
  /// The same, of one that came late: what the store has since that was given to it before is not
  /// given again, nor to others (late_sessions.h).
  void OnLate(const std::shared_ptr<Session>& session);
  /// The shard is about to be read: rows that its sessions were given are loaded again.
  Task<void> Recover(std::shared_ptr<Shard> shard);

  /// The same: whom an earlier owner had not given everything that waits, although they are
  /// available.
  Task<void> LookForWaiting(std::shared_ptr<Shard> shard);
  /// They are given it, ahead of what is about to be read.
  void GiveWhatIsDue(Shard& shard);

  /// Tries again what failed; deletes marks that have done their work.
  void Sweep(Shard& shard);

 private:
  using Writes = std::shared_ptr<EndWrites>;
  void StartStore(User& user, std::shared_ptr<Delivery> message, std::int64_t quota, Writes writes);
  Task<void> StoreTask(std::shared_ptr<Shard> shard, std::string bare, std::shared_ptr<Delivery> message,
                       std::int64_t quota, Writes writes);
  Task<void> MarkTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                      std::vector<std::uint64_t> ids, Writes writes);
  Task<void> LoadTask(std::shared_ptr<Shard> shard, std::vector<WaitingStore::RowKey> keys);
  Task<void> TakeBackTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  /// True: a session of the user that came late has it already, or waits for its acknowledgement.
  bool TakeBack(User& user, WaitingStore::OfflineMessage& row);
  Task<void> PurgeTask(std::string bare, std::int64_t before_ms);
  /// Waits until the session can take more. False: it is not going to.
  Task<bool> AwaitRoom(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  /// Gives the next rows, as many as there is room for. Returns how many.
  std::size_t GiveSome(Session& session, std::vector<WaitingStore::OfflineMessage>& rows, std::size_t from);
  std::shared_ptr<Delivery> MakeDelivery(std::string_view bare, WaitingStore::OfflineMessage& row) const;
  void PassOver(User& user, std::int64_t offset);
  void SetGiven(Session& session, bool given);
  /// One write less is under way for the user.
  void FinishWrite(Shard& shard, const std::string& bare, const Writes& writes);

  Core& core_;
};

/// Whether the record went to the offline store while this session was connected.
bool IsPassedOver(const Session& session, std::int64_t offset);

}  // namespace rookery::session_manager
