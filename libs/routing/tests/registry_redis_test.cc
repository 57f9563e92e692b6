#include <gtest/gtest.h>

#include "rookery/routing/registry.h"
#include "rookery/testing/redis_server.h"
#include "rookery/testing/run_task.h"

namespace rookery::routing {
namespace {

using testing::RunTask;
using testing::RunUntil;

const auto kNeverReplaced = [](const absl::Status& why) { ADD_FAILURE() << why; };

class RegistryRedisTest : public ::testing::Test {
 protected:
  struct Process {
    std::unique_ptr<redis::Client> redis;
    std::unique_ptr<Registry> registry;
  };

  Process Make() {
    redis::Options options;
    options.addresses = {server_.address()};
    options.timeout = std::chrono::milliseconds(500);
    Process process;
    process.redis = redis::Client::Create(io_, options, metrics_);
    EXPECT_TRUE(RunUntil(io_, [&] { return process.redis->is_connected(); }));
    process.registry = Registry::Create(io_, *process.redis);
    return process;
  }

  std::map<std::uint32_t, OwnerEntry> Shards(Process& process, const std::string& service) {
    auto read = RunTask(io_, process.registry->ReadShards(service));
    std::map<std::uint32_t, OwnerEntry> owners;
    if (read.ok()) {
      for (const OwnerEntry& owner : *read) owners[owner.shard] = owner;
    }
    return owners;
  }

  /// Runs the loop until the process has said once more that it is there.
  void AwaitAnotherAnnouncement(const std::string& service, const std::string& member) {
    const auto said_at = [&] { return server_.Cli({"ZSCORE", "rookery:instances:" + service, member}); };
    const std::string before = said_at();
    ASSERT_TRUE(RunUntil(io_, [&] {
      const std::string now = said_at();
      return now != before && now.find_first_of("0123456789") != std::string::npos;
    }));
  }

