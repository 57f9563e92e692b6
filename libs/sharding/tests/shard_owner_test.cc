#include "rookery/sharding/shard_owner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <deque>

#include "rookery/events/v1/room_record.pb.h"

namespace rookery::sharding {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class HandClock final : public Clock {
 public:
  SteadyTime Now() const override { return SteadyTime{} + std::chrono::hours(1) + elapsed; }
  std::int64_t UnixMillisNow() const override { return 1'700'000'000'000 + elapsed.count(); }
  std::chrono::milliseconds elapsed{0};
};

/// One topic in memory. What is appended is in the log when the test says so.
struct Broker {
  std::map<std::uint32_t, std::vector<std::string>> partitions;
  std::map<std::int32_t, std::int64_t> committed;
};

class FakeLog final : public events::Log {
 public:
  explicit FakeLog(Broker& broker) : broker_(broker) {}
  void Append(events::Topic, std::uint32_t partition, std::string_view,
              const google::protobuf::MessageLite& record, OnAppended on_appended) override {
    in_flight.push_back({partition, record.SerializeAsString(), std::move(on_appended)});
  }
  void Flush() {
    while (!in_flight.empty()) {
      Pending next = std::move(in_flight.front());
      in_flight.pop_front();
      absl::StatusOr<std::int64_t> result = -1;
      if (!refusal.ok()) {
        result = refusal;
      } else {
        auto& partition = broker_.partitions[next.partition];
        partition.push_back(std::move(next.value));
        result = static_cast<std::int64_t>(partition.size()) - 1;
      }
      refusal = absl::OkStatus();
      if (next.on_appended) next.on_appended(result);
    }
  }
  bool is_congested() const override { return congested; }
  void DropInFlight() override {
    ++drops;
    in_flight.clear();
  }
  const events::Topology& topology() const override { return topology_; }

  struct Pending {
    std::uint32_t partition;
    std::string value;
    OnAppended on_appended;
  };
  std::deque<Pending> in_flight;
  /// Of the next append.
  absl::Status refusal;
  bool congested = false;
  int drops = 0;

 private:
  Broker& broker_;
  events::Topology topology_{{4, 4, 4, 4}};
};

class FakeConsumer final : public kafka::Consumer {
 public:
  explicit FakeConsumer(Broker& broker) : broker_(broker) {}
  void Seek(std::int32_t partition, std::int64_t offset) override { position[partition] = offset; }
  void Pause(std::int32_t partition) override { paused.insert(partition); }
  void Resume(std::int32_t partition) override { paused.erase(partition); }
  Task<absl::StatusOr<std::int64_t>> Committed(std::int32_t partition) override {
    if (!error.ok()) co_return error;
    const auto found = broker_.committed.find(partition);
    co_return found == broker_.committed.end() ? -1 : found->second;
  }
  Task<absl::StatusOr<std::int64_t>> OffsetForTime(std::int32_t, std::int64_t) override { co_return 0; }
  Task<absl::StatusOr<std::pair<std::int64_t, std::int64_t>>> Watermarks(std::int32_t partition) override {
    if (!error.ok()) co_return error;
    co_return std::pair<std::int64_t, std::int64_t>(
        0, broker_.partitions[static_cast<std::uint32_t>(partition)].size());
  }
  Task<absl::Status> Commit(std::vector<Position> positions) override {
    if (!error.ok()) co_return error;
    for (const Position& next : positions) broker_.committed[next.partition] = next.offset;
    co_return absl::OkStatus();
  }
  void ReleaseDone(std::int32_t partition) override {
    position.erase(partition);
    released.push_back(partition);
  }
  Task<void> Close(std::chrono::milliseconds) override { co_return; }

  absl::Status error;
  std::map<std::int32_t, std::int64_t> position;
  std::set<std::int32_t> paused;
  std::vector<std::int32_t> released;

