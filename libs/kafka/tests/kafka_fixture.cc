#include "kafka_fixture.h"

#include <boost/asio/detached.hpp>

#include "rookery/base/random.h"

namespace rookery::kafka {

Member::Member(asio::io_context& loop, const Options& options, const std::string& topic,
               const std::string& group)
    : io(loop) {
  auto made = Consumer::Create(io, options, topic, group, *this, metrics);
  EXPECT_TRUE(made.ok()) << made.status();
  consumer = std::move(*made);
}

void Member::OnAssigned(std::int32_t partition) {
  ++rebalances;
  EXPECT_TRUE(owned.insert(partition).second) << partition;
  if (seek_at_once) asio::co_spawn(io, Begin(partition), asio::detached);
}

void Member::OnRevoking(std::int32_t partition) {
  EXPECT_TRUE(owned.contains(partition)) << partition;
  revoking.push_back(partition);
  if (release_at_once) asio::co_spawn(io, HandOver(partition), asio::detached);
}

void Member::OnLost(std::int32_t partition) {
  EXPECT_EQ(owned.erase(partition), 1u) << partition;
  lost.push_back(partition);
}

void Member::OnRecord(const Record& record) {
  EXPECT_TRUE(owned.contains(record.partition));
  const auto expected = next.find(record.partition);
  if (expected != next.end()) {
    EXPECT_EQ(record.offset, expected->second) << "partition " << record.partition;
  }
  next[record.partition] = record.offset + 1;
  offsets[record.partition].push_back(record.offset);
  values[record.partition].emplace_back(record.value);
  if (on_record) on_record(record);
}

std::size_t Member::total() const {
  std::size_t sum = 0;
  for (const auto& [partition, list] : offsets) sum += list.size();
  return sum;
}

Task<void> Member::Begin(std::int32_t partition) {
  const auto committed = co_await consumer->Committed(partition);
  EXPECT_TRUE(committed.ok()) << committed.status();
  if (!committed.ok() || !owned.contains(partition)) co_return;
  next[partition] = *committed < 0 ? 0 : *committed;
  consumer->Seek(partition, next[partition]);
}

Task<void> Member::HandOver(std::int32_t partition) {
  if (next.contains(partition)) {
    std::vector<Consumer::Position> positions = {{partition, next[partition]}};
    const absl::Status status = co_await consumer->Commit(std::move(positions));
    EXPECT_TRUE(status.ok()) << status;
  }
  if (owned.erase(partition) == 1) consumer->ReleaseDone(partition);
  next.erase(partition);
}

KafkaTest::KafkaTest() {
  options.brokers = {testing::KafkaServer::Shared().address()};
  options.topic_prefix = "t" + RandomToken(6) + ".";
}

bool KafkaTest::Until(const std::function<bool()>& done, std::chrono::milliseconds time) {
  return Until(io, done, time);
}

bool KafkaTest::Until(asio::io_context& loop, const std::function<bool()>& done,
                      std::chrono::milliseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    loop.restart();
    loop.run_one_for(std::chrono::milliseconds(20));
  }
  return true;
}

void KafkaTest::AwaitDone(Task<void> task, std::chrono::milliseconds time) {
  bool done = false;
  asio::co_spawn(io, std::move(task), [&done](std::exception_ptr) { done = true; });
  EXPECT_TRUE(Until([&] { return done; }, time));
}

void KafkaTest::MakeTopic(const std::string& name, int partitions) {
  const auto counts = EnsureTopics(options, {{name, partitions, {}}}, std::chrono::seconds(20));
  ASSERT_TRUE(counts.ok()) << counts.status();
}

std::unique_ptr<Producer> KafkaTest::MakeProducer() {
  auto producer = Producer::Create(io, options, metrics);
  EXPECT_TRUE(producer.ok()) << producer.status();
  return std::move(*producer);
}

}  // namespace rookery::kafka
