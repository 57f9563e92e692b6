#include "domain/delivery/store_writer.h"

#include <algorithm>
#include <type_traits>

#include "absl/container/flat_hash_set.h"
#include "domain/records/shard.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

/// How far a statement looks for more of its kind.
constexpr std::size_t kLookAhead = 2'000;
/// What a write costs in memory beside its stanza.
constexpr std::size_t kOverhead = 300;

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
  queue_.push_back(added);
  Start();
  return added;
}

void StoreWriter::Start() {
  if (std::exchange(running_, true)) return;
  shard_.Spawn("store.write", Run(shared_from_this(), shard_.shared_from_this()));
}

void StoreWriter::Continue() {
  if (!queue_.empty()) Start();
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
  // It keeps its place, empty.
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
  const std::size_t most = alone_ > 0 ? 1 : statement_rows_;
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
        writes.empty() || (rows + next->rows <= most && bytes + next->bytes <= limits_.statement_bytes);
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

void StoreWriter::Subtract(const Write& write) {
  const bool was_full = is_full();
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
  // What was to be done afterwards may keep the shard.
  queue_.clear();
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
  // What is given in this turn of the loop is written together.
  co_await runtime::Yield();
  runtime::Backoff backoff(backoff_);
  while (true) {
    note_time_();
    if (shard->released()) co_return;  // it stood still for too long
    if (shard->suspended) break;       // until Continue
    Writes writes = NextStatement();
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
      // The same rows may be too many.
      if (absl::IsDeadlineExceeded(status)) statement_rows_ = std::max<std::size_t>(statement_rows_ / 2, 1);
      PutBack(std::move(writes));
      co_await backoff.Wait();
      continue;
    }
    if (backoff.failures() > 0) telemetry::LogInfo("store.back", {{"rows", rows_}});
    backoff.Reset();
    if (!status.ok() && writes.size() > 1) {
      alone_ = writes.size();
      PutBack(std::move(writes));
      continue;
    }
    if (!status.ok()) telemetry::LogError("store.refused", {{"error", Message(status)}});
    if (alone_ > 0) --alone_;
    statement_rows_ = std::min(statement_rows_ + 16, limits_.statement_rows);
    for (std::size_t i = 0; i < writes.size(); ++i)
      Finish(*writes[i], {status, i < stored.size() ? stored[i] : WaitingStore::Stored::kStored});
  }
  running_ = false;
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