  testing::RedisServer server_;
  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
};

TEST_F(RegistryRedisTest, ComeAndGo) {
  Process a = Make(), b = Make(), watcher = Make();
  std::vector<std::size_t> sizes;
  watcher.registry->Watch("roster", [&](const std::vector<Instance>& all) { sizes.push_back(all.size()); });
  a.registry->Announce("roster", {"a", "h:1"}, kNeverReplaced);
  b.registry->Announce("roster", {"b", "h:2"}, kNeverReplaced);
  ASSERT_TRUE(RunUntil(io_, [&] { return watcher.registry->Instances("roster").size() == 2; }));
  const auto withdraw = [&]() -> Task<bool> {
    co_await a.registry->Withdraw();
    co_return true;
  };
  ASSERT_TRUE(RunTask(io_, withdraw()));
  // At once, for the next reading, not after the time to live.
  EXPECT_EQ(server_.Cli({"ZRANGE", "rookery:instances:roster", "0", "-1"}).find("a h:1"), std::string::npos);
  ASSERT_TRUE(RunUntil(io_, [&] { return watcher.registry->Instances("roster").size() == 1; }));
  a.registry->Announce("roster", {"a", "h:3"}, kNeverReplaced);
  ASSERT_TRUE(RunUntil(io_, [&] { return watcher.registry->Instances("roster").size() == 2; }));
  EXPECT_EQ(watcher.registry->Instances("roster")[0].address, "h:3");
  // One that dies takes its time to live.
  a.registry.reset();
  ASSERT_TRUE(RunUntil(io_, [&] { return watcher.registry->Instances("roster").size() == 1; }));
}

TEST_F(RegistryRedisTest, OfTwoProcessesOfOneNameTheNewerHasItAndTheOlderIsTold) {
  Process old = Make(), watcher = Make();
  watcher.registry->Watch("roster", [](const std::vector<Instance>&) {});
  std::optional<absl::Status> told;
  old.registry->Announce("roster", {"a", "h:1"}, [&](const absl::Status& why) { told = why; });
  const auto listed = [&]() -> Instance {
    const auto& all = watcher.registry->Instances("roster");
    return all.size() == 1 ? all[0] : Instance{};
  };
  ASSERT_TRUE(RunUntil(io_, [&] { return listed().incarnation == old.registry->incarnation(); }));
  Process young = Make();
  young.registry->Announce("roster", {"a", "h:2"}, kNeverReplaced);
  ASSERT_TRUE(RunUntil(io_, [&] { return told.has_value(); }));
  EXPECT_GT(young.registry->incarnation(), old.registry->incarnation());
  ASSERT_TRUE(RunUntil(io_, [&] { return listed().address == "h:2"; }));
  EXPECT_EQ(listed().incarnation, young.registry->incarnation());

  // Nothing that the older one still does touches the newer one.
  const auto withdraw = [](Registry& registry) -> Task<bool> {
    co_await registry.Withdraw();
    co_return true;
  };
  ASSERT_TRUE(RunTask(io_, withdraw(*old.registry)));
  EXPECT_NE(server_.Cli({"ZRANGE", "rookery:instances:roster", "0", "-1"}).find("a h:2"), std::string::npos);

  // One that was killed is replaced at once by the next of its name.
  young.registry.reset();
  Process third = Make();
  third.registry->Announce("roster", {"a", "h:2"}, kNeverReplaced);
  ASSERT_TRUE(RunUntil(io_, [&] { return listed().incarnation == third.registry->incarnation(); }));
  EXPECT_EQ(server_.Cli({"ZCARD", "rookery:instances:roster"}).substr(0, 1), "2");
}

TEST_F(RegistryRedisTest, AProcessThatStartsTakesItsNameAlsoFromOneWhoseClockIsAhead) {
  server_.Cli({"ZADD", "rookery:instances:roster", "99999999999999", "a h:1"});
  server_.Cli({"ZADD", "rookery:instances:roster", "99999999999999", "a@9999999999999-00000000000000ff"});
  Process a = Make();
  a.registry->Announce("roster", {"a", "h:2"}, kNeverReplaced);
  ASSERT_TRUE(RunUntil(io_, [&] { return a.registry->incarnation().started_at_ms == 10'000'000'000'000; }));
  // And keeps it.
  a.registry->PublishShards({{1, 1}});
  ASSERT_TRUE(RunUntil(io_, [&] { return Shards(a, "roster").size() == 1; }));
}

TEST_F(RegistryRedisTest, AHigherEpochIsNeverOverwritten) {
  Process a = Make(), b = Make();
  a.registry->Announce("session-manager", {"a", "h:1"}, kNeverReplaced);
  b.registry->Announce("session-manager", {"b", "h:2"}, kNeverReplaced);
  a.registry->PublishShards({{1, 10}, {2, 9007199254740990}});
  ASSERT_TRUE(RunUntil(io_, [&] { return Shards(a, "session-manager").size() == 2; }));
  b.registry->PublishShards({{1, 11}, {2, 9007199254740989}, {3, 1}});
  ASSERT_TRUE(RunUntil(io_, [&] { return Shards(a, "session-manager").size() == 3; }));
  // a goes on to publish epoch 10 of shard 1.
  for (int i = 0; i < 2; ++i) AwaitAnotherAnnouncement("session-manager", "a h:1");
  auto shards = Shards(a, "session-manager");
  EXPECT_EQ(shards[1].instance, "b");
  EXPECT_EQ(shards[1].epoch, 11);
  EXPECT_EQ(shards[2].instance, "a");
  EXPECT_EQ(shards[2].epoch, 9007199254740990);
  // Each service has shards of its own.
  EXPECT_TRUE(Shards(a, "muc").empty());
}

TEST_F(RegistryRedisTest, AnEmptiedOrRestartedRedisIsFilledAgainAndNobodyVanishes) {
  Process a = Make(), b = Make(), watcher = Make();
  std::size_t fewest = 2;
  a.registry->Announce("roster", {"a", "h:1"}, kNeverReplaced);
  b.registry->Announce("roster", {"b", "h:2"}, kNeverReplaced);
  a.registry->PublishShards({{7, 42}});
  watcher.registry->Watch("roster", [](const std::vector<Instance>&) {});
  ASSERT_TRUE(RunUntil(io_, [&] { return watcher.registry->Instances("roster").size() == 2; }));
  ASSERT_TRUE(RunUntil(io_, [&] { return Shards(watcher, "roster").size() == 1; }));
  watcher.registry->Watch("roster",
                          [&](const std::vector<Instance>& all) { fewest = std::min(fewest, all.size()); });

  server_.Cli({"FLUSHALL"});
  // Each says all that it has to say with its next announcement.
  AwaitAnotherAnnouncement("roster", "a h:1");
  AwaitAnotherAnnouncement("roster", "a h:1");
  EXPECT_EQ(Shards(watcher, "roster").size(), 1u);
  AwaitAnotherAnnouncement("roster", "b h:2");

  server_.Kill();
  // Time is what is tested: away for longer than the time to live, and then as long again.
  RunUntil(io_, [] { return false; }, std::chrono::milliseconds(7'000));
  server_.Start();
  ASSERT_TRUE(RunUntil(io_, [&] { return Shards(watcher, "roster").size() == 1; }));
  RunUntil(io_, [] { return false; }, std::chrono::milliseconds(6'000));
  EXPECT_EQ(fewest, 2u);
  EXPECT_EQ(watcher.registry->Instances("roster").size(), 2u);
}

}  // namespace
}  // namespace rookery::routing
