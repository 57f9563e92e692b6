#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/config/config.h"
#include "rookery/kafka/in_flight.h"
#include "rookery/runtime/task.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::kafka {

struct Options {
  std::vector<std::string> brokers{"127.0.0.1:9092"};
  std::string client_id;
  /// Prefix of every topic and group name, so that clusters can share a broker.
  std::string topic_prefix = "rookery.";
  std::int64_t replication_factor = 1;
  /// The largest record that is appended; topics must take records of that size
  /// (Kafka's `max.message.bytes`, by default 1,048,588).
  std::int64_t max_record_bytes = 1'000'000;
  /// For SASL; empty: nobody in particular.
  std::string user;
  std::string password;
  /// librdkafka 2.0.2 makes SCRAM's last message wrong, and Kafka 4 notices.
  std::string sasl_mechanism = "PLAIN";
  bool tls = false;
  /// PEM; of those who sign the brokers' certificates. Empty: the system's.
  std::string ca_file;
  /// Further librdkafka properties as `name=value`.
  std::vector<std::string> properties;
  /// kafka.brokers, kafka.topic-prefix, kafka.replication-factor, kafka.max-record-bytes, kafka.user,
  /// kafka.password, kafka.sasl-mechanism, kafka.tls, kafka.ca-file, kafka.properties
  void Bind(config::Schema& schema);
  void Validate(config::Problems& problems) const;
  /// ca_file, and those that librdkafka's properties name.
  void CheckFiles(config::Problems& problems) const;
};

/// Creates topics that are missing, through librdkafka's admin API, and says how many
/// partitions each one has. UNAVAILABLE: no broker.
struct TopicSpec {
  std::string name;  // without prefix
  int partitions;
  /// A warning is logged where the topic is there and has another value.
  std::vector<std::pair<std::string, std::string>> config;
};
/// Blocks: run it on the blocking pool. Result: partition counts in the order of `topics`.
/// FAILED_PRECONDITION: a topic does not take records of `max_record_bytes`.
absl::StatusOr<std::vector<int>> EnsureTopics(const Options& options, const std::vector<TopicSpec>& topics,
                                              std::chrono::milliseconds timeout);

struct ReturnedRecord {
  std::string key;
  std::string value;
};
/// The record that an error of Producer::OnAppended is about, where the log has refused it for good.
std::optional<ReturnedRecord> RefusedRecord(const absl::Status& status);

/// One idempotent producer, acks=all, no time limit on a record: it is appended in the
/// end, in the order given for its partition, unless it is purged or the process dies first. While the log
/// is idle a record waits for nothing; the busier it is, the more go together. I/O
/// thread only. Not to be destroyed within a callback of its own; destroying it drops
/// what is in flight, unanswered, and blocks until librdkafka's threads have ended.
class Producer {
 public:
  /// Called on the I/O thread with the record's offset. Small, no throw. Errors, which no
  /// retry would mend: INVALID_ARGUMENT (larger than Options::max_record_bytes), NOT_FOUND
  /// (no such topic or partition), PERMISSION_DENIED; RefusedRecord gives the record back, and later
  /// records go on. ABORTED: purged, and perhaps appended all the same.
  using OnAppended = std::function<void(const absl::StatusOr<std::int64_t>&)>;

  static absl::StatusOr<std::unique_ptr<Producer>> Create(asio::io_context& io, const Options& options,
                                                          telemetry::Metrics& metrics);
  virtual ~Producer() = default;

  /// Appends `value` to the partition (topic without prefix). The bytes are copied.
  /// `on_appended` may be empty.
  virtual void Append(std::string_view topic, std::int32_t partition, std::string_view key,
                      std::string_view value, OnAppended on_appended) = 0;
  /// Returns what is not appended yet. Callers must stop taking work while it is congested.
  virtual const InFlight& in_flight() const = 0;
  /// Gives up every record that is not appended: this process may no longer say it. The callbacks
  /// come from the loop, never from within the call.
  virtual void Purge() = 0;
  /// Sets who is told, from the loop, that nothing is appended any more before a Purge: the client has met an
  /// error after which it cannot keep the order (a partition has lost what it had confirmed). Whether the log
  /// has what is under way is unknown. Without anybody to tell, and where the client has appended nothing
  /// yet, the process ends.
  virtual void OnBroken(std::function<void()> on_broken) = 0;
  /// Suspends until nothing is in flight, or the time is over: DEADLINE_EXCEEDED.
  virtual Task<absl::Status> Flush(std::chrono::milliseconds timeout) = 0;
};

}  // namespace rookery::kafka
