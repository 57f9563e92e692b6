#include "rookery/routing/registry.h"

#include <gtest/gtest.h>

#include <map>

#include "rookery/testing/run_task.h"
#include "scripts.h"

namespace rookery::routing {
namespace {

using testing::RunTask;
using testing::RunUntil;

/// Knows the registry's scripts, and nothing else of Redis.
class FakeRedis final : public redis::Client {
 public:
  Task<absl::StatusOr<redis::Reply>> Command(std::string key, std::vector<std::string>) override {
    EXPECT_EQ(key, "rookery:shards:session-manager");
    if (is_away) co_return absl::UnavailableError("away");
    redis::Reply reply{redis::Reply::Type::kArray, "", 0, {}};
    for (const auto& [shard, value] : shards) {
      reply.array.push_back({redis::Reply::Type::kText, shard, 0, {}});
      reply.array.push_back({redis::Reply::Type::kText, value, 0, {}});
    }
    co_return reply;
  }

  Task<absl::StatusOr<redis::Reply>> Eval(const char* script, std::string key,
                                          std::vector<std::string> arguments) override {
    ++calls;
    if (is_away) co_return absl::UnavailableError("away");
    redis::Reply reply{redis::Reply::Type::kArray, "", 0, {}};
    if (script == kAnnounceScript) {
      announced_first += arguments[5] == "1" ? 1 : 0;
      if (!holder.empty() && arguments[5] == "0") {
        for (const std::string& part : holder)
          reply.array.push_back({redis::Reply::Type::kText, part, 0, {}});
        co_return reply;
      }
      members[key].erase("-" + arguments[1]);
      members[key][arguments[0]] = now + std::stoll(arguments[2]);
      for (const std::string& part : {raised.empty() ? arguments[3] : raised, arguments[4]})
        reply.array.push_back({redis::Reply::Type::kText, part, 0, {}});
    } else if (script == kWithdrawScript) {
      members[key].erase(arguments[0]);
      members[key]["-" + arguments[1]] = now + std::stoll(arguments[2]);
    } else if (script == kPublishScript) {
      EXPECT_EQ(key, "rookery:shards:session-manager");
      for (std::size_t i = 1; i + 1 < arguments.size(); i += 2) {
        shards[arguments[i]] = arguments[i + 1] + " " + arguments[0];
      }
    } else {
      reply.array.push_back({redis::Reply::Type::kText, std::to_string(now), 0, {}});
      for (const auto& [member, score] : members[key]) {
        reply.array.push_back({redis::Reply::Type::kText, member, 0, {}});
        reply.array.push_back({redis::Reply::Type::kText, std::to_string(score), 0, {}});
      }
    }
    co_return reply;
  }

  bool is_connected() const override { return !is_away; }

  bool is_away = false;
  int calls = 0;
  int announced_first = 0;
  std::vector<std::string> holder;  // start and random part of who has the name, if not who asks
  std::string raised;
  std::int64_t now = 1'000'000;
  std::map<std::string, std::map<std::string, std::int64_t>> members;
  std::map<std::string, std::string> shards;
};

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() : registry_(Registry::Create(io_, redis_)) {}