 private:
  Broker& broker_;
};

struct Read final : Record {
  events::v1::RoomRecord body;
};

/// Writes down the steps of its shards' lives.
class FakeService final : public ShardService {
 public:
  std::shared_ptr<Shard> MakeShard(std::uint32_t number) override {
    return std::make_shared<Shard>(number, std::chrono::minutes(2));
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
  void OnFenced(Shard&) override { steps.push_back("fenced"); }
  Task<absl::Status> Load(std::shared_ptr<Shard>) override {
    steps.push_back(load_error.ok() ? "loaded" : "not loaded");
    co_return std::exchange(load_error, absl::OkStatus());
  }
  void OnReading(Shard&, bool cut) override { steps.push_back(cut ? "reading a cut log" : "reading"); }
  void OnFinishedRecord(Shard&, Record& record) override {
    steps.push_back("finished " + std::to_string(record.offset));
  }
  void Apply(Shard& shard, std::shared_ptr<Record> record) override {
    steps.push_back("apply " + std::to_string(record->offset) + (record->recovering ? " again" : ""));
    if (finishes) shard.window.Release(record->offset);
  }
  void GoLive(Shard&) override { steps.push_back("live"); }
  void OnCertain(Shard&) override { steps.push_back("certain"); }
  Task<void> HandOver(std::shared_ptr<Shard>, SteadyTime) override {
    steps.push_back("hand over");
    co_return;
  }
  void Forget(Shard&) override { steps.push_back("forget"); }

  std::vector<std::string> Take() { return std::exchange(steps, {}); }
  std::vector<std::string> steps;
  absl::Status load_error;
  bool finishes = true;
};

class ShardOwnerTest : public ::testing::Test {
 protected:
  struct Process {
    Process(ShardOwnerTest& test, const char* name, OwnerOptions options)
        : log(test.broker_),
          owner(
              test.io_.get_executor(), test.clock_, Named(options, name), log, service,
              [this](const auto& epochs) { published = epochs; }, {}, metrics) {
      auto made = std::make_unique<FakeConsumer>(test.broker_);
      consumer = made.get();
      owner.JoinForTest(std::move(made));
    }
    static OwnerOptions Named(OwnerOptions options, const char* name) {
      options.instance = name;
      options.topic = events::Topic::kRooms;
      return options;
    }
    telemetry::Metrics metrics{"test"};
    FakeLog log;
    FakeService service;
    std::map<std::uint32_t, std::int64_t> published;
    FakeConsumer* consumer = nullptr;
    ShardOwner owner;
  };
  std::unique_ptr<Process> Make(const char* name = "one") {
    return std::make_unique<Process>(*this, name, options_);
  }

  void Settle(Process& process) {
    for (bool moved = true; moved;) {
      io_.restart();
      moved = io_.poll() > 0;
      moved = moved || !process.log.in_flight.empty();
      process.log.Flush();
      for (const auto& [partition, offset] : std::map(process.consumer->position)) {
        const auto& records = broker_.partitions[static_cast<std::uint32_t>(partition)];
        if (process.consumer->paused.contains(partition) ||
            offset >= static_cast<std::int64_t>(records.size()))
          continue;
        ++process.consumer->position[partition];
        process.owner.OnRecord({partition,
                                offset,
                                clock_.UnixMillisNow(),
                                {},
                                std::string_view(records[static_cast<std::size_t>(offset)])});
        moved = true;
      }
    }
  }
  bool SettleUntil(Process& process, const std::function<bool()>& done) {
    for (int i = 0; i < 400; ++i) {
      Settle(process);
      if (done()) return true;
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  void Put(std::uint32_t partition, const std::string& session, std::uint64_t count) {
    events::v1::RoomRecord record;
    record.mutable_origin()->mutable_client()->set_session_id(session);
    record.mutable_origin()->mutable_client()->set_count(count);
    broker_.partitions[partition].push_back(record.SerializeAsString());
  }
  void CommitNow(Process& process) {
    process.owner.CommitCursors();
    Settle(process);
  }

  asio::io_context io_;
  HandClock clock_;
  Broker broker_;
  OwnerOptions options_;
};

TEST_F(ShardOwnerTest, TheStepsOfAShardsLife) {
  Put(2, "a", 1);
  auto one = Make();
  one->owner.OnAssigned(2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("fenced", "loaded", "reading", "apply 0 again", "live"));
  EXPECT_THAT(one->published, ElementsAre(Pair(2u, 1)));
  Put(2, "a", 2);
  Put(2, "a", 2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("apply 2"));
  one->owner.OnRevoking(2);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), ElementsAre("hand over", "forget"));
  EXPECT_THAT(one->consumer->released, ElementsAre(2));
  EXPECT_EQ(broker_.committed[2], 4);
  EXPECT_THAT(one->published, IsEmpty());
}

TEST_F(ShardOwnerTest, TheNextOwnerRemembersWhatWasApplied_AndAppliesWhatWasNotFinished) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  Put(0, "a", 1);
  Settle(*one);
  CommitNow(*one);
  one->service.finishes = false;
  Put(0, "a", 2);
  Settle(*one);
  CommitNow(*one);
  one.reset();  // killed

