#include "domain/delivery/store_writer.h"

#include <algorithm>
#include <iterator>
#include <type_traits>

#include "absl/container/flat_hash_set.h"
#include "domain/state/shard.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

namespace {

/// How far a statement looks for more of its kind.
constexpr std::size_t kLookAhead = 2'000;
/// The memory that a write takes beside its stanza, in bytes.
constexpr std::size_t kOverhead = 300;
/// So many users in a row who cannot be written in time: it is not they, it is the store.
constexpr std::size_t kMostAsideInARow = 2;
/// So much smaller is a statement after one that took too long.
constexpr std::size_t kNarrowing = 8;

// The kinds of writes, each a statement of its own.
struct Marks {
  std::string owner;
  std::vector<std::uint64_t> ids;
};
struct Packets {
  WaitingStore::SessionKey session;
  std::vector<WaitingStore::SessionPacket> packets;
};
struct Unparked {
  WaitingStore::SessionKey session;
};
struct Removed {
  WaitingStore::SessionKey session;
};
using Body = std::variant<WaitingStore::OfflineWrite, Marks, Packets, WaitingStore::PacketsUpTo,
                          WaitingStore::ParkedSession, Unparked, Removed>;

const std::string& OwnerOf(const Body& body) {
  return std::visit(
      [](const auto& write) -> const std::string& {
        using T = std::decay_t<decltype(write)>;
        if constexpr (std::is_same_v<T, Marks>) {
          return write.owner;
        } else if constexpr (std::is_same_v<T, WaitingStore::OfflineWrite> ||
                             std::is_same_v<T, WaitingStore::ParkedSession>) {
          return write.key.owner;
        } else {
          return write.session.owner;
        }
      },
      body);
}

const char* NameOf(const Body& body) {
  static constexpr const char* kNames[] = {"offline", "marks",    "packets", "packets_up_to",
                                           "parked",  "unparked", "removed"};
  static_assert(std::size(kNames) == std::variant_size_v<Body>);
  return kNames[body.index()];
}

}  // namespace

struct StoreWriter::Write {
  Body body;
  Done done;
  std::size_t rows = 1;
  std::size_t bytes = kOverhead;
  /// The store was asked to write it at least once.
  bool is_asked = false;
  bool is_withdrawn = false;
  /// Withdrawn or answered.
  bool is_over = false;
};

StoreWriter::StoreWriter(asio::any_io_executor executor, WaitingStore& store, SessionManagerMetrics& metrics,
                         Limits limits, BackoffOptions backoff, Shard& shard, std::function<void()> note_time,
                         std::function<void()> on_superseded)
    : executor_(std::move(executor)),
      store_(store),
      metrics_(metrics),
      waiting_rows_(metrics.store_waiting_rows),
      waiting_bytes_(metrics.store_waiting_bytes),
      limits_(limits),
      backoff_(backoff),
      shard_(shard),
      note_time_(std::move(note_time)),
      on_superseded_(std::move(on_superseded)),
      shares_(limits.shares),
      has_room_(executor_),
      statement_rows_(limits.statement_rows) {}

StoreWriter::~StoreWriter() {
  waiting_rows_.Decrement(static_cast<double>(rows_));
  waiting_bytes_.Decrement(static_cast<double>(bytes_));
}

// ---- what is given ----------------------------------------------------------

std::shared_ptr<StoreWriter::Write> StoreWriter::Add(Write write) {
  auto added = std::make_shared<Write>(std::move(write));
  if (is_abandoned_) return added;
  rows_ += added->rows;
  bytes_ += added->bytes;
  waiting_rows_.Increment(static_cast<double>(added->rows));
  waiting_bytes_.Increment(static_cast<double>(added->bytes));
  CountShares(*added, /*is_more=*/true);
  if (const auto aside = aside_.find(OwnerOf(added->body)); aside != aside_.end()) {
    aside->second->writes.push_back(added);
    return added;
  }
  queue_.push_back(added);
  Start();
  return added;
}

void StoreWriter::Start() {
  if (std::exchange(running_, true)) return;
  shard_.SpawnVital("store.write", Run(shared_from_this(), shard_.shared_from_this()));
}

void StoreWriter::Continue() {
  if (!queue_.empty() || !due_.empty()) Start();
}

