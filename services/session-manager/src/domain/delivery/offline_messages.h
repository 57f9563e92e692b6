#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "domain/delivery/delivery.h"
#include "domain/delivery/delivery_state.h"
#include "ports/waiting_store.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

class Outbox;
struct Shard;
struct User;
class Bounces;
class DeliveryStates;
class Packets;
class Addresses;
class SessionCloser;
class SessionTable;
class Shards;
class Users;
class WaitingStore;
struct SessionManagerMetrics;
struct Settings;

/// Messages for users who are away, those of sessions that have ended, and those that came after them
/// (XEP-0160): kept in memory and in the store until a session takes them, handed out in the order of the
/// log, marked in the store once its client has acknowledged them. The rules are in README.md.
class OfflineMessages {
 public:
  OfflineMessages(asio::any_io_executor executor, const Settings& settings, const Clock& clock,
                  SessionManagerMetrics& metrics, runtime::TaskGroup& tasks, const Addresses& addresses,
                  const Shards& shards, const SessionTable& table, Users& users, WaitingStore& store,
                  SessionCloser& closer, Outbox& outbox, DeliveryStates& states, Bounces& bounces,
                  Packets& packets)
      : executor_(std::move(executor)),
        settings_(settings),
        clock_(clock),
        metrics_(metrics),
        tasks_(tasks),
        addresses_(addresses),
        shards_(shards),
        table_(table),
        users_(users),
        store_(store),
        closer_(closer),
        outbox_(outbox),
        states_(states),
        bounces_(bounces),
        packets_(packets) {}

  /// Keeps the message for the user's next session; bounces it when that cannot be. `recovering`: an
  /// earlier owner may have done so.
  void Store(User& user, std::shared_ptr<Delivery> message, bool recovering);
  /// The same for one of a session that has ended. It is nobody's fault if there are many, so
  /// the quota applies only while the user is away. `is_last_trace`: the log has it no more.
  void StoreEnded(User& user, Session& ended, std::shared_ptr<Delivery> message, bool is_last_trace);
  /// Whether a message for the session must wait until it was handed what came before.
  static bool IsBehind(const User& user, const Session& session);
  /// Nobody is there, and the session's client left before it had all that waits: what comes for it waits
  /// for the same hand-out.
  bool IsLeftBehind(const User& user, const Session& session) const;
  /// Keeps a message for the session that is just handed what came before.
  void WaitBehind(User& user, std::shared_ptr<Delivery> message, bool recovering);
  /// The same for a stanza that no store keeps, for `shards.window-time` at most. False: it need not wait.
  bool WaitBehind(Session& session, const std::shared_ptr<Delivery>& stanza, bool primary);
  /// Whether the stanza of this record waits for the session, and for no other.
  static bool IsWaiting(const User& user, const Session& session, std::int64_t offset);
  /// The session has ended: calls `route` for each stanza that was addressed to it and waits for it alone.
  using Route = std::function<void(const Delivery& stanza)>;
  void DropBehind(User& user, const Session& session, const Route& route);

  /// Hands what waits for the user to an available session, in time: never within this call, and as fast
  /// as its client takes it. Nothing else of the user is held up. Without such a session nothing happens.
  void HandOutSoon(User& user);
  /// The same: rows of which a session had the messages are nobody's again.
  void HandOutRows(User& user);
  /// The client of the session has taken some, or cannot take any more.
  void OnRoom(const Session& session);
  /// The client of the session is back.
  void OnBack(const std::shared_ptr<Session>& session);

  /// The client of the session has these rows.
  void MarkGiven(Session& session, std::vector<std::uint64_t> ids);
  /// The session has ended: marks what its client has had.
  void MarkEnded(const std::shared_ptr<Session>& session);
  /// The session has ended: removes its rows from the waiting store, once what they keep is safe
  /// elsewhere: all, or packets up to `up_to_seq`. AfterWrites waits for that too.
  void RemoveRows(Session& session, std::optional<std::uint64_t> up_to_seq = {});
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
  /// They are handed it, before what is about to be read.
  void HandOutWhatIsDue(Shard& shard);

