#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <functional>
#include <map>

#include "absl/strings/str_cat.h"
#include "rookery/redis/client.h"
#include "rookery/testing/redis_server.h"
#include "rookery/testing/run_task.h"
#include "slots.h"

namespace rookery::redis {
namespace {

using testing::RedisServer;
using testing::RunTask;
using testing::RunUntil;

class ClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 3; ++i) {
      nodes_.push_back(std::make_unique<RedisServer>(std::vector<std::string>{
          "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000",
          "--cluster-require-full-coverage", "no"}));
    }
    std::vector<std::string> create{"redis-cli", "--cluster", "create"};
    for (const auto& node : nodes_) create.push_back(node->address());
    create.insert(create.end(), {"--cluster-replicas", "0", "--cluster-yes"});
    const std::string output = testing::RunCommand(create);
    ASSERT_NE(output.find("All 16384 slots covered"), std::string::npos) << output;

    // The nodes hear of each other by gossip.
    for (const auto& node : nodes_) {
      ASSERT_TRUE(RunUntil(io_, [&] {
        const std::string info = node->Cli({"CLUSTER", "INFO"});
        return info.find("cluster_state:ok") != std::string::npos &&
               info.find("cluster_slots_ok:16384") != std::string::npos;
      }));
    }

    options_.cluster = true;
    options_.addresses = {nodes_[1]->address()};
    options_.timeout = std::chrono::milliseconds(4'000);
    client_ = Client::Create(io_, options_, metrics_);
    ASSERT_TRUE(RunUntil(io_, [&] { return client_->is_connected(); }));
  }

  absl::StatusOr<Reply> Run(std::vector<std::string> arguments) {
    return RunTask(io_, client_->Command(arguments[1], arguments));
  }

  std::string IdOf(int node) {
    std::string id = nodes_[node]->Cli({"CLUSTER", "MYID"});
    return id.substr(0, 40);
  }

  int OwnerOf(std::uint32_t slot) {
    for (int i = 0; i < 3; ++i) {
      // Only the owner counts keys without redirecting; ask for the map instead.
      if (nodes_[i]->Cli({"SET", absl::StrCat("{", TagFor(slot), "}probe"), "1"}).starts_with("OK")) return i;
    }
    return -1;
  }

  static std::string TagFor(std::uint32_t slot) {
    for (int i = 0;; ++i) {
      std::string tag = absl::StrCat("t", i);
      if (SlotOf(tag) == slot) return tag;
    }
  }

  double Redirects() {
    const std::string text = metrics_.Text();
    const std::size_t at = text.find("\nrookery_test_redis_redirects_total ");
    return at == std::string::npos ? -1 : std::stod(text.substr(text.find(' ', at) + 1));
  }

  std::vector<std::unique_ptr<RedisServer>> nodes_;
  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  Options options_;
  std::unique_ptr<Client> client_;
};

TEST_F(ClusterTest, KeysOfAllNodesFromOneSeed) {
  for (int i = 0; i < 300; ++i) {
    const auto reply = Run({"SET", absl::StrCat("key", i), absl::StrCat(i)});
    ASSERT_TRUE(reply.ok()) << reply.status();
  }
  for (int i = 0; i < 300; ++i) EXPECT_EQ(Run({"GET", absl::StrCat("key", i)})->text, absl::StrCat(i));
  EXPECT_EQ(Redirects(), 0);
  static const char kScript[] = "return redis.call('INCR', KEYS[1])";
  for (int i = 0; i < 50; ++i) {
    std::vector<std::string> none;
    const auto reply = RunTask(io_, client_->Eval(kScript, absl::StrCat("s", i), std::move(none)));
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->integer, 1);
  }
}

