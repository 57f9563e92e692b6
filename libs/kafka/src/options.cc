#include "rookery/kafka/producer.h"

namespace rookery::kafka {

void Options::Bind(config::Schema& schema) {
  schema.Bind("kafka.brokers", &brokers, "host:port of some brokers; the others are found through them");
  schema.Bind("kafka.topic-prefix", &topic_prefix,
              "put before every topic and group name, so that clusters can share a broker");
  schema.Bind("kafka.replication-factor", &replication_factor, "copies of each topic that is created", 1,
              100);
  schema.Bind("kafka.max-record-bytes", &max_record_bytes,
              "largest record; a topic's `max.message.bytes` must leave room for it", 100'000, 100'000'000);
  schema.Bind("kafka.properties", &properties,
              "further librdkafka properties, each name=value (security, tuning)");
}

}  // namespace rookery::kafka