StoreWriter::Ticket StoreWriter::StoreOffline(WaitingStore::OfflineWrite row, Done done) {
  Write write;
  write.bytes += row.stanza->ByteSizeLong();
  write.body = std::move(row);
  write.done = std::move(done);
  return Add(std::move(write));
}

void StoreWriter::MarkGiven(std::string owner, const std::vector<std::uint64_t>& ids, Done done) {
  Write write;
  write.rows = ids.size();
  write.bytes += ids.size() * sizeof(std::uint64_t);
  write.body = Marks{std::move(owner), ids};
  write.done = std::move(done);
  Add(std::move(write));
}

void StoreWriter::StorePackets(WaitingStore::SessionKey session,
                               std::vector<WaitingStore::SessionPacket> packets, Done done) {
  Write write;
  write.rows = packets.size();
  for (const auto& packet : packets) write.bytes += packet.stanza->ByteSizeLong();
  write.body = Packets{std::move(session), std::move(packets)};
  write.done = std::move(done);
  Add(std::move(write));
}

void StoreWriter::RemovePackets(WaitingStore::SessionKey session, std::uint64_t up_to_seq, Done done) {
  Write write;
  write.body = WaitingStore::PacketsUpTo{std::move(session), up_to_seq};
  write.done = std::move(done);
  Add(std::move(write));
}

void StoreWriter::Park(WaitingStore::ParkedSession session, Done done) {
  Write write;
  write.bytes += session.attach.ByteSizeLong();
  write.body = std::move(session);
  write.done = std::move(done);
  Add(std::move(write));
}

void StoreWriter::Unpark(WaitingStore::SessionKey session, Done done) {
  Write write;
  write.body = Unparked{std::move(session)};
  write.done = std::move(done);
  Add(std::move(write));
}

void StoreWriter::RemoveSession(WaitingStore::SessionKey session, Done done) {
  Write write;
  write.body = Removed{std::move(session)};
  write.done = std::move(done);
  Add(std::move(write));
}

Task<absl::Status> StoreWriter::Park(WaitingStore::ParkedSession session) {
  runtime::Promise<absl::Status> answered(executor_);
  Park(std::move(session), [answered](const Answer& answer) mutable { answered.Set(answer.status); });
  absl::Status status = co_await answered.Get();
  co_return status;
}

Task<absl::Status> StoreWriter::Unpark(WaitingStore::SessionKey session) {
  runtime::Promise<absl::Status> answered(executor_);
  Unpark(std::move(session), [answered](const Answer& answer) mutable { answered.Set(answer.status); });
  absl::Status status = co_await answered.Get();
  co_return status;
}

Task<absl::Status> StoreWriter::RemoveSession(WaitingStore::SessionKey session) {
  runtime::Promise<absl::Status> answered(executor_);
  RemoveSession(std::move(session),
                [answered](const Answer& answer) mutable { answered.Set(answer.status); });
  absl::Status status = co_await answered.Get();
  co_return status;
}

bool StoreWriter::Withdraw(const Ticket& ticket) {
  const std::shared_ptr<Write> write = ticket.lock();
  if (!write || write->is_over || write->is_asked) return false;
  write->is_withdrawn = write->is_over = true;
  Subtract(*write);
  // An empty entry stays in the queue; NextStatement skips it.
  write->done = nullptr;
  write->body = Unparked{};
  return true;
}

// ---- what is written --------------------------------------------------------

StoreWriter::Writes StoreWriter::NextStatement() {
  Writes writes;
  while (!queue_.empty() && queue_.front()->is_withdrawn) queue_.pop_front();
  if (queue_.empty()) return writes;
  const std::size_t kind = queue_.front()->body.index();
  // Half of the suspects: the store refuses one of them.
  const std::size_t most_writes = suspects_ > 0 ? (suspects_ + 1) / 2 : kLookAhead;
  absl::flat_hash_set<std::string> behind;  // users of whom something else has to be written first
  std::size_t rows = 0, bytes = 0, looked = 0;
  std::deque<std::shared_ptr<Write>> left;
  while (!queue_.empty() && looked < kLookAhead) {
    std::shared_ptr<Write>& next = queue_.front();
    ++looked;
    if (next->is_withdrawn) {
      queue_.pop_front();
      continue;
    }
    const bool has_room =
        writes.empty() || (writes.size() < most_writes && rows + next->rows <= statement_rows_ &&
                           bytes + next->bytes <= limits_.statement_bytes);
    if (!has_room) break;
    const std::string& owner = OwnerOf(next->body);
    if (next->body.index() == kind && !behind.contains(owner)) {
      rows += next->rows;
      bytes += next->bytes;
      writes.push_back(std::move(next));
    } else {
      behind.insert(owner);
      left.push_back(std::move(next));
    }
    queue_.pop_front();
  }
  for (auto it = left.rbegin(); it != left.rend(); ++it) queue_.push_front(std::move(*it));
  return writes;
}