// A counter per key, raised all the while: no increment is lost or made twice.
TEST_F(ClusterTest, ASlotMovesDuringTraffic) {
  const std::uint32_t slot = SlotOf("moving");
  const int from = OwnerOf(slot);
  ASSERT_GE(from, 0);
  const int to = (from + 1) % 3;
  std::map<std::string, std::int64_t> sent, seen;
  std::vector<std::string> failures;
  int in_flight = 0;
  bool is_going = true;
  std::function<void(std::string)> raise = [&](std::string key) {
    ++sent[key];
    ++in_flight;
    std::vector<std::string> command{"INCR", key};
    asio::co_spawn(io_, client_->Command(key, std::move(command)),
                   [&, key](std::exception_ptr, absl::StatusOr<Reply> reply) {
                     --in_flight;
                     if (!reply.ok()) failures.push_back(reply.status().ToString());
                     if (reply.ok()) seen[key] = std::max(seen[key], reply->integer);
                     if (is_going) raise(key);
                   });
  };
  for (int i = 0; i < 20; ++i) raise(absl::StrCat("{moving}", i));
  const auto run = [&](int ms) { RunUntil(io_, [] { return false; }, std::chrono::milliseconds(ms)); };
  run(100);
  const std::string text = absl::StrCat(slot);
  ASSERT_EQ(nodes_[to]->Cli({"CLUSTER", "SETSLOT", text, "IMPORTING", IdOf(from)}), "OK\n");
  ASSERT_EQ(nodes_[from]->Cli({"CLUSTER", "SETSLOT", text, "MIGRATING", IdOf(to)}), "OK\n");
  run(50);
  // Key by key; what has gone is answered by ASK.
  for (int i = 0; i < 20; ++i) {
    const std::string moved = nodes_[from]->Cli(
        {"MIGRATE", "127.0.0.1", absl::StrCat(nodes_[to]->port()), absl::StrCat("{moving}", i), "0", "1000"});
    ASSERT_EQ(moved, "OK\n");
    run(20);
  }
  const double asks = Redirects();
  EXPECT_GT(asks, 20);
  nodes_[from]->Cli({"MIGRATE", "127.0.0.1", absl::StrCat(nodes_[to]->port()),
                     absl::StrCat("{", TagFor(slot), "}probe"), "0", "1000"});
  for (const int node : {to, from, 3 - from - to}) {
    ASSERT_EQ(nodes_[node]->Cli({"CLUSTER", "SETSLOT", text, "NODE", IdOf(to)}), "OK\n");
  }
  run(500);
  const double moves = Redirects();
  EXPECT_GT(moves, asks);
  run(300);
  // The map is right now: nothing is redirected any more.
  EXPECT_EQ(Redirects(), moves);
  is_going = false;
  ASSERT_TRUE(RunUntil(io_, [&] { return in_flight == 0; }));
  EXPECT_TRUE(failures.empty()) << failures.size() << " " << failures[0];
  for (const auto& [key, count] : sent) EXPECT_EQ(Run({"GET", key})->text, absl::StrCat(count));
}

TEST_F(ClusterTest, ALostNodeTakesOnlyItsOwnKeys) {
  std::vector<std::string> keys(3);
  for (int i = 0; keys[0].empty() || keys[1].empty() || keys[2].empty(); ++i) {
    const std::string key = absl::StrCat("k", i);
    for (int node = 0; node < 3; ++node) {
      if (keys[node].empty() && nodes_[node]->Cli({"SET", key, "1"}).starts_with("OK")) keys[node] = key;
    }
  }
  nodes_[1]->Kill();
  const auto lost = Run({"SET", keys[1], "2"});
  EXPECT_EQ(lost.status().code(), absl::StatusCode::kUnavailable) << lost.status();
  EXPECT_TRUE(Run({"SET", keys[0], "2"}).ok());
  EXPECT_TRUE(Run({"SET", keys[2], "2"}).ok());
  EXPECT_FALSE(client_->is_connected());
  // It was our seed; back under its address it is found again.
  nodes_[1]->Start();
  ASSERT_TRUE(RunUntil(io_, [&] { return client_->is_connected(); }));
  ASSERT_TRUE(RunUntil(io_, [&] { return Run({"SET", keys[1], "3"}).ok(); }));
}

}  // namespace
}  // namespace rookery::redis