  auto two = Make("two");
  two->owner.OnAssigned(0);
  Put(0, "a", 1);
  Settle(*two);
  EXPECT_THAT(two->service.Take(),
              ElementsAre("fenced", "loaded", "reading", "finished 1", "apply 2 again", "live"));
  EXPECT_EQ(two->owner.Find(0)->epoch, 4);
}

TEST_F(ShardOwnerTest, AnErrorOfKafkaOrOfTheService_IsTriedAgain) {
  auto one = Make();
  one->consumer->error = absl::UnavailableError("no broker");
  one->log.refusal = absl::PermissionDeniedError("no right");
  one->service.load_error = absl::UnavailableError("no store");
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_THAT(one->service.Take(), IsEmpty());
  one->consumer->error = absl::OkStatus();
  ASSERT_TRUE(SettleUntil(*one, [&] { return one->owner.live() == 1; }));
  EXPECT_THAT(one->service.Take(), ElementsAre("fenced", "not loaded", "loaded", "reading", "live"));
}

TEST_F(ShardOwnerTest, ReleasedWhileItIsAcquired) {
  auto one = Make();
  one->owner.OnAssigned(0);
  io_.poll();
  one->owner.OnRevoking(0);
  Settle(*one);
  EXPECT_THAT(one->consumer->released, ElementsAre(0));
  EXPECT_EQ(one->owner.owned(), 0u);
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_EQ(one->owner.live(), 1u);
}

TEST_F(ShardOwnerTest, UnfinishedRecordsPauseTheShard_FinishedOnesBehindThemDoNot) {
  options_.max_unfinished_records = 10;
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.finishes = false;
  Put(0, "a", 1);
  Settle(*one);
  one->service.finishes = true;
  for (int i = 0; i < 100; ++i) Put(0, "b", static_cast<std::uint64_t>(i + 1));
  Settle(*one);
  EXPECT_THAT(one->consumer->paused, IsEmpty());
  EXPECT_EQ(one->owner.Find(0)->window.cursor(), 1);
  one->service.finishes = false;
  for (int i = 0; i < 100; ++i) Put(0, "c", static_cast<std::uint64_t>(i + 1));
  Settle(*one);
  EXPECT_THAT(one->consumer->paused, ElementsAre(0));
  EXPECT_LE(one->owner.Find(0)->window.size(), 12u);
  while (one->owner.Find(0)->window.size() > 0) {
    const std::int64_t cursor = one->owner.Find(0)->window.cursor();
    one->owner.Find(0)->window.Release(cursor);
  }
  one->owner.Tick();
  EXPECT_THAT(one->consumer->paused, IsEmpty());
}

TEST_F(ShardOwnerTest, TooManyBytesPauseItToo) {
  options_.max_unfinished_bytes = 100;
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->service.finishes = false;
  for (int i = 0; i < 100; ++i) Put(0, "a session of sixteen bytes", static_cast<std::uint64_t>(i + 1));
  Settle(*one);
  EXPECT_THAT(one->consumer->paused, ElementsAre(0));
  EXPECT_LT(one->owner.Find(0)->window.bytes(), 200u);
}

TEST_F(ShardOwnerTest, HandOver_WaitsForTheLog) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  Shard& shard = *one->owner.Find(0);
  bool appended = false;
  events::v1::RoomRecord record;
  one->owner.Append(shard, events::Topic::kRooms, 3, "key", record,
                    [&](const auto& offset) { appended = offset.ok(); });
  one->owner.OnRevoking(0);
  io_.restart();
  io_.poll();
  EXPECT_THAT(one->consumer->released, IsEmpty());
  Settle(*one);
  EXPECT_TRUE(appended);
  EXPECT_THAT(one->consumer->released, ElementsAre(0));
}

