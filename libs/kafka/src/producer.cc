#include "rookery/kafka/producer.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <thread>
#include <unordered_map>

#include "client.h"
#include "rookery/base/check.h"
#include "rookery/base/status.h"
#include "rookery/kafka/in_flight.h"
#include "rookery/kafka/refusal.h"
#include "rookery/telemetry/log.h"

namespace rookery::kafka {
namespace {

using SteadyClock = std::chrono::steady_clock;

// A delivery report's worth of work per turn of the loop.
constexpr int kEventsPerTurn = 64;

struct Lane;

/// A note that librdkafka carries along with a record and gives back with its report. Kept for reuse.
struct Handle {
  Producer::OnAppended on_appended;
  SteadyClock::time_point since;
  Lane* lane = nullptr;  // null once it is purged
  std::size_t bytes = 0;
  bool is_out = false;
};

/// A record that waits for its turn. librdkafka frees the bytes.
struct Waiting {
  /// The value, and behind it the key.
  char* bytes;
  std::size_t size;
  std::size_t key_size;
  Handle* handle;
};

/// One partition. A broker's work is per request, hardly per record: while a request of
/// the partition is out, its next records gather and go together, so that batches grow
/// with the load and an idle log waits for nothing. librdkafka would not send them earlier:
/// it lets five records of a partition be out before it waits, and its thread polls without
/// a pause meanwhile.
struct Lane {
  rd_kafka_topic_t* topic;
  std::int32_t partition;
  std::deque<Waiting> waiting;
  InFlight::Lane in_flight;
  std::size_t reports_due = 0;
  bool scheduled = false;  // stands in `due_`
};

class KafkaProducer final : public Producer {
 public:
  KafkaProducer(asio::io_context& io, const Options& options, telemetry::Metrics& metrics)
      : io_(io),
        options_(options),
        prefix_(options.topic_prefix),
        hold_(io),
        appended_(metrics.Counter("kafka_appended_records_total", "Records that the log has taken")),
        failed_(metrics.Counter("kafka_refused_records_total", "Records that the log refused")),
        broken_(
            metrics.Counter("kafka_fatal_errors_total",
                            "Times that the log's client could keep no order any more, and was made anew")),
        latency_(metrics.Histogram("kafka_append_seconds", "From append to the log's confirmation",
                                   {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 20})),
        in_flight_gauge_(
            metrics.Gauge("kafka_in_flight_records", "Records given to append and not confirmed")) {}

