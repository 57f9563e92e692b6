#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "rookery/events/v1/room_record.pb.h"
#include "rookery/runtime/event.h"
#include "rookery/sharding/shard_owner.h"
#include "rookery/testing/fake_broker.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::sharding {

using rookery::testing::FakeBroker;
using rookery::testing::FakeConsumer;
using rookery::testing::FakeLog;
using rookery::testing::VirtualTime;

constexpr std::int64_t kStart = 1'700'000'000'000;

/// A clock of which the wall clock goes wrong by `skew`.
class SkewedClock final : public Clock {
 public:
  SkewedClock(const Clock& clock, std::chrono::milliseconds by) : skew(by), clock_(clock) {}
  SteadyTime Now() const override { return clock_.Now(); }
  std::int64_t UnixMillisNow() const override { return clock_.UnixMillisNow() + skew.count(); }

  std::chrono::milliseconds skew;

 private:
  const Clock& clock_;
};

struct Read final : Record {
  events::v1::RoomRecord body;
};

/// Writes down the steps of its shards' lives.
class FakeService final : public ShardService {
 public:
  std::shared_ptr<Shard> MakeShard(std::uint32_t number, std::chrono::milliseconds horizon) override {
    return std::make_shared<Shard>(number, horizon);
  }
  std::unique_ptr<google::protobuf::MessageLite> MakeFence(const events::v1::Fence& fence) override {
    auto record = std::make_unique<events::v1::RoomRecord>();
    *record->mutable_fence() = fence;
    return record;
  }
  Parsed Parse(std::string_view value) override {
    auto read = std::make_shared<Read>();
    if (!read->body.ParseFromArray(value.data(), static_cast<int>(value.size()))) return {};
    Parsed parsed{read, &read->body.origin(), nullptr};
    if (read->body.has_fence()) parsed.fence = &read->body.fence();
    return parsed;
  }
  void OnFenced(Shard&) override {
    ++fences;
    steps.push_back("fenced");
  }
  Task<absl::Status> Load(std::shared_ptr<Shard> shard) override {
    while (stalls) co_await runtime::Sleep(std::chrono::milliseconds(1));
    Fail("load");
    shard->stored_epoch = std::exchange(stored_epoch, -1);
    steps.push_back(load_error.ok() ? "loaded" : "not loaded");
    co_return std::exchange(load_error, absl::OkStatus());
  }
  void OnReading(Shard&, bool cut) override { steps.push_back(cut ? "reading a cut log" : "reading"); }
  void OnFinishedRecord(Shard&, Record& record) override {
    steps.push_back("finished " + std::to_string(record.offset));
  }
  void Apply(Shard& shard, std::shared_ptr<Record> record) override {
    steps.push_back("apply " + std::to_string(record->offset) + (record->recovering ? " again" : ""));
    if (on_apply) on_apply(shard, *record);
    if (finishes) shard.window.Release(record->offset);
  }
  bool is_settled(Shard&) const override { return !is_busy; }
  Task<void> Settle(std::shared_ptr<Shard>) override {
    while (is_busy) co_await runtime::Sleep(std::chrono::milliseconds(1));
    Fail("settle");
  }
  void GoLive(Shard&) override {
    Fail("live");
    steps.push_back("live");
  }
  void OnCommitted(Shard&) override { Fail("committed"); }
  void OnGivenUp(Shard&, Record& record) override {
    steps.push_back("given up " + std::to_string(record.offset));
  }
  void OnCertain(Shard&) override { steps.push_back("certain"); }
  Task<void> HandOver(std::shared_ptr<Shard>, SteadyTime) override {
    steps.push_back("hand over");
    Fail("hand over");
    co_return;
  }
  void Forget(Shard&) override {
    steps.push_back("forget");
    Fail("forget");
  }
  Task<absl::StatusOr<std::optional<KeptCursor>>> FindCursor(std::uint32_t) override {
    if (!kept_error.ok()) co_return kept_error;
    co_return kept;
  }
  Task<absl::Status> KeepCursor(std::uint32_t, std::int64_t epoch, std::int64_t cursor) override {
    if (kept && kept_error.ok()) kept = KeptCursor{epoch, cursor};
    co_return kept_error;
  }
  bool is_able() const override { return able; }

