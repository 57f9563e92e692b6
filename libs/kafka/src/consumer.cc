#include "rookery/kafka/consumer.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <set>
#include <thread>
#include <unordered_set>

#include "client.h"
#include "join_watch.h"
#include "rookery/base/random.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::kafka {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Work per turn of the loop, and of one partition before the next has its turn.
constexpr int kRecordsPerTurn = 512;
constexpr int kRecordsPerPartition = 128;
constexpr std::chrono::seconds kReleaseTime{5};
// From handing partitions back to the end of the rebalance that follows: until the others have
// noticed, at most a session's time-out.
constexpr std::chrono::seconds kRejoinTime{6};
// The end of a consumer waits so long for the end of a rebalance.
constexpr std::chrono::seconds kSettleTime{2};
constexpr std::chrono::milliseconds kPollTime{10};
constexpr std::chrono::milliseconds kRetryTime{50};
// A commit waits so long for certainty that no rebalance has begun.
constexpr std::chrono::milliseconds kLongestDoubt{150};
// librdkafka's blocking questions are asked in slices, so that the end of the
// consumer need not wait for a broker that is away.
constexpr int kSliceMs = 1'000;
constexpr std::chrono::milliseconds kQuestionTime{5'000};

/// A partition that is ours. It has a queue of its own: pausing it is not to poll it, and
/// librdkafka's own rebalance machinery never sees that. librdkafka learns of it at the
/// first seek only: whatever it is told earlier (the end, say) it looks up, and in 2.0.2
/// the late answer overrides the seek.
struct Partition {
  std::unique_ptr<Source> source;
  enum class Phase { kAssigned, kSeeking, kReading } phase = Phase::kAssigned;
  bool fetching = false;  // librdkafka was told to read it
  bool paused = false;
  bool revoking = false;
  bool released = false;
  // The next record to give. librdkafka 2.0.2 rewinds a partition on some rebalances.
  std::int64_t next = 0;
  std::uint64_t seek_id = 0;
};

class KafkaConsumer final : public Consumer {
 public:
  KafkaConsumer(asio::io_context& io, const Options& options, const std::string& topic,
                const std::string& group, ConsumerHandler& handler, telemetry::Metrics& metrics)
      : io_(io),
        topic_(options.topic_prefix + topic),
        member_(!group.empty()),
        group_(options.topic_prefix + (member_ ? group : "reader-" + RandomToken(9))),
        handler_(handler),
        tick_(io),
        release_timer_(io),
        consumed_(
            metrics.Counter("kafka_consumed_records_total", "Records read from the log", {{"topic", topic}})),
        rebalances_(metrics.Counter("kafka_rebalances_total",
                                    "Changes of the partitions that this process owns", {{"topic", topic}})),
        lost_(metrics.Counter("kafka_lost_partitions_total", "Partitions taken without being handed over",
                              {{"topic", topic}})),
        lag_(metrics.Gauge("kafka_lag_records", "Records in the log after the last one read",
                           {{"topic", topic}})) {}

  absl::Status Open(const Options& options, telemetry::Metrics& metrics) {
    ROOKERY_ASSIGN_OR_RETURN(ConfPtr conf,
                             MakeConf(options, {{"group.id", group_},
                                                {"partition.assignment.strategy", "cooperative-sticky"},
                                                // The least a broker takes by default: a killed owner's
                                                // partitions rest that long.
                                                {"session.timeout.ms", "6000"},
                                                {"heartbeat.interval.ms", "500"},
                                                {"max.poll.interval.ms", "8000"},
                                                {"enable.auto.commit", "false"},
                                                {"enable.auto.offset.store", "false"},
                                                {"auto.offset.reset", "error"},
                                                // A partition that we begin to read waits for the fetch
                                                // under way, hence for this at most.
                                                {"fetch.wait.max.ms", "100"},
                                                {"fetch.min.bytes", "1"},
                                                // For each partition. Beyond it librdkafka 2.0.2 sleeps for
                                                // up to a second, so it is more than a catch-up needs.
                                                {"queued.min.messages", "50000"},
                                                {"queued.max.messages.kbytes", "16384"}}));
    rd_kafka_conf_set_events(conf.get(),
                             RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR);
    ROOKERY_RETURN_IF_ERROR(
        joins_.AddTo(conf.get(), [this](std::chrono::milliseconds time) { WakeLibrdkafkaAfter(time); }));
    ROOKERY_ASSIGN_OR_RETURN(client_, NewClient(RD_KAFKA_CONSUMER, std::move(conf)));
    rd_kafka_poll_set_consumer(client_);
    waker_ = std::make_shared<Waker>(io_, [this] { Drain(); });
    control_ = std::make_unique<Source>(QueuePtr(rd_kafka_queue_get_consumer(client_)), waker_);
    commits_ = std::make_unique<Source>(QueuePtr(rd_kafka_queue_new(client_)), waker_);
    metrics.OnScrape([waker = waker_, this] {
      if (waker->attached()) lag_.Set(static_cast<double>(Lag()));
    });
    Tick();
    if (!member_) {
      AssignAll();
      return absl::OkStatus();
    }
    const ListPtr list = NewList(topic_, RD_KAFKA_PARTITION_UA, RD_KAFKA_OFFSET_INVALID);
    return ToStatus(rd_kafka_subscribe(client_, list.get()), "subscribe");
  }

  ~KafkaConsumer() override {
    if (client_ == nullptr) return;
    stopping_.store(true);
    waker_->Detach();
    seeks_.join();
    questions_.join();
    slow_questions_.join();
    for (CommitWait* wait : waits_) {
      wait->done.Set(absl::CancelledError("kafka: the consumer is gone"));
      delete wait;
    }
    if (closing_ == nullptr) AnswerWhatIsOpen();
    partitions_.clear();
    closing_.reset();
    commits_.reset();
    control_.reset();
    rd_kafka_destroy_flags(client_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }

  void Seek(std::int32_t partition, std::int64_t offset) override {
    Partition* found = Find(partition);
    if (found == nullptr || found->revoking || closing_ != nullptr) return;
    found->phase = Partition::Phase::kSeeking;
    found->next = offset;
    found->seek_id = ++last_seek_id_;
    StartSeek(partition, *found);
  }

  void Pause(std::int32_t partition) override {
    if (Partition* found = Find(partition)) found->paused = true;
  }

  void Resume(std::int32_t partition) override {
    Partition* found = Find(partition);
    if (found == nullptr) return;
    found->paused = false;
    Look(*found);
  }

  Task<absl::StatusOr<std::int64_t>> Committed(std::int32_t partition) override {
    if (!member_) co_return absl::FailedPreconditionError("kafka: a reader without a group commits nothing");
    auto ask = [this, partition](int timeout_ms) -> absl::StatusOr<std::int64_t> {
      const ListPtr list = NewList(topic_, partition, RD_KAFKA_OFFSET_INVALID);
      rd_kafka_resp_err_t error = rd_kafka_committed(client_, list.get(), timeout_ms);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) error = list->elems[0].err;
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return ToStatus(error, "committed offset");
      return list->elems[0].offset < 0 ? -1 : list->elems[0].offset;
    };
    absl::StatusOr<std::int64_t> offset = co_await Ask<std::int64_t>(partition, std::move(ask));
    co_return offset;
  }

  Task<absl::StatusOr<std::int64_t>> OffsetForTime(std::int32_t partition,
                                                   std::int64_t unix_millis) override {
    auto ask = [this, partition, unix_millis](int timeout_ms) -> absl::StatusOr<std::int64_t> {
      const ListPtr list = NewList(topic_, partition, unix_millis);
      rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(client_, list.get(), timeout_ms);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) error = list->elems[0].err;
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return ToStatus(error, "offset for time");
      if (list->elems[0].offset >= 0) return list->elems[0].offset;
      ROOKERY_ASSIGN_OR_RETURN(const auto marks, QueryWatermarks(partition, timeout_ms));
      return marks.second;
    };
    return Ask<std::int64_t>(partition, std::move(ask));
  }

  Task<absl::StatusOr<std::pair<std::int64_t, std::int64_t>>> Watermarks(std::int32_t partition) override {
    auto ask = [this, partition](int timeout_ms) { return QueryWatermarks(partition, timeout_ms); };
    return Ask<std::pair<std::int64_t, std::int64_t>>(partition, std::move(ask));
  }

  Task<absl::Status> Commit(std::vector<Position> positions) override {
    if (positions.empty()) co_return absl::OkStatus();
    ROOKERY_CO_RETURN_IF_ERROR(CheckOurs(positions));
    const std::shared_ptr<Waker> waker = waker_;
    const std::uint64_t assignment = assignment_;
    // librdkafka sends no JoinGroup before it has our answer to a revocation.
    for (auto doubt = joins_.in_doubt(); doubt.count() > 0 && !revocation_; doubt = joins_.in_doubt()) {
      if (doubt > kLongestDoubt) co_return absl::AbortedError("kafka: a rebalance may run");
      co_await runtime::Sleep(doubt);
      if (!waker->attached()) co_return absl::CancelledError("kafka: the consumer is gone");
      if (IsLost()) co_return absl::FailedPreconditionError("kafka: not a member");
      // A partition of ours may have been another's in between, and be further now.
      if (assignment != assignment_) co_return absl::AbortedError("kafka: a rebalance has run");
    }
    if (IsRebalancing()) co_return absl::AbortedError("kafka: a rebalance runs");
    const ListPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(positions.size())));
    for (const Position& position : positions) {
      rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(), position.partition)->offset =
          position.offset;
    }
    auto* wait = new CommitWait{runtime::Promise<absl::Status>(io_.get_executor())};
    const rd_kafka_resp_err_t error =
        rd_kafka_commit_queue(client_, list.get(), commits_->queue(), nullptr, wait);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      delete wait;
      co_return ToStatus(error, "commit");
    }
    waits_.insert(wait);
    runtime::Promise<absl::Status> done = wait->done;
    absl::Status status = co_await done.Get();
    co_return status;
  }

  void ReleaseDone(std::int32_t partition) override {
    Partition* found = Find(partition);
    if (found == nullptr || !found->revoking) return;
    found->released = true;
    // Not here: we may be inside a call to the handler.
    asio::post(io_, [waker = waker_, this] {
      if (waker->attached()) FinishRevocation(false);
    });
  }

  Task<void> Close(std::chrono::milliseconds timeout) override {
    const std::shared_ptr<Waker> waker = waker_;
    const auto deadline = SteadyClock::now() + timeout;
    asio::steady_timer pause(io_);
    for (const auto settled = SteadyClock::now() + kSettleTime;
         IsRebalancing() && SteadyClock::now() < std::min(settled, deadline);) {
      pause.expires_after(kPollTime);
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
      if (!waker->attached()) co_return;
    }
    if (closing_ == nullptr) {
      closing_ = std::make_unique<Source>(QueuePtr(rd_kafka_queue_new(client_)), waker_);
      if (!member_) {
        partitions_.clear();
        rd_kafka_assign(client_, nullptr);
      }
      const ErrorPtr error(rd_kafka_consumer_close_queue(client_, closing_->queue()));
      if (error != nullptr) {
        telemetry::LogWarn("kafka.close", {{"error", rd_kafka_error_string(error.get())}});
      }
    }
    while (waker->attached() && rd_kafka_consumer_closed(client_) == 0) {
      if (SteadyClock::now() >= deadline) {
        FinishRevocation(true);
        telemetry::LogWarn("kafka.close_timed_out", {{"topic", topic_}});
        co_return;
      }
      // The last things that librdkafka does wake nobody.
      closing_->SetReady();
      waker_->Wake();
      pause.expires_after(kPollTime);
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }

 private:
  struct CommitWait {
    runtime::Promise<absl::Status> done;
  };

  Partition* Find(std::int32_t partition) {
    const auto found = partitions_.find(partition);
    return found == partitions_.end() ? nullptr : &found->second;
  }

  void Look(Partition& partition) {
    partition.source->SetReady();
    waker_->Wake();
  }

  // ---- questions that block, asked on threads of their own ----

  /// On a thread of librdkafka's.
  void WakeLibrdkafkaAfter(std::chrono::milliseconds time) {
    asio::post(io_, [this, waker = waker_, time] {
      if (waker->attached()) After(time, [this] { asio::post(seeks_, [this] { WakeLibrdkafka(); }); });
    });
  }

  /// Whatever is asked of its main thread does.
  void WakeLibrdkafka() {
    if (stopping_.load()) return;
    rd_kafka_topic_partition_list_t* list = nullptr;
    if (rd_kafka_subscription(client_, &list) == RD_KAFKA_RESP_ERR_NO_ERROR)
      rd_kafka_topic_partition_list_destroy(list);
  }

  /// Asks about one partition. One whose leader is away keeps a thread for as long as it is asked about, and
  /// the questions about all others would wait for it.
  template <typename T, typename Question>
  Task<absl::StatusOr<T>> Ask(std::int32_t partition, Question question) {
    const std::shared_ptr<Waker> waker = waker_;
    runtime::Promise<absl::StatusOr<T>> answer(io_.get_executor());
    const auto deadline = SteadyClock::now() + kQuestionTime;
    auto go_on = [this, answer, question, deadline]() mutable {
      for (;;) {
        // However many wait for their turn, the end does not wait for their answers.
        if (stopping_.load()) return answer.Set(absl::CancelledError("kafka: the consumer is gone"));
        absl::StatusOr<T> result = question(kSliceMs);
        const bool again = !result.ok() && result.status().code() == absl::StatusCode::kUnavailable;
        if (!again || SteadyClock::now() >= deadline) {
          answer.Set(std::move(result));
          return;
        }
      }
    };
    if (unanswered_.contains(partition)) {
      asio::post(slow_questions_, std::move(go_on));
    } else {
      asio::post(questions_, [this, answer, question, go_on = std::move(go_on)]() mutable {
        if (stopping_.load()) return answer.Set(absl::CancelledError("kafka: the consumer is gone"));
        absl::StatusOr<T> result = question(kSliceMs);
        if (!result.ok() && result.status().code() == absl::StatusCode::kUnavailable) {
          asio::post(slow_questions_, std::move(go_on));
        } else {
          answer.Set(std::move(result));
        }
      });
    }
    absl::StatusOr<T> result = co_await answer.Get();
    if (waker->attached()) {
      if (!result.ok() && result.status().code() == absl::StatusCode::kUnavailable) {
        unanswered_.insert(partition);
      } else {
        unanswered_.erase(partition);
      }
    }
    co_return result;
  }

  absl::StatusOr<std::pair<std::int64_t, std::int64_t>> QueryWatermarks(std::int32_t partition,
                                                                        int timeout_ms) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    const rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(client_, topic_.c_str(), partition, &low, &high, timeout_ms);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return ToStatus(error, "watermarks");
    return std::pair(low, high);
  }

  /// One at a time for each partition, or the last one done would not be the last one asked for.
  void StartSeek(std::int32_t partition, Partition& state) {
    if (seeks_out_.contains(partition)) return;  // its end begins this one
    if (!state.fetching) {
      const ListPtr list = NewList(topic_, partition, state.next);
      const ErrorPtr error(rd_kafka_incremental_assign(client_, list.get()));
      state.fetching = error == nullptr;
      SeekDone(partition, state.seek_id,
               error == nullptr ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error.get()));
      return;
    }
    // The form of librdkafka's seek that does not wait says nothing when it fails, and it
    // fails while the partition's fetcher is not started yet.
    seeks_out_.insert(partition);
    asio::post(seeks_, [this, waker = waker_, partition, offset = state.next, seek_id = state.seek_id] {
      const ListPtr list = NewList(topic_, partition, offset);
      const ErrorPtr error(rd_kafka_seek_partitions(client_, list.get(), kSliceMs));
      const rd_kafka_resp_err_t code =
          error != nullptr ? rd_kafka_error_code(error.get()) : list->elems[0].err;
      asio::post(io_, [this, waker, partition, seek_id, code] {
        if (!waker->attached()) return;
        seeks_out_.erase(partition);
        SeekDone(partition, seek_id, code);
      });
    });
  }

  void SeekDone(std::int32_t partition, std::uint64_t seek_id, rd_kafka_resp_err_t code) {
    Partition* found = Find(partition);
    if (found == nullptr || found->revoking) return;
    if (found->seek_id != seek_id) {
      // Another seek, or another assignment, has come since.
      if (found->phase == Partition::Phase::kSeeking) StartSeek(partition, *found);
      return;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      found->phase = Partition::Phase::kReading;
      Look(*found);
      return;
    }
    After(kRetryTime, [this, partition, seek_id] {
      Partition* again = Find(partition);
      if (again != nullptr && again->seek_id == seek_id && !again->revoking) StartSeek(partition, *again);
    });
  }

  // The log has no such offset: retention was faster than we, or an unclean election cut
  // the log's end. To stand still would stop the shard for ever.
  void MoveIntoLog(std::int32_t partition, Partition& state) {
    const std::int64_t wanted = state.next;
    const std::uint64_t seek_id = state.seek_id = ++last_seek_id_;
    state.phase = Partition::Phase::kSeeking;
    asio::post(seeks_, [this, waker = waker_, partition, wanted, seek_id] {
      const auto marks = QueryWatermarks(partition, kSliceMs);
      asio::post(io_, [this, waker, partition, wanted, seek_id, marks] {
        if (!waker->attached()) return;
        Partition* found = Find(partition);
        if (found == nullptr || found->seek_id != seek_id || found->revoking) return;
        if (!marks.ok()) {
          After(kRetryTime, [this, partition, seek_id] {
            Partition* again = Find(partition);
            if (again != nullptr && again->seek_id == seek_id) MoveIntoLog(partition, *again);
          });
          return;
        }
        const std::int64_t offset = std::clamp(wanted, marks->first, marks->second);
        telemetry::LogError("kafka.offset_not_in_log", {{"topic", topic_},
                                                        {"partition", partition},
                                                        {"wanted", wanted},
                                                        {"first", marks->first},
                                                        {"end", marks->second},
                                                        {"continues_at", offset}});
        // After this error librdkafka takes no seek: it must begin anew.
        const ListPtr list = NewList(topic_, partition, RD_KAFKA_OFFSET_INVALID);
        const ErrorPtr error(rd_kafka_incremental_unassign(client_, list.get()));
        found->fetching = false;
        Seek(partition, offset);
        handler_.OnOffsetMissing(partition, wanted, marks->first, marks->second);
      });
    });
  }

  template <typename Function>
  void After(std::chrono::milliseconds time, Function function) {
    auto timer = std::make_shared<asio::steady_timer>(io_, time);
    timer->async_wait(
        [timer, waker = waker_, function = std::move(function)](const boost::system::error_code&) {
          if (waker->attached()) function();
        });
  }

  // ---- events ----

  // librdkafka takes a member for alive only if its queues are polled. An idle topic
  // brings no events, so a timer polls; a frozen I/O thread has no timer and loses its
  // partitions.
  void Tick() {
    control_->SetReady();
    waker_->Wake();
    tick_.expires_after(std::chrono::seconds(1));
    tick_.async_wait([waker = waker_, this](const boost::system::error_code& error) {
      if (error || !waker->attached()) return;
      if (revocation_ != nullptr && IsLost()) LoseEverything();
      Tick();
    });
  }

  void Drain() {
    DrainControl(*control_);
    if (closing_ != nullptr) DrainControl(*closing_);
    DrainControl(*commits_);
    if (DrainRecords()) waker_->Wake();
  }

  void DrainControl(Source& source) {
    if (!source.TakeReady()) return;
    while (const EventPtr event = source.Poll()) {
      switch (rd_kafka_event_type(event.get())) {
        case RD_KAFKA_EVENT_REBALANCE:
          OnRebalance(event.get());
          break;
        case RD_KAFKA_EVENT_OFFSET_COMMIT:
          OnCommitted(event.get());
          break;
        case RD_KAFKA_EVENT_ERROR:
          OnError(event.get());
          break;
        default:
          break;
      }
    }
  }

  /// Gives what is there, each partition a share in turn. True: there is more.
  bool DrainRecords() {
    int left = kRecordsPerTurn;
    bool more = false;
    // Begin where the last turn's share ran out. Handlers do not change the map: a
    // partition leaves it only in events and timers.
    auto at = partitions_.lower_bound(turn_);
    for (std::size_t i = partitions_.size(); i > 0; --i, ++at) {
      if (at == partitions_.end()) at = partitions_.begin();
      Partition& partition = at->second;
      if (!Readable(partition)) continue;
      if (left == 0) {
        turn_ = at->first;
        return true;
      }
      if (!partition.source->TakeReady()) continue;
      int share = std::min(left, kRecordsPerPartition);
      while (share > 0 && Readable(partition)) {
        const EventPtr event = partition.source->Poll();
        if (event == nullptr) break;
        --share;
        --left;
        OnFetched(at->first, partition, event.get());
      }
      // Not polled until empty, so nothing will wake us for it.
      if (share == 0 || !Readable(partition)) {
        partition.source->SetReady();
        more |= Readable(partition);
      }
    }
    return more;
  }

  static bool Readable(const Partition& partition) {
    return partition.phase == Partition::Phase::kReading && !partition.paused && !partition.revoking;
  }

  void OnFetched(std::int32_t id, Partition& partition, rd_kafka_event_t* event) {
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
      return OnPartitionError(id, partition, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
    const rd_kafka_message_t* message = rd_kafka_event_message_next(event);
    if (message == nullptr) return;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return OnPartitionError(id, partition, message->err, rd_kafka_message_errstr(message));
    if (message->offset < partition.next) return;
    partition.next = message->offset + 1;
    consumed_.Increment();
    handler_.OnRecord(Record{
        .partition = id,
        .offset = message->offset,
        .timestamp_ms = rd_kafka_message_timestamp(message, nullptr),
        .key = std::string_view(static_cast<const char*>(message->key), message->key_len),
        .value = std::string_view(static_cast<const char*>(message->payload), message->len),
    });
  }

  void OnPartitionError(std::int32_t id, Partition& partition, rd_kafka_resp_err_t error, const char* text) {
    if (error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || error == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
      MoveIntoLog(id, partition);
      return;
    }
    telemetry::LogWarn("kafka.partition_error", {{"topic", topic_}, {"partition", id}, {"error", text}});
  }

  void OnError(rd_kafka_event_t* event) {
    DieIfFatal(client_);
    const rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    if (IsConnectionTrouble(error)) return;
    telemetry::LogWarn("kafka.consumer_error", {{"topic", topic_},
                                                {"error", rd_kafka_err2name(error)},
                                                {"text", rd_kafka_event_error_string(event)}});
  }

  void OnCommitted(rd_kafka_event_t* event) {
    auto* wait = static_cast<CommitWait*>(rd_kafka_event_opaque(event));
    if (waits_.erase(wait) == 0) return;
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    if (const rd_kafka_topic_partition_list_t* list = rd_kafka_event_topic_partition_list(event)) {
      for (int i = 0; i < list->cnt && error == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) error = list->elems[i].err;
    }
    wait->done.Set(ToStatus(error, "commit"));
    delete wait;
  }

  // ---- the group ----

  void NoteRebalance() {
    ++assignment_;
    rejoined_by_ = {};
    joins_.Joined();
  }

  void OnRebalance(rd_kafka_event_t* event) {
    rebalances_.Increment();
    NoteRebalance();
    const rd_kafka_topic_partition_list_t* list = rd_kafka_event_topic_partition_list(event);
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      for (int i = 0; i < list->cnt; ++i) group_gave_.insert(list->elems[i].partition);
      // The answer that the rebalance waits for; what to fetch comes with each seek.
      const ListPtr none(rd_kafka_topic_partition_list_new(0));
      const ErrorPtr error(rd_kafka_incremental_assign(client_, none.get()));
      if (error != nullptr) {
        DieIfFatal(client_);
        telemetry::LogError("kafka.assign",
                            {{"topic", topic_}, {"error", rd_kafka_error_string(error.get())}});
      }
      // A rebalance that was under way when we were thrown out ends with the rest of an
      // assignment that is void. What is ours comes after we have joined again.
      if (!IsLost()) GiveAssigned();
      return;
    }
    for (int i = 0; i < list->cnt; ++i) group_gave_.erase(list->elems[i].partition);
    revocation_.reset(rd_kafka_topic_partition_list_copy(list));
    if (IsLost()) {
      LoseEverything();
      return;
    }
    release_timer_.expires_after(kReleaseTime);
    release_timer_.async_wait([waker = waker_, this](const boost::system::error_code& error) {
      if (!error && waker->attached()) FinishRevocation(true);
    });
    for (int i = 0; i < list->cnt; ++i) {
      Partition* found = Find(list->elems[i].partition);
      if (found == nullptr) continue;
      found->revoking = true;
      handler_.OnRevoking(list->elems[i].partition);
    }
    FinishRevocation(false);
  }

  /// An assignment or a revocation is about to come.
  bool IsRebalancing() const { return joins_.is_joining() || SteadyClock::now() < rejoined_by_; }

  /// The broker takes a member's commit for any partition: whether it is ours is for us to know.
  absl::Status CheckOurs(const std::vector<Position>& positions) {
    if (!member_ || IsLost()) return absl::FailedPreconditionError("kafka: not a member");
    for (const Position& position : positions) {
      const Partition* found = Find(position.partition);
      if (found == nullptr || found->released) {
        return absl::FailedPreconditionError("kafka: partition " + std::to_string(position.partition) +
                                             " is not ours");
      }
    }
    return absl::OkStatus();
  }

  /// librdkafka 2.0.2 never ends if it is told to while it waits for the answer to an
  /// assignment.
  void AnswerWhatIsOpen() {
    const ListPtr none(rd_kafka_topic_partition_list_new(0));
    for (const auto settled = SteadyClock::now() + kSettleTime;;) {
      while (const EventPtr event = control_->Poll()) {
        if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_REBALANCE) NoteRebalance();
      }
      const ErrorPtr error(rd_kafka_incremental_assign(client_, none.get()));
      if (!IsRebalancing() || SteadyClock::now() >= settled) return;
      std::this_thread::sleep_for(kPollTime);
    }
  }

  // The group has thrown us out. librdkafka does not say so of an assignment that was being
  // changed just then, but it forgets its member id.
  bool IsLost() const {
    if (rd_kafka_assignment_lost(client_) != 0) return true;
    char* id = rd_kafka_memberid(client_);
    const bool known = id != nullptr && *id != '\0';
    if (id != nullptr) rd_kafka_mem_free(client_, id);
    return !known;
  }

  void GiveAssigned() {
    std::vector<std::int32_t> fresh;
    for (const std::int32_t id : group_gave_) {
      if (partitions_.contains(id)) continue;
      QueuePtr queue(rd_kafka_queue_get_partition(client_, topic_.c_str(), id));
      rd_kafka_queue_forward(queue.get(), nullptr);
      partitions_[id].source = std::make_unique<Source>(std::move(queue), waker_);
      fresh.push_back(id);
    }
    for (const std::int32_t id : fresh) handler_.OnAssigned(id);
  }

  /// The group has gone on without us. librdkafka may tell it of some partitions only (if a
  /// rebalance was under way), but nothing of what we had is ours.
  void LoseEverything() {
    if (revocation_ == nullptr) revocation_.reset(rd_kafka_topic_partition_list_new(0));
    for (auto& [id, partition] : partitions_) {
      partition.revoking = true;
      if (rd_kafka_topic_partition_list_find(revocation_.get(), topic_.c_str(), id) == nullptr) {
        rd_kafka_topic_partition_list_add(revocation_.get(), topic_.c_str(), id);
      }
    }
    FinishRevocation(true);
  }

  /// Hands the revoked partitions back once all of them are released. `now`: whatever
  /// their state, since they are somebody else's already or the time is over.
  void FinishRevocation(bool now) {
    if (revocation_ == nullptr) return;
    for (int i = 0; i < revocation_->cnt && !now; ++i) {
      const Partition* found = Find(revocation_->elems[i].partition);
      if (found != nullptr && !found->released) return;
    }
    release_timer_.cancel();
    const ListPtr list = std::move(revocation_);
    const ListPtr fetching(rd_kafka_topic_partition_list_new(list->cnt));
    std::vector<std::int32_t> lost;
    for (int i = 0; i < list->cnt; ++i) {
      const auto found = partitions_.find(list->elems[i].partition);
      if (found == partitions_.end()) continue;
      if (!found->second.released) lost.push_back(found->first);
      if (found->second.fetching)
        rd_kafka_topic_partition_list_add(fetching.get(), topic_.c_str(), found->first);
      partitions_.erase(found);
    }
    // The owner forgets before librdkafka lets the next one in.
    for (const std::int32_t partition : lost) {
      lost_.Increment();
      telemetry::LogWarn("kafka.partition_lost", {{"topic", topic_}, {"partition", partition}});
      handler_.OnLost(partition);
    }
    if (closing_ == nullptr) rejoined_by_ = SteadyClock::now() + kRejoinTime;
    const ErrorPtr error(rd_kafka_incremental_unassign(client_, fetching.get()));
    if (error != nullptr) {
      DieIfFatal(client_);
      telemetry::LogError("kafka.unassign",
                          {{"topic", topic_}, {"error", rd_kafka_error_string(error.get())}});
    }
  }

  // ---- a reader without a group ----

  void AssignAll() {
    asio::post(seeks_, [this, waker = waker_] {
      const TopicPtr topic(rd_kafka_topic_new(client_, topic_.c_str(), nullptr));
      const rd_kafka_metadata_t* metadata = nullptr;
      int count = 0;
      if (rd_kafka_metadata(client_, 0, topic.get(), &metadata, kSliceMs) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (metadata->topic_cnt == 1) count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
      }
      asio::post(io_, [this, waker, count] {
        if (!waker->attached() || closing_ != nullptr) return;
        if (count == 0) {
          After(kRetryTime, [this] { AssignAll(); });
          return;
        }
        for (int i = 0; i < count; ++i) group_gave_.insert(i);
        GiveAssigned();
      });
    });
  }

  std::int64_t Lag() {
    std::int64_t sum = 0;
    for (const auto& [id, partition] : partitions_) {
      std::int64_t low = 0;
      std::int64_t high = 0;
      if (partition.phase != Partition::Phase::kReading ||
          rd_kafka_get_watermark_offsets(client_, topic_.c_str(), id, &low, &high) !=
              RD_KAFKA_RESP_ERR_NO_ERROR) {
        continue;
      }
      sum += std::max<std::int64_t>(0, high - partition.next);
    }
    return sum;
  }

  asio::io_context& io_;
  const std::string topic_;
  const bool member_;
  const std::string group_;
  ConsumerHandler& handler_;
  rd_kafka_t* client_ = nullptr;
  std::shared_ptr<Waker> waker_;
  std::unique_ptr<Source> control_;
  std::unique_ptr<Source> commits_;
  std::unique_ptr<Source> closing_;
  std::map<std::int32_t, Partition> partitions_;
  // By librdkafka's events. What is here and not above was lost, and is given again if the
  // group leaves it to us when we have joined anew.
  std::set<std::int32_t> group_gave_;
  std::int32_t turn_ = 0;
  std::uint64_t last_seek_id_ = 0;
  /// Partitions of which librdkafka has a seek that it has not answered, ours still or not.
  std::set<std::int32_t> seeks_out_;
  ListPtr revocation_;
  /// Rises with every rebalance.
  std::uint64_t assignment_ = 0;
  JoinWatch joins_;
  // We have handed partitions back, and are about to join the group again.
  SteadyClock::time_point rejoined_by_{};
  std::unordered_set<CommitWait*> waits_;
  asio::steady_timer tick_;
  asio::steady_timer release_timer_;
  std::atomic<bool> stopping_{false};
  /// Partitions whose last question had no answer in time.
  std::set<std::int32_t> unanswered_;
  // Seeks must not wait behind a question to a coordinator that is away, nor questions behind those about
  // partitions without a leader.
  asio::thread_pool seeks_{2};
  asio::thread_pool questions_{2};
  asio::thread_pool slow_questions_{2};
  prometheus::Counter& consumed_;
  prometheus::Counter& rebalances_;
  prometheus::Counter& lost_;
  prometheus::Gauge& lag_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Consumer>> Consumer::Create(asio::io_context& io, const Options& options,
                                                           std::string topic, std::string group,
                                                           ConsumerHandler& handler,
                                                           telemetry::Metrics& metrics) {
  auto consumer = std::make_unique<KafkaConsumer>(io, options, topic, group, handler, metrics);
  ROOKERY_RETURN_IF_ERROR(consumer->Open(options, metrics));
  return consumer;
}

}  // namespace rookery::kafka
