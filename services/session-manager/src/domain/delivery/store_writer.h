#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "domain/delivery/store_shares.h"
#include "domain/metrics.h"
#include "ports/waiting_store.h"
#include "rookery/base/backoff_delays.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"

namespace rookery::sharding {
struct Shard;
}

namespace rookery::session_manager {

struct Shard;

/// Writes what one shard has for the waiting store: one statement at a time with the rows of many
/// users, each user's in the order given, again and again until the store has them. While the store is
/// away it waits here, as long as there is room (`is_full`, and of each user and sender: `HasRoomFor`);
/// nothing is dropped. A write that the store refuses for good is found and holds up nobody, nor does a user
/// whose rows somebody has locked, for longer than it takes to find that out (README.md, S4). While it is not
/// certain that the shard is still ours it waits too: its next owner may have given to a client what would be
/// stored here. Once a newer owner has claimed the shard nothing more is written. Owned by the shard's
/// ShardDelivery. I/O thread only; no function is called from within the call that gives it, and none once
/// the shard is released: what waits is abandoned then.
class StoreWriter : public std::enable_shared_from_this<StoreWriter> {
 public:
  struct Limits {
    std::size_t statement_rows = 256;
    std::size_t statement_bytes = 1024 * 1024;
    /// The most that may wait before `is_full`.
    std::size_t waiting_rows = 20'000;
    std::size_t waiting_bytes = 64 * 1024 * 1024;
    /// One user's shares of that.
    StoreShares::Limits shares;
    /// A user whose rows cannot be written in time is tried again after pauses.
    BackoffOptions aside{std::chrono::seconds(5), std::chrono::seconds(30), 0.5};
  };
  struct Answer {
    /// OK: the store has it. Else: the store never takes it.
    absl::Status status;
    /// Set for an offline message.
    WaitingStore::Stored stored = WaitingStore::Stored::kStored;
  };
  using Done = std::function<void(const Answer&)>;
  struct Write;
  /// Names one that waits.
  using Ticket = std::weak_ptr<Write>;

  /// `note_time` finds out whether this process stood still, and suspends the shard if it did.
  /// `on_superseded` is called when a newer owner has claimed what was ours.
  StoreWriter(asio::any_io_executor executor, WaitingStore& store, SessionManagerMetrics& metrics,
              Limits limits, BackoffOptions backoff, Shard& shard, std::function<void()> note_time,
              std::function<void()> on_superseded);
  ~StoreWriter();

  // `done` may be empty.
  Ticket StoreOffline(WaitingStore::OfflineWrite row, Done done);
  void MarkGiven(std::string owner, const std::vector<std::uint64_t>& ids, Done done);
  void StorePackets(WaitingStore::SessionKey session, std::vector<WaitingStore::SessionPacket> packets,
                    Done done);
  void RemovePackets(WaitingStore::SessionKey session, std::uint64_t up_to_seq, Done done);
  void Park(WaitingStore::ParkedSession session, Done done);
  void Unpark(WaitingStore::SessionKey session, Done done);
  void RemoveSession(WaitingStore::SessionKey session, Done done);
  /// For coroutines: the same, until it is answered.
  Task<absl::Status> Park(WaitingStore::ParkedSession session);
  Task<absl::Status> Unpark(WaitingStore::SessionKey session);
  Task<absl::Status> RemoveSession(WaitingStore::SessionKey session);

  /// The shard is suspended no more.
  void Continue();
  /// The shard is released: what waits is dropped.
  void Abandon();

  /// Makes the shard's rows ours to change, before they are read: what older owners have asked the store to
  /// write is done by now, or never. One attempt. FAILED_PRECONDITION: a newer owner has claimed it.
  Task<absl::Status> Claim();

  /// Takes back what the store was never asked to write. False: the store has it, or may have it.
  bool Withdraw(const Ticket& ticket);