  std::vector<std::string> Take() { return std::exchange(steps, {}); }
  std::vector<std::string> steps;
  absl::Status load_error;
  /// Nothing: it keeps no cursors.
  std::optional<KeptCursor> kept;
  absl::Status kept_error;
  std::int64_t stored_epoch = -1;
  /// Load waits.
  bool stalls = false;
  bool is_busy = false;
  bool able = true;
  bool finishes = true;
  std::function<void(Shard&, const Record&)> on_apply;
  int fences = 0;
  /// This step throws, so many times.
  std::string failing;
  int failing_times = 0;

 private:
  void Fail(std::string_view step) {
    if (step != failing || failing_times == 0) return;
    --failing_times;
    throw std::runtime_error("half-way");
  }
};

class ShardOwnerTest : public ::testing::Test {
 protected:
  struct Process {
    Process(ShardOwnerTest& test, const char* name, OwnerOptions options, std::chrono::milliseconds skew)
        : clock(test.time_, skew),
          log(test.broker_, clock),
          owner(
              test.io_.get_executor(), clock, Named(options, name), log,
              [this](const auto& epochs) { published = epochs; }, {}, metrics) {
      owner.JoinForTest(service, MakeConsumer(test), [this, &test](kafka::ConsumerHandler&) {
        ++joined;
        return MakeConsumer(test);
      });
    }
    std::unique_ptr<FakeConsumer> MakeConsumer(ShardOwnerTest& test) {
      return std::make_unique<FakeConsumer>(test.broker_, events::Topic::kRooms, test.io_.get_executor(),
                                            consumer);
    }
    static OwnerOptions Named(OwnerOptions options, const char* name) {
      options.instance = name;
      options.topic = events::Topic::kRooms;
      return options;
    }
    telemetry::Metrics metrics{"test"};
    SkewedClock clock;
    FakeLog log;
    FakeService service;
    std::map<std::uint32_t, std::int64_t> published;
    FakeConsumer* consumer = nullptr;
    int joined = 0;
    ShardOwner owner;
  };
  std::unique_ptr<Process> Make(const char* name = "one", std::chrono::milliseconds skew = {}) {
    return std::make_unique<Process>(*this, name, options_, skew);
  }

  /// All that follows without any time passing.
  void Settle(Process& process) {
    for (bool moved = true; moved;) {
      time_.Settle(io_);
      moved = process.log.Flush();
      if (process.consumer != nullptr) moved = process.consumer->Give(process.owner) || moved;
    }
  }
  /// Time passes for a process that runs until it is done; false: it is not after four seconds.
  bool SettleUntil(Process& process, const std::function<bool()>& done) {
    for (int i = 0; i < 400; ++i) {
      Settle(process);
      if (done()) return true;
      RunFor(process, std::chrono::milliseconds(10));
    }
    return false;
  }
  /// Time passes for a process that runs: its timers, but nothing that the log or its consumer would do.
  void RunFor(Process& process, std::chrono::milliseconds time) {
    time_.RunFor(io_, time);
    process.owner.NoteTime();
  }
  /// Time passes, and nobody runs.
  void Advance(std::chrono::milliseconds time) { time_.JumpTo(time_.Now() + time); }
  void Put(std::uint32_t partition, const std::string& session, std::uint64_t count) {
    events::v1::RoomRecord record;
    record.mutable_origin()->mutable_client()->set_session_id(session);
    record.mutable_origin()->mutable_client()->set_count(count);
    Records(partition).push_back({record.SerializeAsString(), time_.UnixMillisNow()});
  }
  /// Time passes for a process that runs.
  void Elapse(Process& process, std::chrono::seconds time) {
    for (; time.count() > 0; --time) {
      Advance(std::chrono::seconds(1));
      process.owner.Tick();
    }
  }
  void CommitNow(Process& process) {
    process.owner.CommitCursors();
    Settle(process);
  }

  std::vector<FakeBroker::Record>& Records(std::uint32_t partition) {
    return broker_.records(events::Topic::kRooms, partition);
  }
  std::map<std::int32_t, std::int64_t>& Committed() { return broker_.committed(events::Topic::kRooms); }

  VirtualTime time_{kStart};
  asio::io_context io_;
  FakeBroker broker_;
  OwnerOptions options_;
};

}  // namespace rookery::sharding
