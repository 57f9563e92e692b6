#include "rookery/testing/fake_broker.h"

#include <algorithm>

#include "rookery/kafka/refusal.h"

namespace rookery::testing {

// ---- FakeBroker -----------------------------------------------------------------

bool FakeBroker::Flush(std::size_t count, const FakeLog* of) {
  bool any = false;
  for (; count > 0; --count) {
    const auto next = std::find_if(in_flight.begin(), in_flight.end(), [&](const Pending& pending) {
      return (of == nullptr || pending.from == of) && !(holds && holds(pending));
    });
    if (next == in_flight.end()) break;
    Pending pending = std::move(*next);
    in_flight.erase(next);
    Take(std::move(pending));
    any = true;
  }
  return any;
}

void FakeBroker::Take(Pending pending) {
  absl::StatusOr<std::int64_t> result = -1;
  if (pending.is_dropped) {
    result = absl::AbortedError("given up");
  } else {
    absl::Status refused;
    if (pending.from != nullptr) refused = std::exchange(pending.from->refusal, absl::OkStatus());
    if (refused.ok() && refuse) refused = refuse(pending);
    if (!refused.ok()) {
      result = forgets ? refused : kafka::Refused(refused, pending.key, pending.value);
    } else {
      std::vector<Record>& log = records(pending.topic, pending.partition);
      const std::int64_t now = pending.from == nullptr ? pending.timestamp_ms : pending.from->UnixMillisNow();
      log.push_back({std::move(pending.value), now, std::move(pending.key)});
      result = static_cast<std::int64_t>(log.size()) - 1;
    }
  }
  if (pending.on_appended) pending.on_appended(result);
}

// ---- FakeLog --------------------------------------------------------------------

FakeLog::~FakeLog() {
  std::erase_if(broker_.in_flight,
                [this](const FakeBroker::Pending& pending) { return pending.from == this; });
}

void FakeLog::Append(events::Topic topic, std::uint32_t partition, std::string_view key,
                     const google::protobuf::MessageLite& record, OnAppended on_appended) {
  if (broker_.on_append) broker_.on_append(topic);
  broker_.in_flight.push_back(
      {this, 0, topic, partition, std::string(key), record.SerializeAsString(), std::move(on_appended)});
}

void FakeLog::DropInFlight() {
  ++drops;
  for (FakeBroker::Pending& pending : broker_.in_flight)
    if (pending.from == this) pending.is_dropped = true;
}

std::size_t FakeLog::in_flight() const {
  return static_cast<std::size_t>(
      std::count_if(broker_.in_flight.begin(), broker_.in_flight.end(),
                    [this](const FakeBroker::Pending& pending) { return pending.from == this; }));
}

void FakeLog::LeaveInFlight() {
  for (FakeBroker::Pending& pending : broker_.in_flight) {
    if (pending.from != this) continue;
    pending.from = nullptr;
    pending.timestamp_ms = UnixMillisNow();
    pending.on_appended = {};
  }
}

// ---- FakeConsumer ---------------------------------------------------------------

FakeConsumer::FakeConsumer(FakeBroker& broker, events::Topic topic, asio::any_io_executor executor,
                           FakeConsumer*& place)
    : answers(std::make_shared<runtime::Event>(std::move(executor))),
      broker_(broker),
      topic_(topic),
      place_(place) {
  place_ = this;
}

FakeConsumer::~FakeConsumer() {
  if (place_ == this) place_ = nullptr;
}

bool FakeConsumer::Give(kafka::ConsumerHandler& handler) {
  bool any = false;
  // The handler may seek, pause and release, and whoever it belongs to may close this.
  FakeConsumer*& place = place_;
  for (const auto& [partition, offset] : std::map(position)) {
    if (place != this) return true;
    const auto end = static_cast<std::int64_t>(records(partition).size());
    if (offset > end) {
      position[partition] = end;
      handler.OnOffsetMissing(partition, offset, first(partition), end);
      any = true;
      continue;
    }
    if (paused.contains(partition) || offset >= end) continue;
    ++position[partition];
    // A copy, since the handler may change what is in the log.
    const FakeBroker::Record read = records(partition)[static_cast<std::size_t>(offset)];
    handler.OnRecord({partition, offset, read.timestamp_ms, read.key, read.value});
    any = true;
  }
  return any;
}

Task<absl::StatusOr<std::int64_t>> FakeConsumer::Committed(std::int32_t partition) {
  if (!error.ok()) co_return error;
  if (is_away && !is_closed) {
    ++asked;
    const std::shared_ptr<runtime::Event> answer = answers;
    co_await answer->Wait();
    co_return absl::CancelledError("the consumer is gone");
  }
  const auto& committed = broker_.committed(topic_);
  const auto found = committed.find(partition);
  co_return found == committed.end() ? -1 : found->second;
}

Task<absl::StatusOr<std::int64_t>> FakeConsumer::OffsetForTime(std::int32_t partition,
                                                               std::int64_t unix_millis) {
  ++questions;
  const auto& log = records(partition);
  auto at = static_cast<std::size_t>(first(partition));
  while (at < log.size() && log[at].timestamp_ms < unix_millis) ++at;
  co_return static_cast<std::int64_t>(at);
}

Task<absl::StatusOr<std::pair<std::int64_t, std::int64_t>>> FakeConsumer::Watermarks(std::int32_t partition) {
  if (!error.ok()) co_return error;
  co_return std::pair<std::int64_t, std::int64_t>(first(partition), records(partition).size());
}

Task<absl::Status> FakeConsumer::Commit(std::vector<Position> positions) {
  if (!error.ok()) co_return error;
  if (!commit_error.ok()) co_return commit_error;
  for (const Position& next : positions) broker_.committed(topic_)[next.partition] = next.offset;
  co_return absl::OkStatus();
}

void FakeConsumer::ReleaseDone(std::int32_t partition) {
  position.erase(partition);
  released.push_back(partition);
}

Task<void> FakeConsumer::Close(std::chrono::milliseconds) {
  is_closed = true;
  answers->Set();
  co_return;
}

}  // namespace rookery::testing