  absl::Status Open() {
    // A broker's limit is on a batch: one that is larger would be refused with all that is in it.
    const std::string most = std::to_string(options_.max_record_bytes);
    ROOKERY_ASSIGN_OR_RETURN(
        ConfPtr conf,
        MakeConf(options_, {{"message.max.bytes", most},
                            {"batch.size", most},
                            {"enable.idempotence", "true"},
                            {"acks", "all"},
                            {"max.in.flight.requests.per.connection", "5"},
                            // No time limit: appended in the end, or the process dies first.
                            {"message.timeout.ms", "0"},
                            {"retry.backoff.ms", "50"},
                            // Lanes batch; this only lets records of one turn leave together.
                            {"linger.ms", "0.2"},
                            {"queue.buffering.max.messages", std::to_string(2 * InFlight::kHighWater)},
                            {"queue.buffering.max.kbytes", "1048576"}}));
    rd_kafka_conf_set_events(conf.get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    ROOKERY_ASSIGN_OR_RETURN(client_, NewClient(RD_KAFKA_PRODUCER, std::move(conf)));
    waker_ = std::make_shared<Waker>(io_, [this] { Drain(); });
    reports_ = std::make_unique<Source>(QueuePtr(rd_kafka_queue_get_main(client_)), waker_);
    return absl::OkStatus();
  }

  ~KafkaProducer() override {
    CloseClient();
    in_flight_gauge_.Decrement(static_cast<double>(shown_in_flight_));
    for (Closing& closing : closing_) closing.thread.join();
  }

  void Purge() override {
    if (in_flight_.records() == 0) {
      if (is_broken_) MakeClientAnew();
      return;
    }
    telemetry::LogWarn("kafka.purged", {{"records", in_flight_.records()}});
    std::vector<Handle*> dropped;
    for (Handle& handle : handles_) {
      // Without a lane: an earlier purge is about to tell its owner.
      if (!handle.is_out || handle.lane == nullptr) continue;
      dropped.push_back(&handle);
      in_flight_.Remove(handle.lane->in_flight, handle.bytes);
      handle.lane = nullptr;  // ends with its client
    }
    MakeClientAnew();
    asio::post(io_, [alive = std::weak_ptr<bool>(alive_), this, dropped = std::move(dropped)] {
      for (Handle* handle : dropped)
        if (!alive.expired()) Complete(handle, absl::AbortedError("kafka: given up"));
    });
  }

  void Append(std::string_view topic, std::int32_t partition, std::string_view key, std::string_view value,
              OnAppended on_appended) override {
    ROOKERY_CHECK(partition >= 0);
    Lane& lane = LaneOf(topic, partition);
    Handle* handle = TakeHandle();
    handle->on_appended = std::move(on_appended);
    handle->since = SteadyClock::now();
    handle->lane = &lane;
    handle->bytes = value.size();
    handle->is_out = true;
    in_flight_.Add(lane.in_flight, value.size());
    // The only copy on our side: librdkafka takes the buffer as it is.
    char* bytes = static_cast<char*>(std::malloc(std::max<std::size_t>(value.size() + key.size(), 1)));
    ROOKERY_CHECK(bytes != nullptr);
    std::copy(value.begin(), value.end(), bytes);
    std::copy(key.begin(), key.end(), bytes + value.size());
    lane.waiting.push_back(Waiting{bytes, value.size(), key.size(), handle});
    ++recent_;
    if (lane.reports_due == 0) Schedule(lane);
  }

  const InFlight& in_flight() const override { return in_flight_; }

  void OnBroken(std::function<void()> on_broken) override { on_broken_ = std::move(on_broken); }

  Task<absl::Status> Flush(std::chrono::milliseconds timeout) override {
    const auto deadline = SteadyClock::now() + timeout;
    // A timer of each call's own: two on one timer would cancel each other for ever.
    const auto timer = std::make_shared<asio::steady_timer>(io_);
    flushes_.push_back(timer);
    SendDue();
    while (in_flight_.records() != 0 && SteadyClock::now() < deadline) {
      timer->expires_at(deadline);
      co_await timer->async_wait(asio::as_tuple(asio::use_awaitable));
    }
    if (in_flight_.records() == 0) co_return absl::OkStatus();
    co_return absl::DeadlineExceededError("kafka: " + std::to_string(in_flight_.records()) +
                                          " records are not appended");
  }

 private:
  struct Topic {
    TopicPtr handle;
    std::vector<std::unique_ptr<Lane>> lanes;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  /// A client that ends.
  struct Closing {
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> is_done;
  };
  /// The old one's idempotence ends with what it was made to forget.
  void MakeClientAnew() {
    CloseClient();
    const absl::Status opened = Open();
    // The same settings made a client before.
    ROOKERY_CHECK(opened.ok());
  }
  /// After a fatal error the client takes nothing any more, and says of nothing whether the log has it. One
  /// that has appended nothing would fail again.
  bool NoteIfFatal() {
    if (is_broken_) return true;
    if (on_broken_ == nullptr || !has_appended_) DieIfFatal(client_);
    const std::optional<FatalError> fatal = FindFatalError(client_);
    if (!fatal) return false;
    is_broken_ = true;
    broken_.Increment();
    telemetry::LogError("kafka.fatal", {{"client", rd_kafka_name(client_)},
                                        {"error", fatal->name},
                                        {"text", fatal->text},
                                        {"consequence", "what is under way is given up"}});
    // The client is not closed within one of its own events.
    asio::post(io_, [waker = waker_, this] {
      if (waker->attached()) on_broken_();
    });
    return true;
  }

  /// Ends the client with everything that it has, on a thread of its own since that takes a while.
  void CloseClient() {
    if (waker_ != nullptr) waker_->Detach();
    reports_.reset();
    for (auto& [key, topic] : topics_) {
      for (const auto& lane : topic.lanes) {
        if (lane == nullptr) continue;
        for (const Waiting& record : lane->waiting) std::free(record.bytes);
      }
    }
    due_.clear();
    stuck_.clear();
    send_scheduled_ = false;
    in_librdkafka_ = 0;
    is_broken_ = false;
    has_appended_ = false;
    if (client_ == nullptr) return;
    std::erase_if(closing_, [](Closing& closing) {
      if (!closing.is_done->load()) return false;
      closing.thread.join();
      return true;
    });
    const auto is_done = std::make_shared<std::atomic<bool>>(false);
    std::thread thread([client = client_, topics = std::exchange(topics_, {}), is_done]() mutable {
      rd_kafka_purge(client,
                     RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
      topics.clear();
      rd_kafka_destroy(client);
      *is_done = true;
    });
    closing_.push_back({std::move(thread), is_done});
    client_ = nullptr;
  }

  Lane& LaneOf(std::string_view name, std::int32_t partition) {
    auto found = topics_.find(name);
    if (found == topics_.end()) {
      Topic topic;
      topic.handle.reset(rd_kafka_topic_new(client_, (prefix_ + std::string(name)).c_str(), nullptr));
      ROOKERY_CHECK(topic.handle != nullptr);
      found = topics_.emplace(std::string(name), std::move(topic)).first;
    }
    Topic& topic = found->second;
    const auto index = static_cast<std::size_t>(partition);
    if (index >= topic.lanes.size()) topic.lanes.resize(index + 1);
    if (topic.lanes[index] == nullptr) {
      topic.lanes[index] = std::make_unique<Lane>();
      topic.lanes[index]->topic = topic.handle.get();
      topic.lanes[index]->partition = partition;
    }
    return *topic.lanes[index];
  }

  Handle* TakeHandle() {
    if (spare_.empty()) {
      handles_.emplace_back();
      return &handles_.back();
    }
    Handle* handle = spare_.back();
    spare_.pop_back();
    return handle;
  }

  void Schedule(Lane& lane) {
    if (!lane.scheduled) {
      lane.scheduled = true;
      due_.push_back(&lane);
    }
    if (send_scheduled_) return;
    send_scheduled_ = true;
    const auto hold = Flushing() ? std::chrono::microseconds(0) : Hold();
    if (hold.count() == 0) {
      // The end of this turn of the loop: what is appended within it goes together.
      asio::post(io_, [waker = waker_, this] {
        if (waker->attached()) SendDue();
      });
      return;
    }
    hold_.expires_after(hold);
    hold_.async_wait([waker = waker_, this](const boost::system::error_code& error) {
      if (!error && waker->attached()) SendDue();
    });
  }

  bool Flushing() {
    std::erase_if(flushes_, [](const auto& flush) { return flush.expired(); });
    return !flushes_.empty();
  }

  /// How long records gather before they are sent. Nothing while the log is idle.
  std::chrono::microseconds Hold() {
    const auto now = SteadyClock::now();
    if (const auto passed = now - window_start_; passed >= std::chrono::milliseconds(20)) {
      rate_ = recent_ / std::chrono::duration<double>(passed).count();
      recent_ = 0;
      window_start_ = now;
    }
    if (rate_ < 500) return std::chrono::microseconds(0);
    return std::chrono::microseconds(rate_ < 4'000 ? 1'000 : 2'000);
  }

  void SendDue() {
    send_scheduled_ = false;
    sending_.swap(due_);
    for (Lane* lane : sending_) {
      lane->scheduled = false;
      Send(*lane);
    }
    sending_.clear();
  }

  /// Gives librdkafka what fits into one request, in one call: its thread must not find half of it.
  void Send(Lane& lane) {
    if (is_broken_) return;
    request_.clear();
    // Half of a batch, for what the protocol adds to each record.
    const auto most = static_cast<std::size_t>(options_.max_record_bytes) / 2;
    std::size_t bytes = 0;
    for (const Waiting& record : lane.waiting) {
      bytes += record.size + record.key_size;
      if (bytes > most && !request_.empty()) break;
      rd_kafka_message_t& message = request_.emplace_back();
      message.payload = record.bytes;
      message.len = record.size;
      message.key = record.key_size == 0 ? nullptr : record.bytes + record.size;
      message.key_len = record.key_size;
      message._private = record.handle;
    }
    rd_kafka_produce_batch(lane.topic, lane.partition, RD_KAFKA_MSG_F_FREE, request_.data(),
                           static_cast<int>(request_.size()));
    for (const rd_kafka_message_t& message : request_) {
      // Its queue holds more than callers may have in flight, but counts bytes as well: the next
      // reports make room. It has taken nothing of what follows either.
      if (message.err == RD_KAFKA_RESP_ERR__QUEUE_FULL && in_librdkafka_ > 0) {
        stuck_.push_back(&lane);
        return;
      }
      if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (NoteIfFatal()) return;
        Refuse(lane.waiting.front().handle, Refusal(message));
        std::free(message.payload);
      } else {
        ++lane.reports_due;
        ++in_librdkafka_;
      }
      lane.waiting.pop_front();
    }
    // None of them is out: no report will send what is left.
    if (lane.reports_due == 0 && !lane.waiting.empty()) Schedule(lane);
  }

  // Not within Append: a caller does not expect its answer before the call returns.
  void Refuse(Handle* handle, absl::Status status) {
    asio::post(io_, [waker = waker_, this, handle, status = std::move(status)] {
      if (waker->attached()) Complete(handle, status);
    });
  }

  static absl::Status Refusal(const rd_kafka_message_t& message) {
    return Refused(ToStatus(message.err, "append"), {static_cast<const char*>(message.key), message.key_len},
                   {static_cast<const char*>(message.payload), message.len});
  }

  void Complete(Handle* handle, const absl::StatusOr<std::int64_t>& result) {
    if (result.ok()) {
      appended_.Increment();
    } else if (!absl::IsAborted(result.status())) {
      failed_.Increment();
      telemetry::LogError("kafka.append_refused", {{"error", Message(result.status())}});
    }
    const OnAppended on_appended = std::exchange(handle->on_appended, nullptr);
    handle->is_out = false;
    if (handle->lane != nullptr) in_flight_.Remove(handle->lane->in_flight, handle->bytes);
    spare_.push_back(handle);
    if (on_appended) on_appended(result);
  }

  void Drain() {
    if (!reports_->TakeReady()) return;
    int left = kEventsPerTurn;
    while (left-- > 0) {
      const EventPtr event = reports_->Poll();
      if (event == nullptr) break;
      if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_DR) {
        const auto now = SteadyClock::now();
        while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event.get())) {
          Report(*message, now);
        }
      } else if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_ERROR) {
        if (NoteIfFatal()) continue;
        if (IsConnectionTrouble(rd_kafka_event_error(event.get()))) continue;
        telemetry::LogWarn("kafka.producer_error", {{"error", rd_kafka_event_error_string(event.get())}});
      }
    }
    if (left < 0) {
      reports_->SetReady();
      waker_->Wake();
    }
    if (!stuck_.empty()) {
      for (Lane* lane : std::exchange(stuck_, {})) Send(*lane);
    }
    // By difference: a process with two producers has one gauge.
    in_flight_gauge_.Increment(static_cast<double>(in_flight_.records()) -
                               static_cast<double>(shown_in_flight_));
    shown_in_flight_ = in_flight_.records();
    if (in_flight_.records() == 0) {
      for (const auto& flush : flushes_) {
        if (const auto timer = flush.lock()) timer->cancel();
      }
    }
  }