TEST_F(ShardOwnerTest, EverythingLost_WhatWasStillToBeSaidIsDropped) {
  auto one = Make();
  one->owner.OnAssigned(0);
  one->owner.OnAssigned(1);
  Settle(*one);
  one->owner.OnLost(0);
  EXPECT_EQ(one->log.drops, 0);
  one->owner.OnLost(1);
  EXPECT_EQ(one->log.drops, 1);
}

TEST_F(ShardOwnerTest, FrozenForAWhile_CertainAgainAfterACommit) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  one->service.Take();
  clock_.elapsed += std::chrono::seconds(10);
  one->owner.NoteTime();
  EXPECT_FALSE(one->owner.Find(0)->live());
  Settle(*one);
  EXPECT_TRUE(one->owner.Find(0)->live());
  EXPECT_THAT(one->service.Take(), ElementsAre("certain"));
}

TEST_F(ShardOwnerTest, FrozenForTooLong_EverythingIsGivenUp) {
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  one->owner.NoteTime();
  clock_.elapsed += std::chrono::seconds(61);
  one->owner.NoteTime();
  EXPECT_EQ(one->owner.owned(), 0u);
  EXPECT_EQ(one->log.drops, 1);
}

TEST_F(ShardOwnerTest, LogCut_GoesOnFromWhatIsThere_EpochsRiseForEveryLaterOwner) {
  for (int i = 0; i < 20; ++i) Put(0, "a", static_cast<std::uint64_t>(i + 1));
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  CommitNow(*one);
  EXPECT_EQ(broker_.committed[0], 21);
  one.reset();
  broker_.partitions[0].clear();
  Put(0, "b", 1);

  auto two = Make("two");
  two->owner.OnAssigned(0);
  Settle(*two);
  EXPECT_THAT(two->service.Take(),
              ElementsAre("fenced", "loaded", "reading a cut log", "apply 0 again", "live"));
  EXPECT_EQ(two->owner.Find(0)->epoch, 22);
  CommitNow(*two);
  EXPECT_EQ(broker_.committed[0], 2);
}

TEST_F(ShardOwnerTest, UnreadableRecordsAreCountedAndPassed) {
  broker_.partitions[0].push_back("\xff\xff no record");
  auto one = Make();
  one->owner.OnAssigned(0);
  Settle(*one);
  EXPECT_EQ(one->owner.live(), 1u);
  EXPECT_EQ(one->owner.metrics().unreadable.Value(), 1);
  EXPECT_EQ(one->owner.Find(0)->window.cursor(), 2);
}

TEST_F(ShardOwnerTest, NotReadyBeforeShardsAreLive) {
  auto one = Make();
  EXPECT_EQ(one->owner.NotReadyReason(), "no shard is assigned yet");
  one->owner.OnAssigned(0);
  EXPECT_EQ(one->owner.NotReadyReason(), "recovering 1 of 1 shards");
  Settle(*one);
  EXPECT_EQ(one->owner.NotReadyReason(), "");
}

TEST_F(ShardOwnerTest, NeverGivenAShard_ReadyAllTheSameOnceTheGroupHasSettled) {
  auto one = Make();
  clock_.elapsed += std::chrono::seconds(11);
  EXPECT_EQ(one->owner.NotReadyReason(), "");
}

}  // namespace
}  // namespace rookery::sharding
