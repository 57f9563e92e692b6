// The topics are those that protos/README.md tells other people of.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "rookery/events/kafka_log.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/events/v1/presence_event.pb.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/events/v1/user_record.pb.h"

namespace rookery::contract {
namespace {

using events::KafkaLog;
using events::Topic;
using testing::ElementsAre;

struct Appended {
  std::string topic;
  std::int32_t partition;
  std::string key;
  std::string value;
  bool operator==(const Appended&) const = default;
};

class FakeProducer final : public kafka::Producer {
 public:
  explicit FakeProducer(std::vector<Appended>& records) : records_(records) {}
  void Append(std::string_view topic, std::int32_t partition, std::string_view key, std::string_view value,
              OnAppended) override {
    records_.push_back({std::string(topic), partition, std::string(key), std::string(value)});
  }
  const kafka::InFlight& in_flight() const override { return in_flight_; }
  void Purge() override {}
  void OnBroken(std::function<void()>) override {}
  Task<absl::Status> Flush(std::chrono::milliseconds) override { co_return absl::OkStatus(); }

 private:
  std::vector<Appended>& records_;
  kafka::InFlight in_flight_;
};

/// topic -> record, of the table in protos/README.md.
std::map<std::string, std::string> Documented() {
  std::ifstream file(ROOKERY_SOURCE_DIR "/protos/README.md");
  std::map<std::string, std::string> topics;
  bool is_inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| topic |")) is_inside = true;
    if (line.empty()) is_inside = false;
    if (!is_inside || !line.starts_with("| `")) continue;
    const std::string topic = line.substr(3, line.find('`', 3) - 3);
    const std::size_t key_end = line.find('|', line.find('|', 1) + 1);
    const std::size_t record_end = line.find('|', key_end + 1);
    const std::string record = line.substr(key_end + 1, record_end - key_end - 1);
    const std::size_t tick = record.find('`');
    topics[topic] =
        tick == std::string::npos ? "" : record.substr(tick + 1, record.find('`', tick + 1) - tick - 1);
  }
  return topics;
}

TEST(Topics, HoldWhatIsDocumented) {
  std::vector<Appended> records;
  KafkaLog log(std::make_unique<FakeProducer>(records), std::make_unique<FakeProducer>(records),
               events::Topology({8, 6, 4, 2}));

  events::v1::UserRecord user;
  user.set_trace_id(1);
  events::v1::MessageEvent message;
  message.set_owner("o");
  events::v1::PresenceEvent presence;
  presence.set_jid("j");
  log.Append(Topic::kUsers, 3, "ann@localhost", user, {});
  events::v1::RoomRecord room;
  room.set_trace_id(2);
  log.Append(Topic::kMessages, 2, "bob@localhost", message, [](const auto&) {});
  log.Append(Topic::kPresence, 1, "", presence, {});
  log.Append(Topic::kRooms, 5, "hall@conference.localhost", room, {});
  // The value is the record itself, without any frame of ours.
  EXPECT_THAT(records,
              ElementsAre(Appended{"users", 3, "ann@localhost", user.SerializeAsString()},
                          Appended{"messages", 2, "bob@localhost", message.SerializeAsString()},
                          Appended{"presence", 1, "", presence.SerializeAsString()},
                          Appended{"rooms", 5, "hall@conference.localhost", room.SerializeAsString()}));

  std::map<std::string, std::string> documented = Documented();
  EXPECT_EQ(documented["users"], user.GetDescriptor()->name());
  EXPECT_EQ(documented["messages"], message.GetDescriptor()->name());
  EXPECT_EQ(documented["presence"], presence.GetDescriptor()->name());
  EXPECT_EQ(documented["rooms"], room.GetDescriptor()->name());
  EXPECT_EQ(documented.size(), 4u);
}

TEST(Topics, TheirPrefixIsTheDocumentedOne) {
  std::ifstream file(ROOKERY_SOURCE_DIR "/protos/README.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(text,
              testing::HasSubstr("`kafka.topic-prefix` (default `" + kafka::Options().topic_prefix + "`)"));
}

}  // namespace
}  // namespace rookery::contract
