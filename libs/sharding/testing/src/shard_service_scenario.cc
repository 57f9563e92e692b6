#include "rookery/testing/shard_service_scenario.h"

#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "rookery/disco/v1/disco_service.grpc.pb.h"
#include "rookery/events/partition.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/kafka/producer.h"
#include "rookery/testing/child_process.h"
#include "rookery/testing/kafka_server.h"
#include "rookery/testing/redis_server.h"

namespace rookery::testing {

namespace {

constexpr std::uint32_t kShards = 4;
constexpr char kPrefix[] = "test.";

bool Within(std::chrono::seconds time, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

/// One HTTP request; status and body, or nothing when nobody listens.
std::optional<std::pair<int, std::string>> Get(const std::string& address, const std::string& path) {
  namespace asio = boost::asio;
  try {
    asio::io_context io;
    asio::ip::tcp::socket socket(io);
    const std::size_t colon = address.rfind(':');
    const auto port = static_cast<unsigned short>(std::stoi(address.substr(colon + 1)));
    socket.connect({asio::ip::make_address(address.substr(0, colon)), port});
    asio::write(socket, asio::buffer("GET " + path + " HTTP/1.1\r\nHost: " + address +
                                     "\r\nConnection: close\r\n\r\n"));
    std::string answer;
    boost::system::error_code ended;
    asio::read(socket, asio::dynamic_buffer(answer), ended);
    const std::size_t space = answer.find(' ');
    const std::size_t body = answer.find("\r\n\r\n");
    if (space == std::string::npos || body == std::string::npos) return std::nullopt;
    return std::pair(std::stoi(answer.substr(space + 1)), answer.substr(body + 4));
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

class Process {
 public:
  Process(const ShardService& service, int number, const KafkaServer& kafka, const RedisServer& redis)
      : service_(service),
        instance_(service.name + "-" + std::to_string(number)),
        directory_("rookery-" + instance_ + "-") {
    std::ofstream(directory_.path() + "/config.yaml")
        << "instance: " << instance_ << "\nkafka: {brokers: [\"" << kafka.address()
        << "\"], topic-prefix: " << kPrefix << ", partitions: " << kShards << "}\nredis: {addresses: [\""
        << redis.address() << "\"]}\n"
        << service.configuration;
    process_ = std::make_unique<ChildProcess>(
        std::vector<std::string>{service.binary, "--config", directory_.path() + "/config.yaml"},
        directory_.path() + "/log");
  }

  const std::string& instance() const { return instance_; }
  ChildProcess& process() { return *process_; }
  std::string Log() const {
    std::ifstream file(directory_.path() + "/log");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// Learns its addresses from its log, and waits until it is ready.
  bool AwaitReady() {
    admin_ = AddressOf("admin.listening");
    rpc_ = AddressOf("rpc.listening");
    return !admin_.empty() && !rpc_.empty() &&
           Within(std::chrono::seconds(30), [&] { return Status("/readyz") == 200; });
  }
  int Status(const std::string& path) const {
    const auto answer = Get(admin_, path);
    return answer ? answer->first : 0;
  }
  /// The sum over the labels; -1 when there is no such metric.
  double Metric(const std::string& name) const {
    std::string full = "rookery_" + service_.name + "_" + name;
    std::replace(full.begin(), full.end(), '-', '_');
    const auto answer = Get(admin_, "/metrics");
    std::istringstream lines(answer ? answer->second : "");
    double sum = -1;
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with(full + " ") && !line.starts_with(full + "{")) continue;
      sum = std::max(sum, 0.0) + std::stod(line.substr(line.rfind(' ') + 1));
    }
    return sum;
  }

  grpc::Status Info(const std::string& jid, const std::string& node,
                    disco::v1::GetDiscoInfoResponse* response) const {
    grpc::ClientContext context;
    SetDeadline(context);
    disco::v1::GetDiscoInfoRequest request;
    request.set_jid(jid);
    request.set_node(node);
    return Stub()->GetDiscoInfo(&context, request, response);
  }
  grpc::Status Items(const std::string& jid, disco::v1::ListDiscoItemsResponse* response) const {
    grpc::ClientContext context;
    SetDeadline(context);
    disco::v1::ListDiscoItemsRequest request;
    request.set_jid(jid);
    return Stub()->ListDiscoItems(&context, request, response);
  }

  /// Whether grpc.health.v1 says so: field 1 of the answer is 1.
  bool IsServing() const {
    grpc::GenericStub stub(grpc::CreateChannel(rpc_, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    SetDeadline(context);
    grpc::CompletionQueue queue;
    const grpc::Slice nothing;
    const grpc::ByteBuffer request(&nothing, 1);
    const auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
    call->StartCall();
    grpc::ByteBuffer response;
    grpc::Status status;
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    std::vector<grpc::Slice> slices;
    if (!status.ok() || !response.Dump(&slices).ok()) return false;
    std::string bytes;
    for (const grpc::Slice& slice : slices) bytes.append(slice.begin(), slice.end());
    return bytes == "\x08\x01";
  }

 private:
  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  }
  std::unique_ptr<disco::v1::DiscoService::Stub> Stub() const {
    return disco::v1::DiscoService::NewStub(grpc::CreateChannel(rpc_, grpc::InsecureChannelCredentials()));
  }
  std::string AddressOf(const std::string& event) {
    const std::string field = "\"address\":\"";
    std::string address;
    Within(std::chrono::seconds(30), [&] {
      const std::string log = Log();
      const std::size_t line = log.find("\"event\":\"" + event + "\"");
      const std::size_t begin = line == std::string::npos ? line : log.find(field, line);
      const std::size_t end = begin == std::string::npos ? begin : log.find('"', begin + field.size());
      if (end != std::string::npos) address = log.substr(begin + field.size(), end - begin - field.size());
      return !address.empty();
    });
    return address;
  }

  const ShardService& service_;
  std::string instance_;
  TemporaryDirectory directory_;
  std::string admin_, rpc_;
  std::unique_ptr<ChildProcess> process_;
};

/// shard -> instance, as published in Redis.
std::map<std::uint32_t, std::string> Owners(const RedisServer& redis, const std::string& service) {
  std::istringstream lines(redis.Cli({"HGETALL", "rookery:shards:" + service}));
  std::map<std::uint32_t, std::string> owners;
  std::string shard, owner;
  while (std::getline(lines, shard) && std::getline(lines, owner)) {
    std::istringstream words(owner);
    std::string epoch, instance;
    words >> epoch >> instance;
    if (!shard.empty()) owners[static_cast<std::uint32_t>(std::stoul(shard))] = instance;
  }
  return owners;
}

/// How many shards each of the instances has; empty unless every shard has an owner.
std::map<std::string, int> Shares(const RedisServer& redis, const std::string& service) {
  std::map<std::string, int> shares;
  const auto owners = Owners(redis, service);
  if (owners.size() != kShards) return shares;
  for (const auto& [shard, instance] : owners) ++shares[instance];
  return shares;
}

/// A record for each shard, from a client's session that has said nothing before. How many records the
/// log of all shards has had then.
std::int64_t AppendToEach(const KafkaServer& kafka, const std::string& topic) {
  static std::uint64_t sessions = 0;
  // The same bytes are a RoomRecord with an origin and, read as a MessageEvent, one with an owner.
  events::v1::RoomRecord record;
  record.mutable_origin()->mutable_client()->set_session_id(std::to_string(++sessions));
  record.mutable_origin()->mutable_client()->set_count(1);
  const std::string value = record.SerializeAsString();
  boost::asio::io_context io;
  telemetry::Metrics metrics("test");
  kafka::Options options;
  options.brokers = {kafka.address()};
  options.topic_prefix = kPrefix;
  auto producer = kafka::Producer::Create(io, options, metrics);
  EXPECT_TRUE(producer.ok()) << producer.status();
  if (!producer.ok()) return 0;
  std::uint32_t appended = 0;
  std::int64_t records = 0;
  for (std::uint32_t shard = 0; shard < kShards; ++shard) {
    (*producer)->Append(topic, static_cast<std::int32_t>(shard), "key", value,
                        [&](const absl::StatusOr<std::int64_t>& offset) {
                          appended += offset.ok() ? 1 : 0;
                          records += offset.ok() ? *offset + 1 : 0;
                        });
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (appended < kShards && std::chrono::steady_clock::now() < end) {
    io.restart();
    io.run_one_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(appended, kShards);
  return records;
}

/// The owner of the component's shard answers for it, and nobody else.
void ExpectDiscoOfTheOwnerOnly(const ShardService& service, const Process& owner, const Process& other) {
  disco::v1::GetDiscoInfoResponse info;
  const grpc::Status status = owner.Info(service.component, "", &info);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(info.identities_size(), 1);
  EXPECT_EQ(info.identities(0).category(), service.category);
  EXPECT_EQ(info.identities(0).type(), service.type);
  ASSERT_EQ(info.features_size(), 1);
  EXPECT_EQ(info.features(0), "http://jabber.org/protocol/disco#info");
  disco::v1::ListDiscoItemsResponse items;
  EXPECT_TRUE(owner.Items(service.component, &items).ok());
  EXPECT_EQ(items.items_size(), 0);
  EXPECT_EQ(owner.Info(service.component, "node", &info).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(owner.Info("", "", &info).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(other.Info(service.component, "", &info).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_GE(owner.Metric("calls_total"), 4);
}

}  // namespace

void RunShardServiceScenario(const ShardService& service) {
  using std::chrono::seconds;
  const KafkaServer kafka;
  const RedisServer redis;
  std::map<std::string, std::unique_ptr<Process>> processes;
  for (const int number : {1, 2}) {
    auto process = std::make_unique<Process>(service, number, kafka, redis);
    const std::string instance = process->instance();
    processes[instance] = std::move(process);
  }
  for (const auto& [instance, process] : processes) ASSERT_TRUE(process->AwaitReady()) << process->Log();

  // Two share the shards, and say which.
  const std::map<std::string, int> halves{{service.name + "-1", 2}, {service.name + "-2", 2}};
  ASSERT_TRUE(Within(seconds(30), [&] { return Shares(redis, service.name) == halves; }))
      << redis.Cli({"HGETALL", "rookery:shards:" + service.name});
  for (const auto& [instance, process] : processes) {
    EXPECT_EQ(process->Status("/healthz"), 200);
    EXPECT_EQ(process->Status("/readyz"), 200);
    EXPECT_TRUE(process->IsServing());
    EXPECT_EQ(process->Metric("shards_live"), 2);
    EXPECT_NE(
        redis.Cli({"ZRANGE", "rookery:instances:" + service.name, "0", "-1"}).find(instance + " 127.0.0.1:"),
        std::string::npos);
  }
  // Each record is committed by one of them, fences too: more than one for a shard where the first was
  // there before the group had heard of the second.
  const std::int64_t records = AppendToEach(kafka, service.topic);
  const auto total = [&processes](const std::string& metric) {
    double sum = 0;
    for (const auto& [instance, process] : processes) sum += process->Metric(metric);
    return sum;
  };
  EXPECT_TRUE(
      Within(seconds(20), [&] { return total("records_committed_total") == static_cast<double>(records); }))
      << total("records_committed_total") << " of " << records;
  for (const auto& [instance, process] : processes)
    EXPECT_EQ(process->Metric("records_applied_total"), 2) << instance;

  // Any of the two where there is no component: both have as much.
  const std::uint32_t shard = service.component.empty() ? 0 : events::PartitionOf(service.component, kShards);
  Process& owner = *processes.at(Owners(redis, service.name).at(shard));
  Process& other =
      *processes.at(owner.instance() == service.name + "-1" ? service.name + "-2" : service.name + "-1");
  if (!service.component.empty()) ExpectDiscoOfTheOwnerOnly(service, owner, other);

  redis.Cli({"FLUSHALL"});
  EXPECT_TRUE(Within(seconds(10), [&] { return Shares(redis, service.name) == halves; }));

  // The owner stands still: the other has everything after the group's time-out (6 s). When it
  // wakes up it does nothing in the name of what it had, and is given its share again.
  const std::map<std::string, int> all{{other.instance(), 4}};
  owner.process().Signal(SIGSTOP);
  AppendToEach(kafka, service.topic);
  ASSERT_TRUE(Within(seconds(40), [&] { return Shares(redis, service.name) == all; })) << other.Log();
  EXPECT_TRUE(Within(seconds(20), [&] { return other.Metric("records_applied_total") == 6; }));
  owner.process().Signal(SIGCONT);
  ASSERT_TRUE(Within(seconds(40), [&] { return Shares(redis, service.name) == halves; })) << owner.Log();
  EXPECT_TRUE(Within(seconds(20), [&] { return owner.Status("/readyz") == 200; }));
  EXPECT_EQ(owner.Metric("records_applied_total"), 2);

  // Another joins and leaves again: each record is applied by one of them.
  {
    Process third(service, 3, kafka, redis);
    ASSERT_TRUE(third.AwaitReady()) << third.Log();
    ASSERT_TRUE(Within(seconds(40), [&] { return Shares(redis, service.name).size() == 3; }));
    const double before = owner.Metric("records_applied_total") + other.Metric("records_applied_total") +
                          third.Metric("records_applied_total");
    AppendToEach(kafka, service.topic);
    EXPECT_TRUE(Within(seconds(20), [&] {
      return owner.Metric("records_applied_total") + other.Metric("records_applied_total") +
                 third.Metric("records_applied_total") ==
             before + kShards;
    }));
    third.process().Signal(SIGTERM);
    EXPECT_EQ(third.process().Wait(), 0) << third.Log();
  }
  ASSERT_TRUE(Within(seconds(40), [&] { return Shares(redis, service.name) == halves; }));

  // The owner is killed.
  const double applied = other.Metric("records_applied_total");
  owner.process().Signal(SIGKILL);
  owner.process().Wait();
  AppendToEach(kafka, service.topic);
  ASSERT_TRUE(Within(seconds(40), [&] { return Shares(redis, service.name) == all; })) << other.Log();
  EXPECT_TRUE(Within(seconds(20), [&] { return other.Metric("shards_live") == 4; }));
  if (!service.component.empty()) {
    disco::v1::GetDiscoInfoResponse info;
    const grpc::Status status = other.Info(service.component, "", &info);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  // One in each shard, and of the dead one's shards what was appended since its commit.
  EXPECT_TRUE(
      Within(seconds(20), [&] { return other.Metric("records_applied_total") >= applied + kShards; }));
  EXPECT_EQ(other.Status("/readyz"), 200);

  other.process().Signal(SIGTERM);
  EXPECT_EQ(other.process().Wait(), 0) << other.Log();
  const std::string log = other.Log();
  for (std::uint32_t released = 0; released < kShards; ++released)
    EXPECT_NE(log.find("\"event\":\"shard.handed_over\",\"shard\":" + std::to_string(released)),
              std::string::npos)
        << log;
  EXPECT_NE(log.find("\"event\":\"app.stopped\""), std::string::npos);
  EXPECT_NE(
      redis.Cli({"ZRANGE", "rookery:instances:" + service.name, "0", "-1"}).find("-" + other.instance()),
      std::string::npos);
}

void RunFrozenOwnerScenario(const ShardService& service) {
  using std::chrono::seconds;
  const KafkaServer kafka;
  const RedisServer redis;
  Process frozen(service, 1, kafka, redis);
  Process other(service, 2, kafka, redis);
  for (Process* process : {&frozen, &other}) ASSERT_TRUE(process->AwaitReady()) << process->Log();
  const std::map<std::string, int> halves{{frozen.instance(), 2}, {other.instance(), 2}};
  const std::map<std::string, int> all{{other.instance(), 4}};
  ASSERT_TRUE(Within(seconds(30), [&] { return Shares(redis, service.name) == halves; }));
  const auto applied = [](const Process& process) { return process.Metric("records_applied_total"); };
  const double at_first = applied(frozen);
  const double others = applied(other);

  // Records that are appended at once are due before the frozen owner has lost its shards, those that come
  // later lie behind the fences of the next one. Either is the next one's to apply.
  frozen.process().Signal(SIGSTOP);
  AppendToEach(kafka, service.topic);
  ASSERT_TRUE(Within(seconds(40), [&] { return Shares(redis, service.name) == all; })) << other.Log();
  AppendToEach(kafka, service.topic);
  EXPECT_TRUE(Within(seconds(20), [&] { return applied(other) == others + 2 * kShards; })) << other.Log();
  frozen.process().Signal(SIGCONT);
  ASSERT_TRUE(Within(seconds(40), [&] { return Shares(redis, service.name) == halves; })) << frozen.Log();
  EXPECT_EQ(applied(frozen), at_first) << frozen.Log();

  AppendToEach(kafka, service.topic);
  EXPECT_TRUE(Within(seconds(20), [&] {
    return applied(frozen) == at_first + 2 && applied(other) == others + 2 * kShards + 2;
  })) << frozen.Log();
  for (Process* process : {&frozen, &other}) {
    process->process().Signal(SIGTERM);
    EXPECT_EQ(process->process().Wait(), 0) << process->Log();
  }
}

}  // namespace rookery::testing