  asio::io_context io_;
  FakeRedis redis_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(RegistryTest, AnnouncesAtOnceAndSeesOthers) {
  redis_.members["rookery:instances:roster"]["r1 h:1"] = redis_.now + 5'000;
  int changes = 0;
  registry_->Watch("roster", [&](const std::vector<Instance>&) { ++changes; });
  registry_->Announce("gateway", {"g1", ""}, [](const absl::Status&) {});
  ASSERT_TRUE(RunUntil(io_, [&] { return changes > 0; }));
  EXPECT_EQ(changes, 1);
  ASSERT_EQ(registry_->Instances("roster").size(), 1u);
  EXPECT_EQ(registry_->Instances("roster")[0], (Instance{"r1", "h:1"}));
  EXPECT_TRUE(RunUntil(io_, [&] { return redis_.members["rookery:instances:gateway"].contains("g1 "); }));
  EXPECT_TRUE(registry_->Instances("muc").empty());
}

TEST_F(RegistryTest, CompleteOnlyWhenEveryoneHasHadTimeToAnnounceThemselves) {
  int changes = 0;
  registry_->Watch("roster", [&](const std::vector<Instance>&) { ++changes; });
  EXPECT_FALSE(registry_->is_complete("roster"));
  ASSERT_TRUE(RunUntil(io_, [&] { return changes > 0; }));
  EXPECT_FALSE(registry_->is_complete("roster"));
  EXPECT_FALSE(registry_->is_complete("muc"));
  EXPECT_TRUE(RunUntil(io_, [&] { return registry_->is_complete("roster"); }));
}

TEST_F(RegistryTest, WithdrawLeavesATombstoneAndEndsTheAnnouncements) {
  registry_->Announce("roster", {"r1", "h:1"}, [](const absl::Status&) {});
  ASSERT_TRUE(RunUntil(io_, [&] { return redis_.members["rookery:instances:roster"].contains("r1 h:1"); }));
  const auto withdraw = [this]() -> Task<bool> {
    co_await registry_->Withdraw();
    co_return true;
  };
  EXPECT_TRUE(RunTask(io_, withdraw()));
  const auto& members = redis_.members["rookery:instances:roster"];
  EXPECT_FALSE(members.contains("r1 h:1"));
  EXPECT_TRUE(members.contains("-r1"));
}

TEST_F(RegistryTest, TakesItsNameOnceAndIsToldOnceWhenANewerProcessHasIt) {
  std::vector<absl::Status> told;
  registry_->Announce("session-manager", {"r1", "h:1"},
                      [&](const absl::Status& why) { told.push_back(why); });
  const std::string own = "r1 h:1";
  EXPECT_FALSE(registry_->is_announced());
  ASSERT_TRUE(
      RunUntil(io_, [&] { return redis_.members["rookery:instances:session-manager"].contains(own); }));
  registry_->PublishShards({{3, 7}});
  ASSERT_TRUE(RunUntil(io_, [&] { return redis_.shards.contains("3") || !told.empty(); }));
  EXPECT_EQ(redis_.announced_first, 1);
  EXPECT_TRUE(registry_->is_announced());
  EXPECT_TRUE(told.empty());

  redis_.members.clear();
  redis_.shards.clear();
  redis_.holder = {"99999999999999", "00000000000000ab"};
  ASSERT_TRUE(RunUntil(io_, [&] { return !told.empty(); }));
  EXPECT_EQ(told[0].code(), absl::StatusCode::kAborted);
  EXPECT_NE(std::string(told[0].message()).find("`r1`"), std::string::npos);
  const int calls = redis_.calls;
  registry_->PublishShards({{3, 8}});
  ASSERT_FALSE(RunUntil(io_, [&] { return redis_.calls > calls; }, std::chrono::milliseconds(100)));
  EXPECT_TRUE(redis_.members["rookery:instances:session-manager"].empty());
  EXPECT_TRUE(redis_.shards.empty());
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(RegistryTest, AProcessWhoseClockIsBehindGetsALaterStartThanTheOneBefore) {
  redis_.raised = "99999999999999";
  registry_->Announce("roster", {"r1", "h:1"}, [](const absl::Status&) {});
  EXPECT_TRUE(RunUntil(io_, [&] { return registry_->incarnation().started_at_ms == 99'999'999'999'999; }));
}

TEST_F(RegistryTest, PublishesShardsInBoundedCalls) {
  registry_->Announce("session-manager", {"s1", "h:1"}, [](const absl::Status&) {});
  std::map<std::uint32_t, std::int64_t> epochs;
  for (std::uint32_t shard = 0; shard < 2'500; ++shard) epochs[shard] = shard * 10;
  registry_->PublishShards(epochs);
  ASSERT_TRUE(RunUntil(io_, [&] { return redis_.shards.size() == 2'500; }));
  const auto owners = RunTask(io_, registry_->ReadShards("session-manager"));
  ASSERT_TRUE(owners.ok());
  ASSERT_EQ(owners->size(), 2'500u);
  for (const OwnerEntry& owner : *owners) {
    EXPECT_EQ(owner.epoch, owner.shard * 10);
    EXPECT_EQ(owner.instance, "s1");
    EXPECT_EQ(owner.address, "h:1");
  }
}

TEST_F(RegistryTest, WhatOthersWroteIsSkipped) {
  redis_.shards = {{"1", "7 s1 h:1"}, {"x", "7 s1 h:1"}, {"2", "nonsense"}, {"3", ""}};
  const auto owners = RunTask(io_, registry_->ReadShards("session-manager"));
  ASSERT_TRUE(owners.ok());
  EXPECT_EQ(owners->size(), 1u);
}

TEST_F(RegistryTest, RedisAwayKeepsWhatIsKnown) {
  redis_.members["rookery:instances:roster"]["r1 h:1"] = redis_.now + 5'000;
  registry_->Watch("roster", [](const std::vector<Instance>&) {});
  ASSERT_TRUE(RunUntil(io_, [&] { return registry_->Instances("roster").size() == 1; }));
  redis_.is_away = true;
  const int calls = redis_.calls;
  registry_->PublishShards({});  // reads again at once
  ASSERT_TRUE(RunUntil(io_, [&] { return redis_.calls > calls; }));
  EXPECT_EQ(registry_->Instances("roster").size(), 1u);
  EXPECT_EQ(RunTask(io_, registry_->ReadShards("session-manager")).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace rookery::routing
