#include "client.h"

#include <cstdlib>

#include "rookery/telemetry/log.h"

namespace rookery::kafka {
namespace {

// Any of librdkafka's threads.
void OnLog(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  telemetry::Level out = telemetry::Level::kDebug;
  if (level <= 2) {
    out = telemetry::Level::kError;
  } else if (level <= 4) {
    // A broker that is away is librdkafka's "error"; it goes on by itself.
    out = telemetry::Level::kWarn;
  } else if (level <= 6) {
    out = telemetry::Level::kInfo;
  }
  telemetry::Log(out, "kafka.client",
                 {{"client", rd_kafka_name(client)}, {"facility", facility}, {"text", text}});
}

absl::Status Set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  char text[256];
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), text, sizeof text) == RD_KAFKA_CONF_OK) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("kafka.properties: " + name + ": " + text);
}

void AddSecurity(const Options& options, std::vector<std::pair<std::string, std::string>>& properties) {
  if (options.user.empty() && !options.tls) return;
  properties.emplace_back("security.protocol", options.user.empty() ? "ssl"
                                               : options.tls        ? "sasl_ssl"
                                                                    : "sasl_plaintext");
  if (!options.ca_file.empty()) properties.emplace_back("ssl.ca.location", options.ca_file);
  if (options.user.empty()) return;
  properties.emplace_back("sasl.mechanism", options.sasl_mechanism);
  properties.emplace_back("sasl.username", options.user);
  properties.emplace_back("sasl.password", options.password);
}

}  // namespace

ListPtr NewList(const std::string& topic, std::int32_t partition, std::int64_t offset) {
  ListPtr list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
  return list;
}

absl::StatusOr<ConfPtr> MakeConf(const Options& options,
                                 const std::vector<std::pair<const char*, std::string>>& settings) {
  ConfPtr conf(rd_kafka_conf_new());
  rd_kafka_conf_set_log_cb(conf.get(), OnLog);
  std::string brokers;
  for (const std::string& broker : options.brokers) {
    if (!brokers.empty()) brokers += ',';
    brokers += broker;
  }
  std::vector<std::pair<std::string, std::string>> all = {
      {"bootstrap.servers", brokers},
      {"client.id", options.client_id.empty() ? "rookery" : options.client_id},
      // A record waits for nothing: neither for Nagle nor, after a broker's restart,
      // for ten seconds of back-off (both librdkafka's defaults).
      {"socket.nagle.disable", "true"},
      {"reconnect.backoff.ms", "50"},
      {"reconnect.backoff.max.ms", "500"},
      {"socket.connection.setup.timeout.ms", "5000"},
      {"log.connection.close", "false"},
      {"log_level", "5"},
  };
  AddSecurity(options, all);
  for (const auto& [name, value] : settings) all.emplace_back(name, value);
  for (const std::string& property : options.properties) {
    const std::size_t equals = property.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError("kafka.properties: not name=value: " + property);
    }
    all.emplace_back(property.substr(0, equals), property.substr(equals + 1));
  }
  for (const auto& [name, value] : all) {
    if (absl::Status status = Set(conf.get(), name, value); !status.ok()) return status;
  }
  return conf;
}

absl::StatusOr<rd_kafka_t*> NewClient(rd_kafka_type_t type, ConfPtr conf) {
  char text[256];
  rd_kafka_t* client = rd_kafka_new(type, conf.get(), text, sizeof text);
  if (client == nullptr) return absl::InvalidArgumentError(std::string("kafka: ") + text);
  static_cast<void>(conf.release());  // rd_kafka_new has taken it
  return client;
}

absl::Status ToStatus(rd_kafka_resp_err_t error, std::string_view what) {
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return absl::OkStatus();
  const std::string text = "kafka: " + std::string(what) + ": " + rd_kafka_err2str(error);
  switch (error) {
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_MEMBER_ID_REQUIRED:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
      return absl::FailedPreconditionError(text);
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
      return absl::AbortedError(text);
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
      return absl::InvalidArgumentError(text);
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return absl::NotFoundError(text);
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return absl::PermissionDeniedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

bool IsConnectionTrouble(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__RESOLVE ||
         error == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

std::optional<FatalError> FindFatalError(rd_kafka_t* client) {
  char text[512];
  const rd_kafka_resp_err_t error = rd_kafka_fatal_error(client, text, sizeof text);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
  return FatalError{rd_kafka_err2name(error), text};
}

void DieIfFatal(rd_kafka_t* client) {
  const std::optional<FatalError> fatal = FindFatalError(client);
  if (!fatal) return;
  telemetry::LogError("kafka.fatal",
                      {{"client", rd_kafka_name(client)},
                       {"error", fatal->name},
                       {"text", fatal->text},
                       {"consequence", "the process ends; the order of records cannot be kept"}});
  telemetry::FlushLog();
  std::abort();
}

void DieOf(const std::exception& failure) {
  telemetry::LogError("kafka.handler_failed",
                      {{"error", failure.what()}, {"consequence", "the process ends"}});
  telemetry::FlushLog();
  std::abort();
}

Source::Source(QueuePtr queue, std::shared_ptr<Waker> waker)
    : queue_(std::move(queue)), waker_(std::move(waker)) {
  rd_kafka_queue_cb_event_enable(queue_.get(), &Source::OnEvent, this);
  // For what came before the callback was set.
  OnEvent(nullptr, this);
}

// The callback must be off before the queue dies; librdkafka takes the queue's lock for both.
Source::~Source() { rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr); }

void Source::OnEvent(rd_kafka_t*, void* opaque) {
  auto* source = static_cast<Source*>(opaque);
  source->SetReady();
  source->waker_->Wake();
}

}  // namespace rookery::kafka
