#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "domain/delivery/waiting_stanzas.h"
#include "ports/waiting_store.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class DeliveryStates;
class Outbox;
class Packets;
class Shards;
class OfflineMarks;
struct Settings;

/// Hands what waits for a user to one of their sessions, in the order of the log and as fast as its client
/// takes it (XEP-0160; README.md, W1 to W3 and L3). Nothing else of the user is held up. I/O thread only.
class HandOuts final : public WaitingStanzas::Listener {
 public:
  HandOuts(const Settings& settings, const Shards& shards, WaitingStore& store, Outbox& outbox,
           DeliveryStates& states, Packets& packets, WaitingStanzas& waiting, OfflineMarks& marks)
      : settings_(settings),
        shards_(shards),
        store_(store),
        outbox_(outbox),
        states_(states),
        packets_(packets),
        waiting_(waiting),
        marks_(marks) {}

  /// Hands what waits for the user to an available session, in time: never within this call. Without such
  /// a session nothing happens.
  void HandOutSoon(User& user);
  /// As HandOutSoon, and the store is asked in any case: a session that had been given some of its rows has
  /// ended or lost them.
  void HandOutRows(User& user);
  /// The shard is about to be read: those who wait since before are first. Nothing is handed out before the
  /// shard is live: the records up to then may say that a session has ended.
  void HandOutWhatIsDue(Shard& shard);
  void GoLive(Shard& shard);
  /// The client of the session has taken some, or cannot take any more.
  void OnRoom(const Session& session);
  /// The client of the session is back.
  void OnBack(const std::shared_ptr<Session>& session);
  /// A message is in the store. A session may have become available while it was written.
  void OnStored(User& user) override;

 private:
  struct Candidate;

  Task<void> HandOutTask(std::shared_ptr<Shard> shard, std::string bare);
  /// The rows, without those that somebody has, and what waits in memory up to `last`, by age.
  std::vector<Candidate> Candidates(User& user, std::vector<WaitingStore::OfflineMessage> rows,
                                    std::uint64_t last);
  /// The oldest message behind `after` that only the store can give and that is not among the rows read
  /// from there: nothing newer goes before the store has said whether it was given before.
  static std::optional<std::uint64_t> FirstUnsettled(const User& user, std::uint64_t after,
                                                     const std::vector<WaitingStore::OfflineMessage>& rows);
  /// Waits until the receiver can take more. False: it is not going to, or another one has its place.
  Task<bool> AwaitRoom(std::shared_ptr<UserDelivery> state, std::shared_ptr<Session> receiver);
  /// Sends the next ones to the receiver, as many as there is room for. Returns how many of them are
  /// done with; 0 where the first has gone into the store since it was listed.
  std::size_t SendSome(User& user, std::vector<Candidate>& candidates, std::size_t from);
  void EndHandOut(User& user, bool is_done);

  /// Whether a session with so much unacknowledged may be handed more.
  bool IsInBurst(std::size_t packets, std::size_t bytes) const;

  const Settings& settings_;
  const Shards& shards_;
  WaitingStore& store_;
  Outbox& outbox_;
  DeliveryStates& states_;
  Packets& packets_;
  WaitingStanzas& waiting_;
  OfflineMarks& marks_;
};

}  // namespace rookery::session_manager
