#include "rookery/events/kafka_log.h"

#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "rookery/base/status.h"

namespace rookery::events {

namespace {

constexpr std::chrono::milliseconds kTopicTimeout{30'000};
/// Nobody waits for the events but the cursor.
constexpr const char* kEventLinger = "linger.ms=25";
/// How old a record is decides what may be forgotten: that is not left to the clock of whoever writes.
const std::pair<std::string, std::string> kOneClock{"message.timestamp.type", "LogAppendTime"};
/// A record that one broker alone has taken goes with that broker's disk, and its sender has been told that
/// it is safe. With three copies, two can be asked for with one broker away.
constexpr std::int64_t kCopiesThatAllowLoss = 3;
const std::pair<std::string, std::string> kTakenTwice{"min.insync.replicas", "2"};

}  // namespace

std::vector<kafka::TopicSpec> TopicsToMake(const kafka::Options& options, int partitions) {
  std::vector<std::pair<std::string, std::string>> config{kOneClock};
  if (options.replication_factor >= kCopiesThatAllowLoss) config.push_back(kTakenTwice);
  std::vector<kafka::TopicSpec> topics;
  for (const Topic topic : {Topic::kUsers, Topic::kRooms, Topic::kMessages, Topic::kPresence})
    topics.push_back({std::string(Name(topic)), partitions, config});
  return topics;
}

std::optional<ReturnedRecord> RefusedRecord(const absl::Status& status) {
  std::optional<kafka::ReturnedRecord> refused = kafka::RefusedRecord(status);
  if (!refused) return std::nullopt;
  return ReturnedRecord{std::move(refused->key), std::move(refused->value)};
}

Task<absl::StatusOr<std::unique_ptr<KafkaLog>>> KafkaLog::Open(asio::io_context& io,
                                                               asio::thread_pool& blocking,
                                                               kafka::Options options, int partitions,
                                                               telemetry::Metrics& metrics) {
  const std::vector<kafka::TopicSpec> topics = TopicsToMake(options, partitions);
  runtime::Promise<absl::StatusOr<std::vector<int>>> ensured(io.get_executor());
  asio::post(blocking, [ensured, options, topics]() mutable {
    ensured.Set(kafka::EnsureTopics(options, topics, kTopicTimeout));
  });
  const absl::StatusOr<std::vector<int>> counts = co_await ensured.Get();
  ROOKERY_CO_RETURN_IF_ERROR(counts.status());
  std::array<std::uint32_t, kTopics> by_topic{};
  for (std::size_t i = 0; i < kTopics; ++i) by_topic[i] = static_cast<std::uint32_t>((*counts)[i]);

  ROOKERY_CO_ASSIGN_OR_RETURN(auto addressed, kafka::Producer::Create(io, options, metrics));
  options.client_id += "-events";
  options.properties.insert(options.properties.begin(), kEventLinger);
  ROOKERY_CO_ASSIGN_OR_RETURN(auto events, kafka::Producer::Create(io, options, metrics));
  co_return std::make_unique<KafkaLog>(std::move(addressed), std::move(events), Topology(by_topic));
}

KafkaLog::KafkaLog(std::unique_ptr<kafka::Producer> addressed, std::unique_ptr<kafka::Producer> events,
                   Topology topology)
    : addressed_(std::move(addressed)), events_(std::move(events)), topology_(topology) {}

void KafkaLog::Append(Topic topic, std::uint32_t partition, std::string_view key,
                      const google::protobuf::MessageLite& record, OnAppended on_appended) {
  buffer_.clear();
  record.AppendToString(&buffer_);
  const bool is_addressed = topic == Topic::kUsers || topic == Topic::kRooms;
  (is_addressed ? *addressed_ : *events_)
      .Append(Name(topic), static_cast<std::int32_t>(partition), key, buffer_, std::move(on_appended));
}

bool KafkaLog::is_congested() const {
  return addressed_->in_flight().is_congested() || events_->in_flight().is_congested();
}

void KafkaLog::DropInFlight() {
  addressed_->Purge();
  events_->Purge();
}

void KafkaLog::OnBroken(const std::function<void()>& on_broken) {
  addressed_->OnBroken(on_broken);
  events_->OnBroken(on_broken);
}

Task<absl::Status> KafkaLog::Flush(std::chrono::milliseconds timeout) {
  absl::Status status = co_await addressed_->Flush(timeout);
  absl::Status events = co_await events_->Flush(timeout);
  co_return status.ok() ? events : status;
}

}  // namespace rookery::events
