#pragma once

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"

namespace rookery::kafka {

/// Whether a consumer joins its group again, of which librdkafka tells nobody. A broker answers
/// the requests of a connection one after the other, so a commit that is sent behind a JoinGroup
/// waits until the group has its next generation, and is refused for its old one; librdkafka
/// takes that for the loss of every partition.
class JoinWatch {
 public:
  /// Before the client is made. Must outlive the client. librdkafka joins at most once a second,
  /// and may sleep on when it could join again: `wake_after` is called, on a thread of
  /// librdkafka's, with the time after which to wake it.
  absl::Status AddTo(rd_kafka_conf_t* conf, std::function<void(std::chrono::milliseconds)> wake_after);

  /// From the JoinGroup until Joined. Any thread.
  bool is_joining() const;
  /// The consumer was told of an assignment, or of the loss of one. Any thread.
  void Joined() { is_joining_.store(false, std::memory_order_release); }
  /// The answer to a heartbeat makes a member join again, and cannot be looked into. How long the
  /// last one may still be followed by a JoinGroup; 0: it was not meant so. Any thread.
  std::chrono::milliseconds in_doubt() const;

 private:
  static rd_kafka_resp_err_t OnNew(rd_kafka_t* client, const rd_kafka_conf_t* conf, void* self, char* error,
                                   std::size_t error_size);
  static rd_kafka_resp_err_t OnRequest(rd_kafka_t* client, int socket, const char* broker, std::int32_t id,
                                       std::int16_t api_key, std::int16_t version, std::int32_t correlation,
                                       std::size_t size, void* self);
  static rd_kafka_resp_err_t OnResponse(rd_kafka_t* client, int socket, const char* broker, std::int32_t id,
                                        std::int16_t api_key, std::int16_t version, std::int32_t correlation,
                                        std::size_t size, std::int64_t rtt, rd_kafka_resp_err_t error,
                                        void* self);

  std::function<void(std::chrono::milliseconds)> wake_after_;
  /// Written on librdkafka's threads. Times are steady milliseconds.
  std::atomic<bool> is_joining_{false};
  std::atomic<std::int64_t> joined_at_{0};
  std::atomic<std::int64_t> heartbeat_at_{0};
  std::atomic<bool> heartbeat_is_out_{false};
};

}  // namespace rookery::kafka
