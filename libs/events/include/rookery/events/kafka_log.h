#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rookery/events/log.h"
#include "rookery/kafka/producer.h"
#include "rookery/runtime/task.h"

namespace rookery::events {

/// The four topics as KafkaLog makes those that are missing.
std::vector<kafka::TopicSpec> TopicsToMake(const kafka::Options& options, int partitions);

/// The log in Kafka. Owned by a service's App; I/O thread only.
class KafkaLog final : public Log {
 public:
  /// Makes the topics that are missing, with `partitions` each, and opens producers. UNAVAILABLE:
  /// no broker. FAILED_PRECONDITION: a topic takes only smaller records than
  /// `kafka.max-record-bytes`; the text says what to do.
  static Task<absl::StatusOr<std::unique_ptr<KafkaLog>>> Open(asio::io_context& io,
                                                              asio::thread_pool& blocking,
                                                              kafka::Options options, int partitions,
                                                              telemetry::Metrics& metrics);
  /// `addressed` carries what people wait for: `users` and `rooms`; `events` the rest, which gathers
  /// longer, since a broker's cost is by request.
  KafkaLog(std::unique_ptr<kafka::Producer> addressed, std::unique_ptr<kafka::Producer> events,
           Topology topology);

  void Append(Topic topic, std::uint32_t partition, std::string_view key,
              const google::protobuf::MessageLite& record, OnAppended on_appended) override;
  bool is_congested() const override;
  void DropInFlight() override;
  /// Sets who is told that nothing is appended any more before DropInFlight (kafka::Producer::OnBroken).
  void OnBroken(const std::function<void()>& on_broken);
  const Topology& topology() const override { return topology_; }

  /// Suspends until everything is appended. DEADLINE_EXCEEDED: it is not.
  Task<absl::Status> Flush(std::chrono::milliseconds timeout);

 private:
  std::unique_ptr<kafka::Producer> addressed_;
  std::unique_ptr<kafka::Producer> events_;
  const Topology topology_;
  std::string buffer_;
};

}  // namespace rookery::events
