#pragma once

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rookery/kafka/consumer.h"
#include "rookery/kafka/producer.h"
#include "rookery/testing/kafka_server.h"

namespace rookery::kafka {

/// A member of a group as a session-manager is one: reads what it is given from the
/// committed offset, commits what it has read when asked for it back.
class Member final : public ConsumerHandler {
 public:
  Member(asio::io_context& io, const Options& options, const std::string& topic, const std::string& group);

  void OnAssigned(std::int32_t partition) override;
  void OnRevoking(std::int32_t partition) override;
  void OnLost(std::int32_t partition) override;
  void OnRecord(const Record& record) override;
  void OnOffsetMissing(std::int32_t, std::int64_t wanted, std::int64_t first, std::int64_t end) override {
    missing.push_back({wanted, first, end});
  }

  std::size_t total() const;

  asio::io_context& io;
  telemetry::Metrics metrics{"test"};
  std::unique_ptr<Consumer> consumer;

  // How it behaves.
  bool seek_at_once = true;
  bool release_at_once = true;
  std::function<void(const Record&)> on_record;

  // The things that it has seen.
  std::set<std::int32_t> owned;
  std::vector<std::int32_t> revoking;
  std::vector<std::int32_t> lost;
  std::map<std::int32_t, std::vector<std::int64_t>> offsets;
  std::map<std::int32_t, std::vector<std::string>> values;
  std::vector<std::array<std::int64_t, 3>> missing;
  std::map<std::int32_t, std::int64_t> next;
  std::int64_t rebalances = 0;

 private:
  Task<void> Begin(std::int32_t partition);
  Task<void> HandOver(std::int32_t partition);
};

/// A broker, an I/O thread run by hand, and a topic prefix of the test's own.
class KafkaTest : public ::testing::Test {
 protected:
  KafkaTest();

  /// Turns the loop until `done` or the time is over.
  bool Until(const std::function<bool()>& done, std::chrono::milliseconds time = std::chrono::seconds(60));
  bool Until(asio::io_context& loop, const std::function<bool()>& done, std::chrono::milliseconds time);

  template <typename T>
  std::optional<T> Await(Task<T> task, std::chrono::milliseconds time = std::chrono::seconds(60)) {
    std::optional<T> result;
    asio::co_spawn(io, std::move(task),
                   [&result](std::exception_ptr, T value) { result.emplace(std::move(value)); });
    Until([&] { return result.has_value(); }, time);
    return result;
  }
  void AwaitDone(Task<void> task, std::chrono::milliseconds time = std::chrono::seconds(60));

  void MakeTopic(const std::string& name, int partitions);
  std::unique_ptr<Producer> MakeProducer();

  Options options;
  asio::io_context io{1};
  // A loop without work would end at once where a test wants it to turn for some time.
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  telemetry::Metrics metrics{"test"};
};

}  // namespace rookery::kafka