void StoreWriter::PutBack(Writes writes) {
  // Before everything: within a user nothing that came earlier was left.
  for (auto it = writes.rbegin(); it != writes.rend(); ++it) queue_.push_front(std::move(*it));
}

StoreWriter::Writes StoreWriter::NextOfAside() {
  Writes writes;
  while (writes.empty() && !due_.empty()) {
    const auto aside = aside_.find(due_.front());
    due_.pop_front();
    if (aside == aside_.end()) continue;
    auto& waiting = aside->second->writes;
    while (!waiting.empty() && waiting.front()->is_withdrawn) waiting.pop_front();
    if (waiting.empty()) {
      aside_.erase(aside);
    } else {
      writes.push_back(std::move(waiting.front()));
      waiting.pop_front();
    }
  }
  return writes;
}

bool StoreWriter::SetAside(const std::string& owner) {
  const bool is_alone = std::all_of(queue_.begin(), queue_.end(), [&](const auto& write) {
    return write->is_withdrawn || OwnerOf(write->body) == owner;
  });
  if (is_alone) return false;
  Aside& aside = *aside_.emplace(owner, std::make_unique<Aside>(limits_.aside)).first->second;
  std::deque<std::shared_ptr<Write>> left;
  for (std::shared_ptr<Write>& write : queue_) {
    const bool is_theirs = !write->is_withdrawn && OwnerOf(write->body) == owner;
    (is_theirs ? aside.writes : left).push_back(std::move(write));
  }
  queue_ = std::move(left);
  if (++in_a_row_ >= kMostAsideInARow) {
    // Behind all others.
    in_a_row_ = 0;
    std::vector<std::string> all;
    for (const auto& [other, theirs] : aside_) all.push_back(other);
    std::sort(all.begin(), all.end());
    for (const std::string& other : all) BringBack(other, /*is_first=*/false);
    return false;
  }
  telemetry::LogWarn("store.user_set_aside",
                     {{"user", telemetry::HashedJid(owner)}, {"writes", aside.writes.size()}});
  Pause(owner, aside);
  return true;
}

void StoreWriter::Pause(const std::string& owner, Aside& aside) {
  shard_.Spawn("store.try_again", TryAgain(shared_from_this(), owner, aside.pauses.Next()));
}

Task<void> StoreWriter::TryAgain(std::shared_ptr<StoreWriter> self, std::string owner,
                                 std::chrono::milliseconds pause) {
  co_await runtime::Sleep(pause);
  due_.push_back(std::move(owner));
  Start();
}

void StoreWriter::BringBack(const std::string& owner, bool is_first) {
  const auto aside = aside_.find(owner);
  if (aside == aside_.end()) return;
  auto& writes = aside->second->writes;
  queue_.insert(is_first ? queue_.begin() : queue_.end(), std::make_move_iterator(writes.begin()),
                std::make_move_iterator(writes.end()));
  aside_.erase(aside);
}

bool StoreWriter::HasRoomFor(std::string_view recipient, std::string_view sender,
                             const xmpp::Stanza& message) const {
  const bool is_behind = is_away_ || aside_.contains(absl::string_view(recipient.data(), recipient.size()));
  return !is_behind || shares_.Fits(recipient, sender, message.ByteSizeLong() + kOverhead);
}

StoreShares::Amount StoreWriter::RoomForPackets(std::string_view recipient) const {
  if (rows_ > limits_.waiting_rows / 2 || bytes_ > limits_.waiting_bytes / 2) return {};
  return shares_.LeftForPackets(recipient);
}

