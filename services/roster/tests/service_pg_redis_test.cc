// The real binary, with a real PostgreSQL and a real Redis, called through gRPC.
#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <optional>
#include <random>

#include "rookery/roster/v1/roster_service.grpc.pb.h"
#include "rookery/testing/postgres_server.h"
#include "rookery/testing/redis_server.h"

namespace rookery::roster {
namespace {

/// The output of a process, read line by line as it comes. Made before the process.
class Output {
 public:
  explicit Output(std::string path) : path_(std::move(path)) {
    EXPECT_EQ(mkfifo(path_.c_str(), 0600), 0);
    // Does not wait for the writer.
    fd_ = open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    EXPECT_GE(fd_, 0);
  }
  ~Output() { close(fd_); }
  const std::string& path() const { return path_; }

  /// The next line with all these words. Fails when the process ends before it, or after a minute.
  std::string Await(const std::vector<std::string>& words) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (std::optional<std::string> line = NextLine(limit)) {
      bool has_all = true;
      for (const std::string& word : words) has_all = has_all && line->find(word) != std::string::npos;
      if (has_all) return *line;
      seen_ += *line + "\n";
    }
    std::string wanted;
    for (const std::string& word : words) wanted += " " + word;
    ADD_FAILURE() << "never came:" << wanted << "\n" << seen_;
    return {};
  }

 private:
  std::optional<std::string> NextLine(std::chrono::steady_clock::time_point limit) {
    for (;;) {
      if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return line;
      }
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(limit - std::chrono::steady_clock::now());
      pollfd waited{fd_, POLLIN, 0};
      if (left.count() <= 0 || poll(&waited, 1, static_cast<int>(left.count())) <= 0) return std::nullopt;
      char chunk[4096];
      const ssize_t count = read(fd_, chunk, sizeof(chunk));
      if (count <= 0) return std::nullopt;
      buffer_.append(chunk, static_cast<std::size_t>(count));
    }
  }

  std::string path_;
  int fd_ = -1;
  std::string buffer_, seen_;
};

std::string FieldOf(const std::string& line, const std::string& name) {
  const std::string field = "\"" + name + "\":\"";
  const std::size_t begin = line.find(field);
  if (begin == std::string::npos) return {};
  return line.substr(begin + field.size(), line.find('"', begin + field.size()) - begin - field.size());
}

class ServiceTest : public ::testing::Test {
 protected:
  ServiceTest()
      : directory_("rookery-roster-"),
        // Redis tells who listens when a key is written.
        redis_({"--notify-keyspace-events", "Kz"}),
        announcements_(directory_.path() + "/announcements"),
        log_(directory_.path() + "/log"),
        listener_({"redis-cli", "-p", std::to_string(redis_.port()), "subscribe",
                   "__keyspace@0__:rookery:instances:roster"},
                  announcements_.path()) {
    announcements_.Await({"subscribe"});
    std::ofstream(directory_.path() + "/config.yaml")
        << "instance: roster-1\nlog: {level: debug}\nrpc: {address: \"127.0.0.1:0\"}\nredis: {addresses: [\""
        << redis_.address() << "\"]}\npg: {connection: \"" << postgres_.connection() << "\"}\n";
    process_.emplace(
        std::vector<std::string>{ROOKERY_ROSTER_BINARY, "--config", directory_.path() + "/config.yaml"},
        log_.path());
    const std::string address = FieldOf(log_.Await({"\"rpc.listening\""}), "address");
    stub_ = v1::RosterService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  }

