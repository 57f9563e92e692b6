// The real binary, with a real PostgreSQL and a real Redis, called through gRPC.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

#include "rookery/roster/v1/roster_service.grpc.pb.h"
#include "rookery/testing/postgres_server.h"
#include "rookery/testing/redis_server.h"

namespace rookery::roster {
namespace {

class ServiceTest : public ::testing::Test {
 protected:
  ServiceTest() : directory_("rookery-roster-") {
    std::ofstream(directory_.path() + "/config.yaml")
        << "instance: roster-1\nrpc: {address: \"127.0.0.1:0\"}\nredis: {addresses: [\"" << redis_.address()
        << "\"]}\npg: {connection: \"" << postgres_.connection() << "\"}\n";
    process_ = std::make_unique<testing::ChildProcess>(
        std::vector<std::string>{ROOKERY_ROSTER_BINARY, "--config", directory_.path() + "/config.yaml"},
        Log());
    const std::string address = Find("\"event\":\"rpc.listening\"", "\"address\":\"");
    stub_ = v1::RosterService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  }

  std::string Log() const { return directory_.path() + "/log"; }
  std::string ReadLog() const {
    std::ifstream file(Log());
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// Waits for the log line with `event`; gives what stands after `field` in it.
  std::string Find(const std::string& event, const std::string& field) {
    for (int i = 0; i < 1'000; ++i) {
      const std::string log = ReadLog();
      const std::size_t line = log.find(event);
      const std::size_t begin = line == std::string::npos ? line : log.find(field, line);
      const std::size_t end = begin == std::string::npos ? begin : log.find('"', begin + field.size());
      if (end != std::string::npos) return log.substr(begin + field.size(), end - begin - field.size());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ADD_FAILURE() << ReadLog();
    return "";
  }

  grpc::Status Set(const std::string& user, const std::string& jid) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    v1::SetRosterItemRequest request;
    request.set_user(user);
    request.set_jid(jid);
    v1::SetRosterItemResponse response;
    return stub_->SetRosterItem(&context, request, &response);
  }

  testing::TemporaryDirectory directory_;
  testing::PostgresServer postgres_;
  testing::RedisServer redis_;
  std::unique_ptr<testing::ChildProcess> process_;
  std::unique_ptr<v1::RosterService::Stub> stub_;
};

TEST_F(ServiceTest, ServesIsFoundSurvivesTheDatabaseAndDrains) {
  ASSERT_TRUE(Set("juliet@example.org", "romeo@example.org").ok());
  EXPECT_EQ(Set("", "romeo@example.org").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Set("juliet@example.org", "").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto announced = [this] { return redis_.Cli({"ZRANGE", "rookery:instances:roster", "0", "-1"}); };
  for (int i = 0; i < 200 && announced().find("roster-1 127.0.0.1:") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_NE(announced().find("roster-1 127.0.0.1:"), std::string::npos);

  postgres_.Stop();
  EXPECT_EQ(Set("juliet@example.org", "tybalt@example.org").error_code(), grpc::StatusCode::UNAVAILABLE);
  postgres_.Start();
  bool is_back = false;
  for (int i = 0; i < 500 && !is_back; ++i) {
    is_back = Set("juliet@example.org", "tybalt@example.org").ok();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(is_back);

  process_->Signal(SIGTERM);
  EXPECT_EQ(process_->Wait(), 0) << ReadLog();
  EXPECT_EQ(announced(), "-roster-1\n");
}

}  // namespace
}  // namespace rookery::roster
