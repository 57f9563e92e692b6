#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "rookery/redis/client.h"
#include "rookery/testing/redis_server.h"
#include "rookery/testing/run_task.h"

namespace rookery::redis {
namespace {

using testing::RedisServer;
using testing::RunTask;
using testing::RunUntil;

class ClientTest : public ::testing::Test {
 protected:
  std::unique_ptr<Client> Connect(Options options) {
    auto client = Client::Create(io_, std::move(options), metrics_);
    EXPECT_TRUE(RunUntil(io_, [&] { return client->is_connected(); }));
    return client;
  }
  std::unique_ptr<Client> Connect(RedisServer& server) { return Connect(OptionsFor(server)); }

  static Options OptionsFor(RedisServer& server) {
    Options options;
    options.addresses = {server.address()};
    return options;
  }

  absl::StatusOr<Reply> Run(Client& client, std::vector<std::string> arguments) {
    std::string key = arguments.size() > 1 ? arguments[1] : "";
    return RunTask(io_, client.Command(std::move(key), std::move(arguments)));
  }

  void Start(Client& client, std::vector<std::string> arguments,
             std::vector<absl::StatusOr<Reply>>& replies) {
    std::string key = arguments.size() > 1 ? arguments[1] : "";
    asio::co_spawn(
        io_, client.Command(std::move(key), std::move(arguments)),
        [&](std::exception_ptr, absl::StatusOr<Reply> reply) { replies.push_back(std::move(reply)); });
  }

  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
};

TEST_F(ClientTest, Replies) {
  RedisServer server;
  auto client = Connect(server);
  EXPECT_EQ(Run(*client, {"SET", "a", std::string("x\0y", 3)})->text, "OK");
  EXPECT_EQ(Run(*client, {"GET", "a"})->text, std::string("x\0y", 3));
  EXPECT_EQ(Run(*client, {"GET", "none"})->type, Reply::Type::kNil);
  EXPECT_EQ(Run(*client, {"INCRBY", "n", "-9007199254740993"})->integer, -9007199254740993);
  ASSERT_TRUE(Run(*client, {"HSET", "h", "f", "1", "g", "2"}).ok());
  const auto all = Run(*client, {"HGETALL", "h"});
  ASSERT_EQ(all->array.size(), 4u);
  EXPECT_EQ(all->array[2].text, "g");
  const auto wrong = Run(*client, {"INCR", "a"});
  EXPECT_EQ(wrong.status().code(), absl::StatusCode::kFailedPrecondition) << wrong.status();
  EXPECT_NE(std::string(wrong.status().message()).find("not an integer"), std::string::npos);
}

TEST_F(ClientTest, ManyInOneTurnInOrder) {
  RedisServer server;
  auto client = Connect(server);
  std::vector<absl::StatusOr<Reply>> replies;
  for (int i = 0; i < 15'000; ++i) Start(*client, {"INCR", "n"}, replies);
  ASSERT_TRUE(RunUntil(io_, [&] { return replies.size() == 15'000; }));
  for (std::size_t i = 0; i < replies.size(); ++i) {
    ASSERT_TRUE(replies[i].ok()) << replies[i].status();
    ASSERT_EQ(replies[i]->integer, static_cast<std::int64_t>(i + 1));
  }
}

TEST_F(ClientTest, LargeValues) {
  RedisServer server;
  auto client = Connect(server);
  const std::string large(8 << 20, 'x');
  ASSERT_TRUE(Run(*client, {"SET", "large", large}).ok());
  EXPECT_EQ(Run(*client, {"GET", "large"})->text, large);
}

TEST_F(ClientTest, WaitingCommandsAreBounded) {
  RedisServer server;
  Options options = OptionsFor(server);
  options.max_waiting = 10;
  auto client = Connect(options);
  std::vector<absl::StatusOr<Reply>> replies;
  for (int i = 0; i < 12; ++i) Start(*client, {"INCR", "n"}, replies);
  ASSERT_TRUE(RunUntil(io_, [&] { return replies.size() == 12; }));
  EXPECT_EQ(
      std::count_if(replies.begin(), replies.end(),
                    [](const auto& r) { return r.status().code() == absl::StatusCode::kResourceExhausted; }),
      2);
}

TEST_F(ClientTest, Scripts) {
  RedisServer server;
  auto client = Connect(server);
  static const char kScript[] = "redis.call('SET', KEYS[1], ARGV[1]) return {ARGV[2], 7}";
  for (int i = 0; i < 3; ++i) {
    // The second time it is there; after a flush it is not.
    if (i == 2) server.Cli({"SCRIPT", "FLUSH"});
    std::vector<std::string> arguments{"v", "w"};
    const auto reply = RunTask(io_, client->Eval(kScript, "k", std::move(arguments)));
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->array[0].text, "w");
    EXPECT_EQ(reply->array[1].integer, 7);
  }
  EXPECT_EQ(Run(*client, {"GET", "k"})->text, "v");
  static const char kWrong[] = "return redis.call('INCR', KEYS[1])";
  std::vector<std::string> none;
  EXPECT_EQ(RunTask(io_, client->Eval(kWrong, "k", std::move(none))).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ClientTest, Password) {
  RedisServer server({"--requirepass", "secret"});
  Options options = OptionsFor(server);
  options.password = "secret";
  EXPECT_TRUE(Run(*Connect(options), {"SET", "a", "1"}).ok());
  options.password = "wrong";
  auto refused = Client::Create(io_, options, metrics_);
  EXPECT_FALSE(RunUntil(io_, [&] { return refused->is_connected(); }, std::chrono::milliseconds(300)));
  EXPECT_EQ(Run(*refused, {"GET", "a"}).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ClientTest, AUserDoesWhatItMay) {
  RedisServer server;
  const auto set = [&](const std::string& user, const std::vector<std::string>& rights) {
    std::vector<std::string> command{"ACL", "SETUSER", user, "on", ">secret", "resetchannels"};
    command.insert(command.end(), rights.begin(), rights.end());
    EXPECT_EQ(server.Cli(command), "OK\n");
  };
  set("writer", {"~own:*", "+get", "+set", "+eval", "+evalsha"});
  set("reader", {"%R~own:*", "+get", "+set", "+eval_ro", "+evalsha_ro", "+eval", "+evalsha"});
  Options options = OptionsFor(server);
  options.password = "secret";
  options.user = "writer";
  const auto writer = Connect(options);
  EXPECT_TRUE(Run(*writer, {"SET", "own:a", "1"}).ok());
  const absl::StatusOr<Reply> foreign = Run(*writer, {"GET", "other"});
  EXPECT_EQ(foreign.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(foreign.status().message().find("NOPERM") != absl::string_view::npos) << foreign.status();

  // A script that writes nothing needs no right to write.
  options.user = "reader";
  const auto reader = Connect(options);
  EXPECT_FALSE(Run(*reader, {"SET", "own:a", "2"}).ok());
  static const char kReads[] = "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])";
  static const char kMayWrite[] = "return redis.call('GET', KEYS[1])";
  const auto eval = [&](const char* script) {
    std::vector<std::string> none;
    return RunTask(io_, reader->Eval(script, "own:a", std::move(none)));
  };
  for (int i = 0; i < 2; ++i) {
    const absl::StatusOr<Reply> read = eval(kReads);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->text, "1");
  }
  EXPECT_FALSE(eval(kMayWrite).ok());

  options.user = "nobody";
  auto refused = Client::Create(io_, options, metrics_);
  EXPECT_FALSE(RunUntil(io_, [&] { return refused->is_connected(); }, std::chrono::milliseconds(300)));
}

TEST_F(ClientTest, NamesAreResolved) {
  RedisServer server;
  Options options;
  options.addresses = {absl::StrCat("localhost:", server.port())};
  EXPECT_TRUE(Run(*Connect(options), {"SET", "a", "1"}).ok());
  options.addresses = {"no-such-host.invalid:1"};
  auto client = Client::Create(io_, options, metrics_);
  EXPECT_FALSE(RunUntil(io_, [&] { return client->is_connected(); }, std::chrono::milliseconds(300)));
}

TEST_F(ClientTest, ServerKilledAndStartedAgain) {
  RedisServer server;
  auto client = Connect(server);
  for (int round = 0; round < 3; ++round) {
    server.process().Signal(SIGSTOP);
    std::vector<absl::StatusOr<Reply>> replies;
    Start(*client, {"INCR", "n"}, replies);
    io_.restart();
    io_.poll();
    server.Kill();
    ASSERT_TRUE(RunUntil(io_, [&] { return !replies.empty(); }));
    EXPECT_EQ(replies[0].status().code(), absl::StatusCode::kUnavailable) << replies[0].status();
    EXPECT_FALSE(client->is_connected());
    EXPECT_EQ(Run(*client, {"GET", "n"}).status().code(), absl::StatusCode::kUnavailable);
    server.Start();
    ASSERT_TRUE(RunUntil(io_, [&] { return client->is_connected(); }));
    EXPECT_TRUE(Run(*client, {"SET", "n", "1"}).ok());
  }
}

TEST_F(ClientTest, AFrozenServerCostsTheConnectionAndTheTimeLimit) {
  RedisServer server;
  Options options = OptionsFor(server);
  options.timeout = std::chrono::milliseconds(300);
  auto client = Connect(options);
  server.process().Signal(SIGSTOP);
  std::vector<absl::StatusOr<Reply>> replies;
  Start(*client, {"GET", "n"}, replies);
  Start(*client, {"GET", "n"}, replies);
  ASSERT_TRUE(RunUntil(io_, [&] { return replies.size() == 2; }));
  EXPECT_EQ(replies[0].status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(replies[1].status().code(), absl::StatusCode::kUnavailable);
  server.process().Signal(SIGCONT);
  ASSERT_TRUE(RunUntil(io_, [&] { return client->is_connected(); }));
  EXPECT_TRUE(Run(*client, {"SET", "n", "1"}).ok());
}

TEST_F(ClientTest, DestroyedWithCommandsInFlight) {
  RedisServer server;
  auto client = Connect(server);
  server.process().Signal(SIGSTOP);
  std::vector<absl::StatusOr<Reply>> replies;
  Start(*client, {"GET", "n"}, replies);
  io_.restart();
  io_.poll();
  client.reset();
  ASSERT_TRUE(RunUntil(io_, [&] { return replies.size() == 1; }));
  EXPECT_EQ(replies[0].status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace rookery::redis