void StoreWriter::CountShares(const Write& write, bool is_more) {
  std::string_view sender;
  if (const auto* message = std::get_if<WaitingStore::OfflineWrite>(&write.body)) {
    sender = xmpp::BareOf(message->stanza->from());
  } else if (!std::holds_alternative<Packets>(write.body)) {
    return;
  }
  const StoreShares::Amount amount{write.rows, write.bytes};
  if (is_more) {
    shares_.Add(OwnerOf(write.body), sender, amount);
  } else {
    shares_.Subtract(OwnerOf(write.body), sender, amount);
  }
}

void StoreWriter::Subtract(const Write& write) {
  const bool was_full = is_full();
  CountShares(write, /*is_more=*/false);
  rows_ -= write.rows;
  bytes_ -= write.bytes;
  waiting_rows_.Decrement(static_cast<double>(write.rows));
  waiting_bytes_.Decrement(static_cast<double>(write.bytes));
  if (was_full && !is_full()) has_room_.Notify();
}

Task<void> StoreWriter::AwaitRoom() {
  while (is_full()) co_await has_room_.Wait();
}

void StoreWriter::Finish(Write& write, const Answer& answer) {
  write.is_over = true;
  Subtract(write);
  if (write.done) std::exchange(write.done, nullptr)(answer);
}

void StoreWriter::Abandon() {
  is_abandoned_ = true;
  // The callbacks of what waits may keep the shard alive.
  queue_.clear();
  aside_.clear();
  due_.clear();
  shares_.Clear();
  waiting_rows_.Decrement(static_cast<double>(std::exchange(rows_, 0)));
  waiting_bytes_.Decrement(static_cast<double>(std::exchange(bytes_, 0)));
}

Task<absl::Status> StoreWriter::Claim() {
  absl::Status claimed = co_await store_.Claim({shard_.number, shard_.epoch});
  is_claimed_ = is_claimed_ || claimed.ok();
  co_return claimed;
}

Task<absl::Status> StoreWriter::MakeSure(const Writes& writes) {
  const Body& body = writes.front()->body;
  const bool is_fenced =
      !std::holds_alternative<WaitingStore::OfflineWrite>(body) && !std::holds_alternative<Marks>(body);
  if (!is_fenced || is_claimed_) co_return absl::OkStatus();
  absl::Status claimed = co_await Claim();
  co_return claimed;
}

Task<void> StoreWriter::Run(std::shared_ptr<StoreWriter> self, std::shared_ptr<const sharding::Shard> shard) {
  // All writes that are given in this turn of the loop are written together.
  co_await runtime::Yield();
  runtime::Backoff backoff(backoff_);
  while (true) {
    note_time_();
    if (shard->released()) co_return;  // it stood still for too long
    if (shard->suspended) break;       // until Continue
    Writes writes = NextOfAside();
    const bool is_of_aside = !writes.empty();
    if (!is_of_aside) writes = NextStatement();
    if (writes.empty()) break;
    for (const auto& write : writes) write->is_asked = true;
    std::vector<WaitingStore::Stored> stored;
    absl::Status status = co_await MakeSure(writes);
    if (status.ok()) {
      const WaitingStore::Writer writer{shard->number, shard->epoch};
      status = co_await Execute(writes, writer, stored);
    }
    metrics_.store_statements.Increment();
    if (absl::IsFailedPrecondition(status) && is_claimed_) {
      PutBack(std::move(writes));
      on_superseded_();
      co_return;
    }
    // Where a newer owner is known from the beginning, that is found out before the shard is read.
    if (IsTemporary(status) || absl::IsFailedPrecondition(status)) {
      if (backoff.failures() == 0) telemetry::LogWarn("store.away", {{"error", Message(status)}});
      metrics_.store_retries.Increment();
      is_away_ = is_away_ || !is_of_aside;
      if (OnFailed(status, std::move(writes), is_of_aside)) co_await backoff.Wait();
      continue;
    }
    if (backoff.failures() > 0) telemetry::LogInfo("store.back", {{"rows", rows_}});
    backoff.Reset();
    is_away_ = false;
    OnAnswered(status, std::move(writes), stored, is_of_aside);
  }
  running_ = false;
}