  grpc::Status Set(const std::string& user, const std::string& jid, const std::string& request_id = {},
                   std::uint64_t* version = nullptr) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    context.AddMetadata("rookery-trace-id", "00000000deadbeef");
    v1::SetRosterItemRequest request;
    request.set_user(user);
    request.set_jid(jid);
    request.set_request_id(request_id);
    v1::SetRosterItemResponse response;
    const grpc::Status status = stub_->SetRosterItem(&context, request, &response);
    if (version != nullptr) *version = response.push().version();
    return status;
  }

  testing::TemporaryDirectory directory_;
  testing::PostgresServer postgres_;
  testing::RedisServer redis_;
  Output announcements_;
  Output log_;
  testing::ChildProcess listener_;
  std::optional<testing::ChildProcess> process_;
  std::unique_ptr<v1::RosterService::Stub> stub_;
};

TEST_F(ServiceTest, ServesIsFoundSurvivesTheDatabaseAndDrains) {
  announcements_.Await({"zadd"});
  const auto announced = [this] { return redis_.Cli({"ZRANGE", "rookery:instances:roster", "0", "-1"}); };
  EXPECT_NE(announced().find("roster-1 127.0.0.1:"), std::string::npos) << announced();

  ASSERT_TRUE(Set("juliet@example.org", "romeo@example.org").ok());
  const std::string logged = log_.Await({"\"call.answered\""});
  EXPECT_EQ(FieldOf(logged, "trace_id"), "00000000deadbeef") << logged;
  EXPECT_EQ(FieldOf(logged, "call"), "SetRosterItemRequest") << logged;
  EXPECT_EQ(logged.find("juliet"), std::string::npos) << logged;

  const auto invalid = grpc::StatusCode::INVALID_ARGUMENT;
  EXPECT_EQ(Set("", "romeo@example.org").error_code(), invalid);
  EXPECT_EQ(Set("juliet@example.org", "").error_code(), invalid);
  EXPECT_EQ(Set("juliet@example.org", std::string(4'000, 'x')).error_code(), invalid);
  // The longest that is taken is stored, whatever it is; the index compresses repetitions.
  std::mt19937 random(1);
  std::string longest(2'600 - std::string("juliet@example.org").size(), 'x');
  for (char& c : longest) c = static_cast<char>('0' + random() % 64);
  EXPECT_TRUE(Set("juliet@example.org", longest).ok());
  EXPECT_EQ(Set("juliet@example.org", longest + "x").error_code(), invalid);
  EXPECT_EQ(Set(std::string(4'000, 'x'), "romeo@example.org").error_code(), invalid);
  EXPECT_EQ(Set("juliet@example.org", "romeo@example.org", std::string(129, 'x')).error_code(), invalid);

  std::uint64_t first = 0, again = 0;
  ASSERT_TRUE(Set("juliet@example.org", "paris@example.org", "0123/4", &first).ok());

  v1::SetVcardRequest set;
  set.set_user("juliet@example.org");
  set.set_vcard("<vCard/>");
  v1::SetVcardResponse was_set;
  v1::GetVcardRequest get;
  get.set_user("juliet@example.org");
  v1::GetVcardResponse vcard;
  {
    grpc::ClientContext setting, getting;
    ASSERT_TRUE(stub_->SetVcard(&setting, set, &was_set).ok());
    ASSERT_TRUE(stub_->GetVcard(&getting, get, &vcard).ok());
  }
  EXPECT_EQ(vcard.vcard(), "<vCard/>");

  postgres_.Stop();
  EXPECT_EQ(Set("juliet@example.org", "tybalt@example.org").error_code(), grpc::StatusCode::UNAVAILABLE);
  postgres_.Start();
  // Each connection of the pool says so.
  for (int i = 0; i < 2; ++i) log_.Await({"\"pg.connected\""});
  EXPECT_TRUE(Set("juliet@example.org", "tybalt@example.org").ok());
  // The same request as before the outage.
  ASSERT_TRUE(Set("juliet@example.org", "paris@example.org", "0123/4", &again).ok());
  EXPECT_EQ(again, first);

  process_->Signal(SIGTERM);
  EXPECT_EQ(process_->Wait(), 0);
  announcements_.Await({"zrem"});
  EXPECT_EQ(announced(), "-roster-1\n");
}

}  // namespace
}  // namespace rookery::roster