  /// The shard should be read no further: more waits than there is room for.
  bool is_full() const { return rows_ > limits_.waiting_rows || bytes_ > limits_.waiting_bytes; }
  /// Until it is not.
  Task<void> AwaitRoom();
  /// Whether the message is within the shares of its recipient and its sender (bare JIDs), or the store does
  /// what it is asked: then who says much waits with the shard (`is_full`). It is taken all the same when it
  /// is given.
  bool HasRoomFor(std::string_view recipient, std::string_view sender, const xmpp::Stanza& message) const;
  /// How many packets of the recipient's sessions should be given, and bytes: they wait with their sessions
  /// as well, so they leave most of the room to what waits nowhere else.
  StoreShares::Amount RoomForPackets(std::string_view recipient) const;
  std::size_t rows() const { return rows_; }
  std::size_t bytes() const { return bytes_; }

 private:
  using Writes = std::vector<std::shared_ptr<Write>>;
  /// A user of whom nothing is written for a while, since that did not come to an end.
  struct Aside {
    explicit Aside(BackoffOptions options) : pauses(options) {}
    std::deque<std::shared_ptr<Write>> writes;
    BackoffDelays pauses;
  };
  std::shared_ptr<Write> Add(Write write);
  void Start();
  Task<void> Run(std::shared_ptr<StoreWriter> self, std::shared_ptr<const sharding::Shard> shard);
  /// Claims the shard for the first that need it, should they come before it is read.
  Task<absl::Status> MakeSure(const Writes& writes);
  /// Returns what the next statement writes: the first that waits, and others of its kind that no other write
  /// of the same user comes before.
  Writes NextStatement();
  /// Returns one write of a user who was set aside and is to be tried again, and nobody else's. Empty: there
  /// is none.
  Writes NextOfAside();
  Task<absl::Status> Execute(const Writes& writes, WaitingStore::Writer writer,
                             std::vector<WaitingStore::Stored>& stored);
  void PutBack(Writes writes);
  /// The store may take them at another time. True: it is of no use to ask it for anything else at once.
  bool OnFailed(const absl::Status& status, Writes writes, bool is_of_aside);
  /// It has them, or refuses one of them for good.
  void OnAnswered(const absl::Status& status, Writes writes, const std::vector<WaitingStore::Stored>& stored,
                  bool is_of_aside);
  /// The store has not done a single write of this user in time. False: it may be the store's own fault, or
  /// nobody else waits.
  bool SetAside(const std::string& owner);
  void Pause(const std::string& owner, Aside& aside);
  Task<void> TryAgain(std::shared_ptr<StoreWriter> self, std::string owner, std::chrono::milliseconds pause);
  /// Puts the user's waiting writes into the queue again.
  void BringBack(const std::string& owner, bool is_first);
  /// It waits no more.
  void Subtract(const Write& write);
  void CountShares(const Write& write, bool is_more);
  void Finish(Write& write, const Answer& answer);

  asio::any_io_executor executor_;
  WaitingStore& store_;
  SessionManagerMetrics& metrics_;
  // References: appended writes keep the shard, and this, for longer than the domain lives, where they are
  // not drained.
  prometheus::Gauge& waiting_rows_;
  prometheus::Gauge& waiting_bytes_;
  const Limits limits_;
  const BackoffOptions backoff_;
  Shard& shard_;
  const std::function<void()> note_time_;
  const std::function<void()> on_superseded_;

  std::deque<std::shared_ptr<Write>> queue_;
  absl::flat_hash_map<std::string, std::unique_ptr<Aside>> aside_;
  /// Those of them who are to be tried again.
  std::deque<std::string> due_;
  /// Users set aside since the store has done anything.
  std::size_t in_a_row_ = 0;
  StoreShares shares_;
  std::size_t rows_ = 0;
  std::size_t bytes_ = 0;
  runtime::Event has_room_;
  bool running_ = false;
  /// It has not done what it was asked last.
  bool is_away_ = false;
  bool is_abandoned_ = false;
  /// The shard was ours to change at least once.
  bool is_claimed_ = false;
  /// Rows in a statement just now: fewer after one that took too long.
  std::size_t statement_rows_;
  /// How many of the next writes were in a statement that took too long; statements do not grow before these
  /// are done.
  std::size_t careful_ = 0;
  /// The store refuses one of the next so many writes for good; statements are halved until it is found.
  std::size_t suspects_ = 0;
};

}  // namespace rookery::session_manager
