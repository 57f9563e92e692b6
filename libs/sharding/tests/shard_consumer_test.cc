#include "rookery/sharding/shard_consumer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rookery::sharding {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

/// Answers at once, or, when told to hold, when the test says so.
class FakeConsumer final : public kafka::Consumer {
 public:
  explicit FakeConsumer(asio::io_context& io) : io_(io) {}

  void Seek(std::int32_t partition, std::int64_t offset) override { seeks.emplace_back(partition, offset); }
  void Pause(std::int32_t) override {}
  void Resume(std::int32_t) override {}
  Task<absl::StatusOr<std::int64_t>> Committed(std::int32_t partition) override {
    if (hold_committed) {
      runtime::Promise<bool> promise(io_.get_executor());
      held = promise;
      co_await promise.Get();
    }
    if (!error.ok()) co_return error;
    co_return committed.contains(partition) ? committed[partition] : -1;
  }
  Task<absl::StatusOr<std::int64_t>> OffsetForTime(std::int32_t, std::int64_t) override { co_return 0; }
  Task<absl::StatusOr<std::pair<std::int64_t, std::int64_t>>> Watermarks(std::int32_t) override {
    if (!error.ok()) co_return error;
    co_return std::pair<std::int64_t, std::int64_t>(10, 50);
  }
  Task<absl::Status> Commit(std::vector<Position> positions) override {
    if (hold_commit) {
      runtime::Promise<bool> promise(io_.get_executor());
      held = promise;
      co_await promise.Get();
    }
    if (!error.ok()) co_return error;
    for (const Position& position : positions) commits.emplace_back(position.partition, position.offset);
    co_return absl::OkStatus();
  }
  void ReleaseDone(std::int32_t partition) override { released.push_back(partition); }
  Task<void> Close(std::chrono::milliseconds) override {
    closed = true;
    co_return;
  }

  absl::Status error;
  bool hold_committed = false;
  bool hold_commit = false;
  bool closed = false;
  std::optional<runtime::Promise<bool>> held;
  std::map<std::int32_t, std::int64_t> committed;
  std::vector<std::pair<std::int32_t, std::int64_t>> seeks, commits;
  std::vector<std::int32_t> released;

 private:
  asio::io_context& io_;
};

class ShardConsumerTest : public testing::Test {
 protected:
  void Make(Start start) {
    shards = std::make_unique<ShardConsumer>(
        io.get_executor(), start, metrics,
        [this](const kafka::Record& record) { seen.push_back(record.offset); },
        [this] { published.push_back(shards->epochs()); });
    auto made = std::make_unique<FakeConsumer>(io);
    consumer = made.get();
    shards->Attach(std::move(made));
  }
  void Settle() {
    io.restart();
    while (io.poll() > 0) io.restart();
  }
  void Read(std::int32_t partition, std::int64_t offset) {
    shards->OnRecord({.partition = partition, .offset = offset, .timestamp_ms = 0, .key = "k", .value = "v"});
  }

  asio::io_context io;
  telemetry::Metrics metrics{"test"};
  FakeConsumer* consumer = nullptr;
  std::vector<std::int64_t> seen;
  std::vector<std::map<std::uint32_t, std::int64_t>> published;
  std::unique_ptr<ShardConsumer> shards;
};

TEST_F(ShardConsumerTest, GoesOnAtTheCommittedOffset) {
  Make(Start::kEnd);
  consumer->committed[3] = 20;
  shards->OnAssigned(3);
  Settle();
  EXPECT_THAT(consumer->seeks, ElementsAre(Pair(3, 20)));
  EXPECT_EQ(shards->owned(), 1u);
}

TEST_F(ShardConsumerTest, BeginsAtTheEndOrTheBeginningWithoutOneAndCommitsThat) {
  Make(Start::kEnd);
  shards->OnAssigned(0);
  Settle();
  EXPECT_THAT(consumer->seeks, ElementsAre(Pair(0, 50)));
  shards->TickForTest();
  Settle();
  EXPECT_THAT(consumer->commits, ElementsAre(Pair(0, 50)));

  Make(Start::kBeginning);
  shards->OnAssigned(0);
  Settle();
  EXPECT_THAT(consumer->seeks, ElementsAre(Pair(0, 10)));
}

TEST_F(ShardConsumerTest, SkipsWhatRetentionHasRemoved) {
  Make(Start::kBeginning);
  consumer->committed[0] = 4;
  shards->OnAssigned(0);
  Settle();
  EXPECT_THAT(consumer->seeks, ElementsAre(Pair(0, 10)));
}

TEST_F(ShardConsumerTest, CommitsWhatIsNewAndNothingElse) {
  Make(Start::kBeginning);
  consumer->committed[0] = 20;
  shards->OnAssigned(0);
  Settle();
  shards->TickForTest();
  Settle();
  EXPECT_THAT(consumer->commits, IsEmpty());
  Read(0, 20);
  Read(0, 21);
  shards->TickForTest();
  Settle();
  EXPECT_THAT(consumer->commits, ElementsAre(Pair(0, 22)));
  shards->TickForTest();
  Settle();
  EXPECT_THAT(consumer->commits, ElementsAre(Pair(0, 22)));
  EXPECT_THAT(seen, ElementsAre(20, 21));
}

