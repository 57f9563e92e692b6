#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rookery/base/clock.h"
#include "rookery/events/log.h"
#include "rookery/kafka/consumer.h"
#include "rookery/runtime/event.h"

// Kafka in memory, for tests of what owns shards: several processes, each with a FakeLog and a FakeConsumer,
// on one io_context that the test runs by hand. What they append waits until the test flushes it, and records
// are read when the test gives them, so that a test can do something between any two of these.

namespace rookery::testing {

class FakeLog;

/// The topics, and what is on the way to them. Outlives its logs and consumers.
class FakeBroker {
 public:
  /// `partitions`: of each topic.
  explicit FakeBroker(std::uint32_t partitions = 4)
      : topology_({partitions, partitions, partitions, partitions}) {}

  struct Record {
    std::string value;
    std::int64_t timestamp_ms = 0;
    std::string key = {};
  };
  /// May be changed at will: cut, or added to.
  std::vector<Record>& records(events::Topic topic, std::uint32_t partition) {
    return partitions_[{topic, partition}].records;
  }
  /// Returns where the records begin that retention has left.
  std::int64_t& first(events::Topic topic, std::uint32_t partition) {
    return partitions_[{topic, partition}].first;
  }
  /// By the group that reads the topic.
  std::map<std::int32_t, std::int64_t>& committed(events::Topic topic) { return committed_[topic]; }
  const events::Topology& topology() const { return topology_; }

  struct Pending {
    /// Null: of a process that has died.
    FakeLog* from = nullptr;
    /// When the process died, if it has.
    std::int64_t timestamp_ms = 0;
    events::Topic topic = events::Topic::kUsers;
    std::uint32_t partition = 0;
    std::string key;
    std::string value;
    events::Log::OnAppended on_appended;
    bool is_dropped = false;
  };
  /// The appends of all processes, in the order in which they were given.
  std::deque<Pending> in_flight;
  /// Appends for which it is true stay in flight, and others pass them. May be empty.
  std::function<bool(const Pending&)> holds;
  /// Asked for each before it is in the log: what is not OK is refused, and given back. May be empty.
  std::function<absl::Status(const Pending&)> refuse;
  /// Before each append. May throw.
  std::function<void(events::Topic)> on_append;
  /// Refused records are not given back.
  bool forgets = false;

  /// Up to `count` appends are answered, of one log or of all. False: there was none.
  bool Flush(std::size_t count = std::numeric_limits<std::size_t>::max(), const FakeLog* of = nullptr);

 private:
  struct Partition {
    std::vector<Record> records;
    std::int64_t first = 0;
  };
  void Take(Pending pending);

  std::map<std::pair<events::Topic, std::uint32_t>, Partition> partitions_;
  std::map<events::Topic, std::map<std::int32_t, std::int64_t>> committed_;
  events::Topology topology_;
};

/// One process's way to write. What it has in flight when it dies is lost, unless it was left before.
class FakeLog final : public events::Log {
 public:
  /// `clock`: the process's, for the times at which its records reach the log.
  FakeLog(FakeBroker& broker, const Clock& clock) : broker_(broker), clock_(clock) {}
  ~FakeLog() override;

  void Append(events::Topic topic, std::uint32_t partition, std::string_view key,
              const google::protobuf::MessageLite& record, OnAppended on_appended) override;
  bool is_congested() const override { return congested; }
  /// Dropped records do not reach the log.
  void DropInFlight() override;
  const events::Topology& topology() const override { return broker_.topology(); }

  bool Flush(std::size_t count = std::numeric_limits<std::size_t>::max()) {
    return broker_.Flush(count, this);
  }
  std::size_t in_flight() const;
  /// The process is about to die; what it has in flight reaches the log all the same, and nobody is told so.
  void LeaveInFlight();

  std::int64_t UnixMillisNow() const { return clock_.UnixMillisNow(); }

  /// The refusal of the next append that is flushed.
  absl::Status refusal;
  bool congested = false;
  int drops = 0;

 private:
  FakeBroker& broker_;
  const Clock& clock_;
};

/// One process's way to read one topic, as a member of its group. The test says what is assigned.
class FakeConsumer final : public kafka::Consumer {
 public:
  /// `place`: who looks for it; null once it is gone.
  FakeConsumer(FakeBroker& broker, events::Topic topic, asio::any_io_executor executor, FakeConsumer*& place);
  ~FakeConsumer() override;

  /// Gives the next record of each partition that is read, or says that the log does not have it. False:
  /// there was nothing.
  bool Give(kafka::ConsumerHandler& handler);

  void Seek(std::int32_t partition, std::int64_t offset) override { position[partition] = offset; }
  void Pause(std::int32_t partition) override { paused.insert(partition); }
  void Resume(std::int32_t partition) override { paused.erase(partition); }
  Task<absl::StatusOr<std::int64_t>> Committed(std::int32_t partition) override;
  Task<absl::StatusOr<std::int64_t>> OffsetForTime(std::int32_t partition, std::int64_t unix_millis) override;
  Task<absl::StatusOr<std::pair<std::int64_t, std::int64_t>>> Watermarks(std::int32_t partition) override;
  Task<absl::Status> Commit(std::vector<Position> positions) override;
  void ReleaseDone(std::int32_t partition) override;
  Task<void> Close(std::chrono::milliseconds timeout) override;

  /// The error with which everything that is asked is answered.
  absl::Status error;
  absl::Status commit_error;
  /// Questions are answered when it is closed, or the event is set.
  bool is_away = false;
  bool is_closed = false;
  int asked = 0;
  int questions = 0;
  std::map<std::int32_t, std::int64_t> position;
  std::set<std::int32_t> paused;
  std::vector<std::int32_t> released;
  std::shared_ptr<runtime::Event> answers;

 private:
  std::vector<FakeBroker::Record>& records(std::int32_t partition) const {
    return broker_.records(topic_, static_cast<std::uint32_t>(partition));
  }
  std::int64_t first(std::int32_t partition) const {
    return broker_.first(topic_, static_cast<std::uint32_t>(partition));
  }

  FakeBroker& broker_;
  const events::Topic topic_;
  FakeConsumer*& place_;
};

}  // namespace rookery::testing
