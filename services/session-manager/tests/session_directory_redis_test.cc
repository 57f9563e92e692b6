#include <gmock/gmock.h>

#include "adapters/redis_session_directory.h"
#include "rookery/testing/redis_server.h"
#include "rookery/testing/run_task.h"

namespace rookery::session_manager {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::RunTask;
using testing::RunUntil;
using Written = SessionDirectory::Written;

class SessionDirectoryRedisTest : public ::testing::Test {
 protected:
  SessionDirectoryRedisTest() {
    redis::Options options;
    options.addresses = {server_.address()};
    options.timeout = std::chrono::milliseconds(500);
    redis_ = redis::Client::Create(io_, options, metrics_);
    EXPECT_TRUE(RunUntil(io_, [&] { return redis_->is_connected(); }));
  }
  absl::StatusOr<Written> Write(const std::string& instance, std::int64_t epoch, bool afresh,
                                std::vector<SessionDirectory::Entry> here,
                                std::vector<std::string> gone = {}) {
    RedisSessionDirectory directory(*redis_, instance);
    SessionDirectory::Changes changes;
    changes.shard = 3;
    changes.epoch = epoch;
    changes.afresh = afresh;
    changes.here = std::move(here);
    changes.gone = std::move(gone);
    return RunTask(io_, directory.Write(std::move(changes)));
  }
  std::string Value(const std::string& field) { return server_.Cli({"HGET", "rookery:sessions:{3}", field}); }

  testing::RedisServer server_;
  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  std::unique_ptr<redis::Client> redis_;
};

TEST_F(SessionDirectoryRedisTest, WritesAndRemoves) {
  EXPECT_EQ(*Write("sm-1", 7, true, {{"a@x/1", "gw-1", 1'700'000'000'123}, {"b@x/2", "", 5}}),
            Written::kDone);
  EXPECT_THAT(Value("a@x/1"), HasSubstr("1700000000123 sm-1 gw-1"));
  EXPECT_THAT(Value("b@x/2"), HasSubstr("5 sm-1 -"));
  EXPECT_THAT(Value("owner"), HasSubstr("7 sm-1"));
  // An entry that goes and comes in one write is there.
  EXPECT_EQ(*Write("sm-1", 7, false, {{"a@x/1", "gw-2", 6}}, {"a@x/1", "b@x/2"}), Written::kDone);
  EXPECT_THAT(Value("a@x/1"), HasSubstr("6 sm-1 gw-2"));
  EXPECT_THAT(Value("b@x/2"), Not(HasSubstr("sm-1")));
  // It does not outlive its writers.
  EXPECT_GT(std::stoi(server_.Cli({"TTL", "rookery:sessions:{3}"})), 30);
}

TEST_F(SessionDirectoryRedisTest, ReadsWhatWasWritten_AndNothingElse) {
  const std::string id = "0123456789abcd\n\x01";
  EXPECT_EQ(*Write("sm-1", 7, true, {{"a@x/1", "gw-1", 5, id, 3, true}, {"b@x/2 y", "", 6, id, 0, false}}),
            Written::kDone);
  server_.Cli({"HSET", "rookery:sessions:{3}", "c@x/3", "5 sm-1 gw-1", "d@x/4", "x y z 00 1 -", "e@x/5", ""});
  RedisSessionDirectory directory(*redis_, "sm-2");
  const auto read = RunTask(io_, directory.Read(3));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read,
              ::testing::UnorderedElementsAre(SessionDirectory::Entry{"a@x/1", "gw-1", 5, id, 3, true},
                                              SessionDirectory::Entry{"b@x/2 y", "", 6, id, 0, false}));
  EXPECT_TRUE(RunTask(io_, directory.Read(4))->empty());
  server_.Kill();
  EXPECT_FALSE(RunTask(io_, directory.Read(3)).ok());
}

TEST_F(SessionDirectoryRedisTest, ANewOwnerBeginsAfresh_AnOldOneIsRefused) {
  EXPECT_EQ(*Write("sm-1", 7, true, {{"a@x/1", "gw-1", 1}}), Written::kDone);
  EXPECT_EQ(*Write("sm-2", 9007199254740990, true, {{"b@x/2", "gw-1", 2}}), Written::kDone);
  EXPECT_THAT(Value("a@x/1"), Not(HasSubstr("gw-1")));
  EXPECT_EQ(*Write("sm-1", 7, false, {{"c@x/3", "gw-1", 3}}, {"b@x/2"}), Written::kRefused);
  EXPECT_EQ(*Write("sm-1", 9007199254740989, true, {{"c@x/3", "gw-1", 3}}), Written::kRefused);
  EXPECT_THAT(Value("b@x/2"), HasSubstr("2 sm-2 gw-1"));
  EXPECT_THAT(Value("c@x/3"), Not(HasSubstr("gw-1")));
}

TEST_F(SessionDirectoryRedisTest, AnEmptiedRedisIsNoticed) {
  EXPECT_EQ(*Write("sm-1", 7, true, {{"a@x/1", "gw-1", 1}}), Written::kDone);
  EXPECT_EQ(*Write("sm-1", 7, false, {}), Written::kDone);
  server_.Cli({"FLUSHALL"});
  EXPECT_EQ(*Write("sm-1", 7, false, {{"b@x/2", "gw-1", 2}}), Written::kWasEmpty);
  EXPECT_EQ(*Write("sm-1", 7, true, {{"a@x/1", "gw-1", 1}, {"b@x/2", "gw-1", 2}}), Written::kDone);
  EXPECT_THAT(Value("a@x/1"), HasSubstr("gw-1"));
}

TEST_F(SessionDirectoryRedisTest, AsManyAsThereCanBeInOneWrite) {
  std::vector<SessionDirectory::Entry> here;
  std::vector<std::string> gone;
  for (int i = 0; i < 500; ++i) here.push_back({"a@x/" + std::to_string(i), "gw-1", i});
  for (int i = 0; i < 10'000; ++i) gone.push_back("b@x/" + std::to_string(i));
  EXPECT_EQ(*Write("sm-1", 7, true, here, gone), Written::kDone);
  EXPECT_EQ(std::stoi(server_.Cli({"HLEN", "rookery:sessions:{3}"})), 501);
}

TEST_F(SessionDirectoryRedisTest, RedisAway) {
  server_.Kill();
  EXPECT_FALSE(Write("sm-1", 7, true, {{"a@x/1", "gw-1", 1}}).ok());
}

}  // namespace
}  // namespace rookery::session_manager
