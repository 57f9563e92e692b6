#include <librdkafka/rdkafka.h>

#include <memory>

#include "rookery/base/loopback.h"
#include "rookery/config/files.h"
#include "rookery/kafka/producer.h"

namespace rookery::kafka {
namespace {

constexpr char kProperties[] = "kafka.properties";

/// `name=value`; the name is empty where there is no `=`.
std::pair<std::string, std::string> Split(const std::string& property) {
  const std::size_t equals = property.find('=');
  if (equals == std::string::npos) return {};
  return {property.substr(0, equals), property.substr(equals + 1)};
}

}  // namespace

void Options::Bind(config::Schema& schema) {
  schema.Bind("kafka.brokers", &brokers, "host:port of some brokers; the others are found through them");
  schema.Bind("kafka.topic-prefix", &topic_prefix,
              "put before every topic and group name, so that clusters can share a broker");
  schema.Bind("kafka.replication-factor", &replication_factor,
              "copies of each topic that is created; from 3 on, 2 must have a record before it counts", 1,
              100);
  schema.Bind("kafka.max-record-bytes", &max_record_bytes,
              "largest record; a topic's `max.message.bytes` must leave room for it", 100'000, 100'000'000);
  schema.Bind("kafka.user", &user, "Kafka: user of SASL; empty: none");
  schema.BindSecret("kafka.password", &password, "Kafka: password");
  schema.BindChoice("kafka.sasl-mechanism", &sasl_mechanism, {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"},
                    "how the password is shown; SCRAM to Kafka 4 takes librdkafka 2.6.1");
  schema.Bind("kafka.tls", &tls, "speak to the brokers with TLS, and check their names");
  schema.Bind("kafka.ca-file", &ca_file,
              "PEM file of the authorities that sign the brokers' certificates; empty: the system's");
  schema.Bind("kafka.properties", &properties,
              "further librdkafka properties, each name=value (tuning, client certificates)");
}

void Options::Validate(config::Problems& problems) const {
  if (brokers.empty()) problems.Add("kafka.brokers", "must name at least one broker");
  if (!user.empty() && sasl_mechanism == "PLAIN" && !tls) {
    for (const std::string& broker : brokers)
      if (!IsLoopback(broker))
        problems.Add("kafka.tls",
                     "is needed: PLAIN would show the password to the network that " + broker + " is in");
  }
  if (!user.empty() && password.empty()) problems.Add("kafka.password", "is needed with `kafka.user`");
  if (!ca_file.empty() && !tls) problems.Add("kafka.ca-file", "is of no use without `kafka.tls`");
  const auto destroy = [](rd_kafka_conf_t* conf) { rd_kafka_conf_destroy(conf); };
  const std::unique_ptr<rd_kafka_conf_t, decltype(destroy)> conf(rd_kafka_conf_new(), destroy);
  for (const std::string& property : properties) {
    const auto [name, value] = Split(property);
    char why[256] = "it is not name=value";
    if (!name.empty() &&
        rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), why, sizeof why) == RD_KAFKA_CONF_OK) {
      continue;
    }
    // The name alone: the value may be a secret.
    problems.Add(kProperties,
                 "has a wrong property `" + (name.empty() ? property.substr(0, 40) : name) + "`: " + why);
  }
}

void Options::CheckFiles(config::Problems& problems) const {
  if (!ca_file.empty()) {
    const absl::Status certificates = config::CheckCertificates(ca_file);
    if (!certificates.ok())
      problems.Add("kafka.ca-file", "cannot be used: " + std::string(certificates.message()));
  }
  for (const std::string& property : properties) {
    const auto [name, value] = Split(property);
    // Certificates, keys, key stores; `probe` looks for the system's authorities.
    if (!name.ends_with(".location") || value == "probe") continue;
    const absl::Status readable = config::CheckReadable(value);
    if (!readable.ok())
      problems.Add(kProperties, "names a file in `" + name + "`: " + std::string(readable.message()));
  }
}

}  // namespace rookery::kafka