  void Report(const rd_kafka_message_t& message, SteadyClock::time_point now) {
    auto* handle = static_cast<Handle*>(message._private);
    Lane& lane = *handle->lane;
    --in_librdkafka_;
    if (--lane.reports_due == 0 && !lane.waiting.empty()) Schedule(lane);
    if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      has_appended_ = true;
      latency_.Observe(std::chrono::duration<double>(now - handle->since).count());
      Complete(handle, message.offset);
    } else {
      // Not an answer: its outcome is unknown.
      if (NoteIfFatal()) return;
      Complete(handle, Refusal(message));
    }
  }

  asio::io_context& io_;
  const Options options_;
  const std::string prefix_;
  rd_kafka_t* client_ = nullptr;
  std::shared_ptr<Waker> waker_;
  std::unique_ptr<Source> reports_;
  /// Purged records are answered whatever becomes of the client meanwhile.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unordered_map<std::string, Topic, Hash, std::equal_to<>> topics_;
  std::deque<Handle> handles_;
  std::vector<Handle*> spare_;
  std::vector<Lane*> due_, sending_, stuck_;
  std::vector<rd_kafka_message_t> request_;  // kept for its memory
  InFlight in_flight_;
  std::vector<Closing> closing_;
  std::size_t shown_in_flight_ = 0;  // in the gauge
  std::size_t in_librdkafka_ = 0;
  bool send_scheduled_ = false;
  std::function<void()> on_broken_;
  // The state of this client.
  bool is_broken_ = false;
  bool has_appended_ = false;
  std::vector<std::weak_ptr<asio::steady_timer>> flushes_;  // of calls that may have been cancelled
  SteadyClock::time_point window_start_ = SteadyClock::now();
  std::size_t recent_ = 0;
  double rate_ = 0;
  asio::steady_timer hold_;
  prometheus::Counter& appended_;
  prometheus::Counter& failed_;
  prometheus::Counter& broken_;
  prometheus::Histogram& latency_;
  prometheus::Gauge& in_flight_gauge_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Producer>> Producer::Create(asio::io_context& io, const Options& options,
                                                           telemetry::Metrics& metrics) {
  auto producer = std::make_unique<KafkaProducer>(io, options, metrics);
  ROOKERY_RETURN_IF_ERROR(producer->Open());
  return producer;
}

std::optional<ReturnedRecord> RefusedRecord(const absl::Status& status) {
  const absl::optional<absl::Cord> key = status.GetPayload(kRefusedKeyUrl);
  const absl::optional<absl::Cord> value = status.GetPayload(kRefusedValueUrl);
  if (!key.has_value() || !value.has_value()) return std::nullopt;
  return ReturnedRecord{std::string(*key), std::string(*value)};
}

}  // namespace rookery::kafka