  /// Stores what no session has taken in time; deletes marks that have done their work. Costs what is
  /// due.
  void Sweep(Shard& shard);

 private:
  using Ends = std::shared_ptr<EndWrites>;
  struct Candidate;

  UserDelivery& StateOf(User& user);
  WaitingStanza& Keep(User& user, std::shared_ptr<Delivery> message, std::optional<std::int64_t> quota,
                      bool is_last_trace);
  void StoreOrAwait(User& user, WaitingStanza& waiting);
  /// Sweep looks at it when it has waited for `shards.window-time`.
  void Arm(User& user, SteadyTime since);
  void Write(User& user, WaitingStanza& waiting);
  void OnWritten(Shard& shard, const std::string& bare, std::int64_t offset,
                 const StoreWriter::Answer& answer);
  /// It waits no more.
  void Leave(User& user, std::map<std::int64_t, WaitingStanza>::iterator waiting);
  void FinishUse(Shard& shard, const std::string& bare);

  Task<void> HandOutTask(std::shared_ptr<Shard> shard, std::string bare);
  /// The rows, without those that somebody has, and what waits in memory up to `last`, by age.
  std::vector<Candidate> Candidates(User& user, std::vector<WaitingStore::OfflineMessage> rows,
                                    std::uint64_t last);
  /// The oldest message behind `after` that only the store can give and that is not among the rows read
  /// from there: nothing newer goes before the store has said whether it was given before.
  static std::optional<std::uint64_t> FirstUnsettled(const User& user, std::uint64_t after,
                                                     const std::vector<WaitingStore::OfflineMessage>& rows);
  /// Waits until the receiver can take more. False: it is not going to, or another one has its place.
  Task<bool> AwaitRoom(std::shared_ptr<Shard> shard, std::shared_ptr<UserDelivery> state,
                       std::shared_ptr<Session> receiver);
  /// Sends the next ones to the receiver, as many as there is room for. Returns how many.
  std::size_t SendSome(User& user, std::vector<Candidate>& candidates, std::size_t from);
  std::shared_ptr<Session> FindReceiver(const User& user) const;
  void EndHandOut(User& user, bool is_done);
  /// Sends what waits for the session alone, since before `limit`.
  void SendBehind(User& user, SteadyTime limit);

  void StartMarks(Shard& shard, const std::shared_ptr<Session>& session, std::vector<std::uint64_t> ids,
                  Ends ends);
  void OnMarked(Shard& shard, const std::shared_ptr<Session>& session, const std::vector<std::uint64_t>& ids,
                const Ends& ends);
  void StartRemoval(const WaitingStore::SessionKey& key, std::optional<std::uint64_t> up_to_seq,
                    const Ends& ends);
  Task<void> LoadTask(std::shared_ptr<Shard> shard, std::vector<WaitingStore::RowKey> keys);
  Task<void> TakeBackTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  /// True: a session of the user that came late has it already, or waits for its acknowledgement.
  bool TakeBack(User& user, WaitingStore::OfflineMessage& row);
  Task<void> PurgeTask(std::vector<std::string> owners, std::int64_t before_ms, std::uint64_t up_to);
  std::shared_ptr<Delivery> FromRow(std::string_view bare, WaitingStore::OfflineMessage& row) const;
  std::shared_ptr<Delivery> FromMemory(std::string_view bare, const WaitingStanza& waiting) const;
  void PassOver(User& user, std::int64_t offset);
  void SetGiven(Session& session, bool given);

  asio::any_io_executor executor_;
  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  runtime::TaskGroup& tasks_;
  const Addresses& addresses_;
  const Shards& shards_;
  const SessionTable& table_;
  Users& users_;
  WaitingStore& store_;
  SessionCloser& closer_;
  Outbox& outbox_;
  DeliveryStates& states_;
  Bounces& bounces_;
  Packets& packets_;
};

/// Whether the record went to the offline store while this session was connected.
bool IsPassedOver(const Session& session, std::int64_t offset);

}  // namespace rookery::session_manager
