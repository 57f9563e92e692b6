#include "join_watch.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "client.h"

namespace rookery::kafka {
namespace {

constexpr char kName[] = "rookery";
// Kafka protocol, API keys.
constexpr std::int16_t kJoinGroup = 11;
constexpr std::int16_t kHeartbeat = 12;
// Between two JoinGroups that librdkafka sends of its own accord.
constexpr std::chrono::milliseconds kBetweenJoins{1'000};
// From its answer's arrival to librdkafka's knowing of it.
constexpr std::chrono::milliseconds kHandling{10};
// How long until a JoinGroup that it causes is written, even on a busy machine.
constexpr std::chrono::milliseconds kWriting{100};
// A connection that breaks in the middle has no answer to watch for; a broker lets members
// wait for max.poll.interval.ms at most.
constexpr std::int64_t kLongestMs = 10'000;

std::int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

absl::Status JoinWatch::AddTo(rd_kafka_conf_t* conf,
                              std::function<void(std::chrono::milliseconds)> wake_after) {
  wake_after_ = std::move(wake_after);
  return ToStatus(rd_kafka_conf_interceptor_add_on_new(conf, kName, OnNew, this), "interceptor");
}

bool JoinWatch::is_joining() const {
  return is_joining_.load(std::memory_order_acquire) &&
         NowMs() - joined_at_.load(std::memory_order_relaxed) < kLongestMs;
}

std::chrono::milliseconds JoinWatch::in_doubt() const {
  const std::int64_t heartbeat = heartbeat_at_.load(std::memory_order_relaxed);
  const std::int64_t joined = joined_at_.load(std::memory_order_relaxed);
  if (heartbeat < joined) return {};  // whatever it said, we have joined since
  const std::int64_t until = std::max(heartbeat, joined + kBetweenJoins.count()) + kWriting.count();
  return std::chrono::milliseconds(std::max<std::int64_t>(0, until - NowMs()));
}

rd_kafka_resp_err_t JoinWatch::OnNew(rd_kafka_t* client, const rd_kafka_conf_t*, void* self, char*,
                                     std::size_t) {
  const rd_kafka_resp_err_t error = rd_kafka_interceptor_add_on_request_sent(client, kName, OnRequest, self);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return error;
  return rd_kafka_interceptor_add_on_response_received(client, kName, OnResponse, self);
}

rd_kafka_resp_err_t JoinWatch::OnRequest(rd_kafka_t*, int, const char*, std::int32_t, std::int16_t api_key,
                                         std::int16_t, std::int32_t, std::size_t, void* self) {
  JoinWatch& watch = *static_cast<JoinWatch*>(self);
  if (api_key == kHeartbeat) watch.heartbeat_is_out_.store(true, std::memory_order_relaxed);
  if (api_key == kJoinGroup) {
    watch.joined_at_.store(NowMs(), std::memory_order_relaxed);
    watch.is_joining_.store(true, std::memory_order_release);
    watch.wake_after_(kBetweenJoins + kHandling);
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t JoinWatch::OnResponse(rd_kafka_t*, int, const char*, std::int32_t, std::int16_t api_key,
                                          std::int16_t, std::int32_t, std::size_t, std::int64_t,
                                          rd_kafka_resp_err_t, void* self) {
  JoinWatch& watch = *static_cast<JoinWatch*>(self);
  if (api_key == kHeartbeat) {
    watch.heartbeat_at_.store(NowMs(), std::memory_order_relaxed);
    // librdkafka 2.0.2 tells of an answer twice.
    if (watch.heartbeat_is_out_.exchange(false, std::memory_order_relaxed)) watch.wake_after_(kHandling);
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

}  // namespace rookery::kafka