bool StoreWriter::OnFailed(const absl::Status& status, Writes writes, bool is_of_aside) {
  const std::string owner = OwnerOf(writes.front()->body);
  const bool is_too_late = absl::IsDeadlineExceeded(status);
  if (is_of_aside) {
    Aside& aside = *aside_.at(owner);
    aside.writes.push_front(std::move(writes.front()));
    Pause(owner, aside);
    return !is_too_late;
  }
  const std::size_t count = writes.size();
  PutBack(std::move(writes));
  if (!is_too_late) return true;
  // Either the same rows are too many, or one of them is locked: whose that is, is found in few steps, each
  // of which costs the time limit of a statement.
  statement_rows_ = std::max<std::size_t>(statement_rows_ / kNarrowing, 1);
  careful_ = std::max(careful_, count);
  return count > 1 || !SetAside(owner);
}

void StoreWriter::OnAnswered(const absl::Status& status, Writes writes,
                             const std::vector<WaitingStore::Stored>& stored, bool is_of_aside) {
  if (!status.ok() && writes.size() > 1) {
    suspects_ = writes.size();
    PutBack(std::move(writes));
    return;
  }
  in_a_row_ = 0;
  const std::string owner = OwnerOf(writes.front()->body);
  if (!status.ok()) {
    metrics_.store_refused.Increment(static_cast<double>(writes.front()->rows));
    telemetry::LogError("store.refused", {{"user", telemetry::HashedJid(owner)},
                                          {"what", NameOf(writes.front()->body)},
                                          {"rows", writes.front()->rows},
                                          {"error", Message(status)}});
  }
  if (!is_of_aside) {
    suspects_ = status.ok() ? suspects_ - std::min(suspects_, writes.size()) : 0;
    careful_ -= std::min(careful_, writes.size());
    if (careful_ == 0) statement_rows_ = std::min(statement_rows_ + 16, limits_.statement_rows);
  }
  for (std::size_t i = 0; i < writes.size(); ++i)
    Finish(*writes[i], {status, i < stored.size() ? stored[i] : WaitingStore::Stored::kStored});
  if (is_of_aside) BringBack(owner, /*is_first=*/true);
}

Task<absl::Status> StoreWriter::Execute(const Writes& writes, WaitingStore::Writer writer,
                                        std::vector<WaitingStore::Stored>& stored) {
  const Body& first = writes.front()->body;
  if (std::holds_alternative<WaitingStore::OfflineWrite>(first)) {
    std::vector<WaitingStore::OfflineWrite> rows;
    for (const auto& write : writes) rows.push_back(std::get<WaitingStore::OfflineWrite>(write->body));
    auto answers = co_await store_.StoreOffline(rows);
    if (answers.ok()) stored = *std::move(answers);
    co_return answers.status();
  }
  if (std::holds_alternative<Marks>(first)) {
    std::vector<WaitingStore::RowKey> rows;
    for (const auto& write : writes) {
      const Marks& marks = std::get<Marks>(write->body);
      for (const std::uint64_t id : marks.ids) rows.push_back({marks.owner, id});
    }
    co_return co_await store_.MarkGiven(rows);
  }
  if (std::holds_alternative<Packets>(first)) {
    std::vector<WaitingStore::PacketWrite> rows;
    for (const auto& write : writes) {
      const Packets& packets = std::get<Packets>(write->body);
      for (const auto& packet : packets.packets) rows.push_back({packets.session, packet});
    }
    co_return co_await store_.StorePackets(writer, rows);
  }
  if (std::holds_alternative<WaitingStore::PacketsUpTo>(first)) {
    std::vector<WaitingStore::PacketsUpTo> rows;
    for (const auto& write : writes) rows.push_back(std::get<WaitingStore::PacketsUpTo>(write->body));
    co_return co_await store_.RemovePackets(writer, rows);
  }
  if (std::holds_alternative<WaitingStore::ParkedSession>(first)) {
    std::vector<WaitingStore::ParkedSession> rows;
    for (const auto& write : writes) rows.push_back(std::get<WaitingStore::ParkedSession>(write->body));
    co_return co_await store_.Park(writer, rows);
  }
  std::vector<WaitingStore::SessionKey> keys;
  if (std::holds_alternative<Unparked>(first)) {
    for (const auto& write : writes) keys.push_back(std::get<Unparked>(write->body).session);
    co_return co_await store_.Unpark(writer, keys);
  }
  for (const auto& write : writes) keys.push_back(std::get<Removed>(write->body).session);
  co_return co_await store_.RemoveSessions(writer, keys);
}

}  // namespace rookery::session_manager
