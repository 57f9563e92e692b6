#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "client.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::kafka {
namespace {

using Clock = std::chrono::steady_clock;

struct ClientDeleter {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
};
using ClientPtr = std::unique_ptr<rd_kafka_t, ClientDeleter>;

int MillisUntil(Clock::time_point deadline, int most) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 1, most));
}

/// Asks for every topic; one that exists is left as it is.
absl::Status CreateMissing(rd_kafka_t* client, const Options& options, const std::vector<TopicSpec>& topics,
                           Clock::time_point deadline) {
  std::vector<rd_kafka_NewTopic_t*> wanted;
  absl::Status status;
  char text[256];
  for (const TopicSpec& topic : topics) {
    rd_kafka_NewTopic_t* item =
        rd_kafka_NewTopic_new((options.topic_prefix + topic.name).c_str(), topic.partitions,
                              static_cast<int>(options.replication_factor), text, sizeof text);
    if (item == nullptr) {
      status = absl::InvalidArgumentError("kafka: topic " + topic.name + ": " + text);
      break;
    }
    wanted.push_back(item);
    for (const auto& [name, value] : topic.config) {
      rd_kafka_NewTopic_set_config(item, name.c_str(), value.c_str());
    }
  }
  if (status.ok() && !wanted.empty()) {
    const QueuePtr queue(rd_kafka_queue_new(client));
    rd_kafka_AdminOptions_t* admin = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    const int patience = MillisUntil(deadline, 5'000);
    rd_kafka_AdminOptions_set_request_timeout(admin, patience, text, sizeof text);
    rd_kafka_AdminOptions_set_operation_timeout(admin, patience, text, sizeof text);
    rd_kafka_CreateTopics(client, wanted.data(), wanted.size(), admin, queue.get());
    rd_kafka_AdminOptions_destroy(admin);
    const EventPtr event(rd_kafka_queue_poll(queue.get(), patience + 1'000));
    if (event == nullptr) {
      status = absl::UnavailableError("kafka: no answer");
    } else if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      status = absl::UnavailableError(std::string("kafka: ") + rd_kafka_event_error_string(event.get()));
    } else {
      std::size_t count = 0;
      const rd_kafka_topic_result_t** results =
          rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
      for (std::size_t i = 0; i < count && status.ok(); ++i) {
        const rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
        if (error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
        status = ToStatus(error, std::string("creating ") + rd_kafka_topic_result_name(results[i]));
        if (const char* why = rd_kafka_topic_result_error_string(results[i]);
            why != nullptr && !status.ok()) {
          status = absl::Status(status.code(), std::string(status.message()) + ": " + why);
        }
      }
    }
  }
  rd_kafka_NewTopic_destroy_array(wanted.data(), wanted.size());
  return status;
}

/// How many partitions the topic has. UNAVAILABLE: one of them has no leader yet.
absl::StatusOr<int> CountPartitions(rd_kafka_t* client, const std::string& name, int timeout_ms) {
  const TopicPtr topic(rd_kafka_topic_new(client, name.c_str(), nullptr));
  const rd_kafka_metadata_t* metadata = nullptr;
  const rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, topic.get(), &metadata, timeout_ms);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return ToStatus(error, name);
  absl::StatusOr<int> result = absl::UnavailableError("kafka: " + name + " is not known yet");
  if (metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR &&
      metadata->topics[0].partition_cnt > 0) {
    const rd_kafka_metadata_topic& found = metadata->topics[0];
    result = found.partition_cnt;
    for (int i = 0; i < found.partition_cnt; ++i) {
      if (found.partitions[i].leader < 0)
        result = absl::UnavailableError("kafka: " + name + " has no leader yet");
    }
  }
  rd_kafka_metadata_destroy(metadata);
  return result;
}

// The bytes of a batch around its one record.
constexpr std::int64_t kBatchOverhead = 1'024;

/// Warns of a topic that was made otherwise, and has another value than was asked for.
void WarnOfDifference(const std::vector<TopicSpec>& topics, const Options& options, std::string_view topic,
                      std::string_view name, std::string_view value) {
  for (const TopicSpec& spec : topics) {
    if (options.topic_prefix + spec.name != topic) continue;
    for (const auto& [wanted_name, wanted] : spec.config)
      if (wanted_name == name && wanted != value)
        telemetry::LogWarn("kafka.topic_differs",
                           {{"topic", topic}, {"setting", name}, {"is", value}, {"wanted", wanted}});
  }
}

/// Every record that may be appended must be one that the topic takes: a refused record is a lost
/// stanza. Where the brokers do not tell, they are believed to.
absl::Status CheckSettings(rd_kafka_t* client, const Options& options, const std::vector<TopicSpec>& topics,
                           int timeout_ms) {
  std::vector<rd_kafka_ConfigResource_t*> asked;
  for (const TopicSpec& topic : topics) {
    asked.push_back(
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, (options.topic_prefix + topic.name).c_str()));
  }
  const QueuePtr queue(rd_kafka_queue_new(client));
  rd_kafka_DescribeConfigs(client, asked.data(), asked.size(), nullptr, queue.get());
  const EventPtr event(rd_kafka_queue_poll(queue.get(), timeout_ms));
  rd_kafka_ConfigResource_destroy_array(asked.data(), asked.size());
  const rd_kafka_DescribeConfigs_result_t* answer =
      event == nullptr ? nullptr : rd_kafka_event_DescribeConfigs_result(event.get());
  if (answer == nullptr || rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    telemetry::LogWarn("kafka.settings_unknown", {});
    return absl::OkStatus();
  }
  std::size_t count = 0;
  const rd_kafka_ConfigResource_t** results = rd_kafka_DescribeConfigs_result_resources(answer, &count);
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t entries = 0;
    const rd_kafka_ConfigEntry_t** configs = rd_kafka_ConfigResource_configs(results[i], &entries);
    for (std::size_t j = 0; j < entries; ++j) {
      const char* name = rd_kafka_ConfigEntry_name(configs[j]);
      const char* value = rd_kafka_ConfigEntry_value(configs[j]);
      if (value == nullptr) continue;
      WarnOfDifference(topics, options, rd_kafka_ConfigResource_name(results[i]), name, value);
      if (std::string_view(name) != "max.message.bytes") continue;
      if (std::atoll(value) >= options.max_record_bytes + kBatchOverhead) continue;
      return absl::FailedPreconditionError(
          std::string("kafka: the topic ") + rd_kafka_ConfigResource_name(results[i]) + " takes at most " +
          value + " bytes (max.message.bytes), which `kafka.max-record-bytes` (" +
          std::to_string(options.max_record_bytes) + ") does not fit into: raise the one or lower the other");
    }
  }
  return absl::OkStatus();
}

