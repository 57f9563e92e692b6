#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "domain/delivery/store_writer.h"
#include "domain/state/delivery.h"
#include "domain/state/session.h"
#include "rookery/base/due_heap.h"
#include "rookery/runtime/event.h"

namespace rookery::session_manager {

/// A stanza in memory that waits for a session of its user, for the offline store, or for both. Its
/// record is held in the window as long as it is here, unless it was finished before.
struct WaitingStanza {
  std::shared_ptr<Delivery> message;
  SteadyTime since;
  /// Set: no store keeps it, it waits for this session, behind what that is handed.
  std::shared_ptr<Session> session;
  bool primary = true;
  std::optional<WaitingStore::Quota> quota;
  /// Whether its sender is a contact was asked, since there is no more room for strangers.
  bool is_sender_asked = false;
  /// Asked to write it; none while it is hoped that a session takes it before that is due.
  StoreWriter::Ticket ticket;
  bool is_written = false;
  /// The log has it no more: it may not be withdrawn from the writer.
  bool is_last_trace = false;
  /// An earlier owner may have stored it, even given it: only the store knows.
  bool only_from_store = false;
  /// Was given to a session meanwhile.
  bool is_sent = false;
  /// Nobody is given it, nor the store: that it is refused is on its way into the log.
  bool is_refused = false;
  /// Whether it still waits for a session.
  bool is_open() const { return !is_sent && !is_refused; }
  /// It was for somebody who was away: says when it was received (XEP-0203).
  bool is_late = false;
  /// Ends of sessions that wait until it is safe.
  std::vector<std::shared_ptr<EndWrites>> ends;
};

/// The state of a user's part of delivery.
struct UserDelivery {
  explicit UserDelivery(asio::any_io_executor executor) : changed(std::move(executor)) {}

  /// By the offset of the record.
  std::map<std::int64_t, WaitingStanza> waiting;
  /// The session that is being handed what waits; null: none. Stanzas for this session wait behind.
  std::shared_ptr<Session> receiver;
  /// The row id of the oldest message that has begun to wait since those to hand out next were listed.
  static constexpr std::uint64_t kNothingNew = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t oldest_new = kNothingNew;
  /// Nothing waits in the store, and nothing was written since that was found out.
  bool is_store_empty = false;
  /// The store has got more since it was read.
  bool look_again = false;
  /// Rows that are being marked as given, and those that were while the store was read.
  std::vector<std::uint64_t> marking;
  std::vector<std::uint64_t> marked;
  /// In ShardDelivery::overdue.
  bool is_due = false;
  /// Something of this has changed, or the receiver's client has acknowledged.
  runtime::Event changed;
};

/// The state of delivery in a shard.
struct ShardDelivery {
  std::shared_ptr<StoreWriter> writer;
  /// Sessions with packets that are to go to the store unless they are acknowledged before.
  DueHeap<std::weak_ptr<Session>> unacknowledged;
  /// Users with messages that are to go to the store unless a session takes them before.
  DueHeap<std::string> overdue;
  /// Owners of rows of the offline store that were marked as given: when to delete the marks.
  std::deque<std::pair<SteadyTime, std::string>> marks;
  struct LastMark {
    SteadyTime until;
    /// The newest row.
    std::uint64_t newest = 0;
  };
  std::unordered_map<std::string, LastMark> last_marks;
  /// Sessions of which the store may have what they were given (OfflineRecovery).
  std::deque<std::shared_ptr<Session>> late;
  bool is_taking_back = false;
  /// Rows that sessions were given, which have come while the shard is acquired. They are loaded before it is
  /// read.
  std::vector<WaitingStore::RowKey> rows_due;
  /// Messages that earlier owners have refused, by their records, and that may be applied once more (S8).
  std::set<std::int64_t> refused;
  /// Records of which packets in the store were a session's that nobody had brought when the shard was
  /// loaded: they went to the offline store, or to another session. The first kMaxOrphans.
  static constexpr std::size_t kMaxOrphans = 100'000;
  std::set<std::pair<SessionId, std::int64_t>> orphans;
  /// The owner whose rows are being read.
  std::string restored_owner;
  /// The rows of owners up to this one, in order of bytes, are settled, and at last those of all.
  std::string settled_up_to;
  bool are_all_settled = false;
  bool IsSettled(std::string_view owner) const { return are_all_settled || owner <= settled_up_to; }
  /// That owner's packets of sessions that no gateway has brought so far.
  std::vector<std::pair<WaitingStore::SessionKey, std::vector<WaitingStore::SessionPacket>>> unclaimed;
  /// Rows of packets that the session's client has acknowledged: up to this number, and of these records.
  struct Acknowledged {
    std::uint64_t up_to = 0;
    std::vector<std::int64_t> offsets;
  };
  std::map<WaitingStore::SessionKey, Acknowledged> acknowledged;
};

}  // namespace rookery::session_manager