TEST_F(ShardConsumerTest, CountsEachRecordOnceAsCommitted) {
  const auto committed = [this] { return metrics.Counter("records_committed_total", "").Value(); };
  Make(Start::kBeginning);
  shards->OnAssigned(0);
  Settle();
  shards->TickForTest();
  Settle();
  EXPECT_EQ(committed(), 0) << "the start is no record";
  Read(0, 10);
  Read(0, 11);
  shards->TickForTest();
  Settle();
  EXPECT_EQ(committed(), 2);
  Read(0, 12);
  shards->OnRevoking(0);
  Settle();
  EXPECT_EQ(committed(), 3);
}

TEST_F(ShardConsumerTest, CommitsBeforeItGivesAShardBack) {
  Make(Start::kBeginning);
  consumer->committed[0] = 20;
  shards->OnAssigned(0);
  Settle();
  Read(0, 20);
  shards->OnRevoking(0);
  Settle();
  EXPECT_THAT(consumer->commits, ElementsAre(Pair(0, 21)));
  EXPECT_THAT(consumer->released, ElementsAre(0));
  EXPECT_EQ(shards->owned(), 0u);
  Read(0, 21);
  EXPECT_THAT(seen, ElementsAre(20)) << "a record of a shard that is not ours";
}

TEST_F(ShardConsumerTest, GivesAShardBackThoughKafkaTakesNoCommit) {
  Make(Start::kBeginning);
  consumer->committed[0] = 20;
  shards->OnAssigned(0);
  Settle();
  Read(0, 20);
  consumer->error = absl::UnavailableError("no broker");
  shards->OnRevoking(0);
  Settle();
  EXPECT_THAT(consumer->released, ElementsAre(0));
  EXPECT_FALSE(shards->Contact().ok());
}

TEST_F(ShardConsumerTest, DoesNothingForALostShard) {
  Make(Start::kBeginning);
  consumer->committed[0] = 20;
  shards->OnAssigned(0);
  Settle();
  Read(0, 20);
  shards->OnLost(0);
  shards->TickForTest();
  Settle();
  EXPECT_THAT(consumer->commits, IsEmpty());
  EXPECT_THAT(consumer->released, IsEmpty());
  EXPECT_EQ(shards->owned(), 0u);
}

TEST_F(ShardConsumerTest, AShardRevokedBeforeItWasReadIsReleasedAtOnce) {
  Make(Start::kBeginning);
  consumer->hold_committed = true;
  shards->OnAssigned(0);
  Settle();
  shards->OnRevoking(0);
  EXPECT_THAT(consumer->released, ElementsAre(0));
  consumer->held->Set(true);
  Settle();
  EXPECT_THAT(consumer->seeks, IsEmpty());
}

TEST_F(ShardConsumerTest, AnAnswerForAnEarlierAssignmentIsIgnored) {
  Make(Start::kBeginning);
  consumer->hold_committed = true;
  shards->OnAssigned(0);
  Settle();
  runtime::Promise<bool> first = *consumer->held;
  shards->OnLost(0);
  consumer->hold_committed = false;
  consumer->committed[0] = 30;
  shards->OnAssigned(0);
  Settle();
  first.Set(true);
  Settle();
  EXPECT_THAT(consumer->seeks, ElementsAre(Pair(0, 30)));
}

TEST_F(ShardConsumerTest, AShardLostDuringItsLastCommitIsNotReleased) {
  Make(Start::kBeginning);
  consumer->committed[0] = 20;
  shards->OnAssigned(0);
  Settle();
  Read(0, 20);
  consumer->hold_commit = true;
  shards->OnRevoking(0);
  Settle();
  shards->OnLost(0);
  consumer->held->Set(true);
  Settle();
  EXPECT_THAT(consumer->released, IsEmpty());
}

TEST_F(ShardConsumerTest, TellsWhatItOwnsSinceWhichEndOfTheLog) {
  Make(Start::kBeginning);
  consumer->committed[0] = 20;
  shards->OnAssigned(0);
  EXPECT_FALSE(shards->Owns(0)) << "not read yet";
  Settle();
  EXPECT_TRUE(shards->Owns(0));
  shards->OnAssigned(2);
  Settle();
  shards->OnRevoking(0);
  Settle();
  EXPECT_FALSE(shards->Owns(0));
  shards->OnLost(2);
  EXPECT_THAT(published, ElementsAre(ElementsAre(Pair(0, 50)), ElementsAre(Pair(0, 50), Pair(2, 50)),
                                     ElementsAre(Pair(2, 50)), IsEmpty()));
}

TEST_F(ShardConsumerTest, NoticesThatKafkaIsAwayThoughItOwnsNothing) {
  Make(Start::kBeginning);
  consumer->error = absl::UnavailableError("no broker");
  shards->TickForTest();
  Settle();
  EXPECT_EQ(shards->Contact().code(), absl::StatusCode::kUnavailable);
  consumer->error = absl::OkStatus();
  shards->TickForTest();
  Settle();
  EXPECT_TRUE(shards->Contact().ok());
}

TEST_F(ShardConsumerTest, CloseLeavesTheGroup) {
  Make(Start::kBeginning);
  asio::co_spawn(io, shards->Close(std::chrono::seconds(1)), asio::detached);
  Settle();
  EXPECT_TRUE(consumer->closed);
}

}  // namespace
}  // namespace rookery::sharding