bool MayPass(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable || status.code() == absl::StatusCode::kNotFound;
}

}  // namespace

absl::StatusOr<std::vector<int>> EnsureTopics(const Options& options, const std::vector<TopicSpec>& topics,
                                              std::chrono::milliseconds timeout) {
  const Clock::time_point deadline = Clock::now() + timeout;
  ROOKERY_ASSIGN_OR_RETURN(ConfPtr conf, MakeConf(options, {}));
  rd_kafka_conf_set_events(conf.get(), RD_KAFKA_EVENT_ERROR);
  ROOKERY_ASSIGN_OR_RETURN(rd_kafka_t * raw, NewClient(RD_KAFKA_PRODUCER, std::move(conf)));
  const ClientPtr client(raw);

  std::vector<int> counts;
  bool created = false;
  for (;;) {
    absl::Status status;
    if (!created) {
      status = CreateMissing(client.get(), options, topics, deadline);
      created = status.ok();
    }
    while (status.ok() && counts.size() < topics.size()) {
      const absl::StatusOr<int> count = CountPartitions(
          client.get(), options.topic_prefix + topics[counts.size()].name, MillisUntil(deadline, 2'000));
      status = count.status();
      if (count.ok()) counts.push_back(*count);
    }
    if (status.ok()) {
      ROOKERY_RETURN_IF_ERROR(CheckSettings(client.get(), options, topics, MillisUntil(deadline, 5'000)));
      return counts;
    }
    if (!MayPass(status)) return status;
    if (Clock::now() >= deadline) return absl::UnavailableError(status.message());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace rookery::kafka
