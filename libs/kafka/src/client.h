#pragma once

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/kafka/producer.h"

// The parts around librdkafka's C API that the producer, the consumer and the admin calls share.
namespace rookery::kafka {

struct QueueDeleter {
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
using QueuePtr = std::unique_ptr<rd_kafka_queue_t, QueueDeleter>;

struct EventDeleter {
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
};
using EventPtr = std::unique_ptr<rd_kafka_event_t, EventDeleter>;

struct ListDeleter {
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
};
using ListPtr = std::unique_ptr<rd_kafka_topic_partition_list_t, ListDeleter>;

struct ErrorDeleter {
  void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
};
using ErrorPtr = std::unique_ptr<rd_kafka_error_t, ErrorDeleter>;

struct ConfDeleter {
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
};
using ConfPtr = std::unique_ptr<rd_kafka_conf_t, ConfDeleter>;

struct TopicDeleter {
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
};
using TopicPtr = std::unique_ptr<rd_kafka_topic_t, TopicDeleter>;

ListPtr NewList(const std::string& topic, std::int32_t partition, std::int64_t offset);

/// The settings of every client, then `settings`, then the options' own properties:
/// an operator has the last word. INVALID_ARGUMENT names the property.
absl::StatusOr<ConfPtr> MakeConf(const Options& options,
                                 const std::vector<std::pair<const char*, std::string>>& settings);
/// Takes `conf`.
absl::StatusOr<rd_kafka_t*> NewClient(rd_kafka_type_t type, ConfPtr conf);

/// FAILED_PRECONDITION: not a member any more. ABORTED: a rebalance runs, try again.
/// INVALID_ARGUMENT: too large, or a topic's setting is wrong. NOT_FOUND: no such topic or partition. Else
/// UNAVAILABLE.
absl::Status ToStatus(rd_kafka_resp_err_t error, std::string_view what);

/// librdkafka mends it on its own and logs it, too.
bool IsConnectionTrouble(rd_kafka_resp_err_t error);

struct FatalError {
  const char* name;
  std::string text;
};
/// One that `client` cannot get over: its records could no longer be appended in their order.
std::optional<FatalError> FindFatalError(rd_kafka_t* client);
/// Logs and ends the process if `client` has met one. What was not confirmed is sent again by those who
/// keep it.
void DieIfFatal(rd_kafka_t* client);

/// Logs and ends the process: whoever was told of a record or an answer has done half of what it must, and
/// what else has come would not be told of any more.
[[noreturn]] void DieOf(const std::exception& failure);

/// Brings wake-ups of librdkafka's threads to the I/O thread: many become one drain.
class Waker : public std::enable_shared_from_this<Waker> {
 public:
  Waker(asio::io_context& io, std::function<void()> drain) : io_(io), drain_(std::move(drain)) {}

  /// Any thread.
  void Wake() {
    if (posted_.exchange(true, std::memory_order_acq_rel)) return;
    asio::post(io_, [self = shared_from_this()] {
      self->posted_.store(false, std::memory_order_release);
      try {
        if (self->drain_) self->drain_();
      } catch (const std::exception& failure) {
        DieOf(failure);
      }
    });
  }

  /// I/O thread: the target is gone.
  void Detach() { drain_ = nullptr; }
  bool attached() const { return drain_ != nullptr; }

 private:
  asio::io_context& io_;
  std::function<void()> drain_;
  std::atomic<bool> posted_{false};
};

/// A queue whose events wake the I/O thread. librdkafka signals only the step from
/// empty to not empty, so whoever stops before it is empty sets `ready` again.
class Source {
 public:
  Source(QueuePtr queue, std::shared_ptr<Waker> waker);
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  rd_kafka_queue_t* queue() const { return queue_.get(); }
  EventPtr Poll() const { return EventPtr(rd_kafka_queue_poll(queue_.get(), 0)); }
  bool TakeReady() { return ready_.exchange(false, std::memory_order_acq_rel); }
  void SetReady() { ready_.store(true, std::memory_order_release); }

 private:
  static void OnEvent(rd_kafka_t* client, void* opaque);

  const QueuePtr queue_;
  const std::shared_ptr<Waker> waker_;
  std::atomic<bool> ready_{false};
};

}  // namespace rookery::kafka
