#include <gtest/gtest.h>

#include <optional>

#include "adapters/redis_sign_in_ledger.h"
#include "rookery/testing/redis_server.h"
#include "rookery/testing/run_task.h"

namespace rookery::gateway {
namespace {

using std::chrono::minutes;
using Subject = SignInLedger::Subject;

class SignInLedgerRedisTest : public ::testing::Test {
 protected:
  void SetUp() override {
    redis::Options options;
    options.addresses = {server_.address()};
    redis_ = redis::Client::Create(io_, options, metrics_);
    ASSERT_TRUE(testing::RunUntil(io_, [&] { return redis_->is_connected(); }));
    ledger_.emplace(io_.get_executor(), Clock::System(), *redis_);
  }
  std::uint32_t Take(Subject subject, std::string_view name) {
    std::optional<std::uint32_t> taken;
    ledger_->Take(subject, name, minutes(10), [&](std::optional<std::uint32_t> tries) { taken = tries; });
    EXPECT_TRUE(testing::RunUntil(io_, [&] { return taken.has_value(); }));
    return taken.value_or(0);
  }
  void Fail(Subject subject, std::string_view name) {
    bool is_counted = false;
    ledger_->Failed(subject, name, minutes(10),
                    [&](std::uint32_t, std::chrono::milliseconds) { is_counted = true; });
    EXPECT_TRUE(testing::RunUntil(io_, [&] { return is_counted; }));
  }
  int Keys() const { return std::stoi(server_.Cli({"DBSIZE"})); }

  testing::RedisServer server_;
  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  std::unique_ptr<redis::Client> redis_;
  std::optional<RedisSignInLedger> ledger_;
};

TEST_F(SignInLedgerRedisTest, WhatHasAllBeenGivenBackLeavesNoKey) {
  EXPECT_EQ(Take(Subject::kAccount, "ann"), 1u);
  EXPECT_EQ(Take(Subject::kAccount, "ann"), 2u);
  EXPECT_EQ(Take(Subject::kNetwork, "192.0.2.1"), 1u);
  EXPECT_EQ(Keys(), 2);
  ledger_->GiveBack(Subject::kNetwork, "192.0.2.1");
  EXPECT_TRUE(testing::RunUntil(io_, [&] { return Keys() == 1; }));
  ledger_->GiveBack(Subject::kAccount, "ann");
  ledger_->GiveBack(Subject::kAccount, "ann");
  EXPECT_TRUE(testing::RunUntil(io_, [&] { return Keys() == 0; }));
}

TEST_F(SignInLedgerRedisTest, WhatHasFailedStaysForItsWindow) {
  Fail(Subject::kAccount, "ann");
  EXPECT_EQ(Take(Subject::kAccount, "ann"), 2u);
  ledger_->GiveBack(Subject::kAccount, "ann");
  const std::string key = server_.Cli({"KEYS", "*"});
  EXPECT_TRUE(testing::RunUntil(
      io_, [&] { return server_.Cli({"GET", key.substr(0, key.find_last_not_of('\n') + 1)})[0] == '1'; }));
  EXPECT_EQ(Take(Subject::kAccount, "ann"), 2u);
}

TEST_F(SignInLedgerRedisTest, WhoHasSignedInIsRememberedHereOnly_AndFoundByAll) {
  ledger_->Succeeded("ann", 7, "192.0.2.1");
  EXPECT_TRUE(testing::RunUntil(io_, [&] { return ledger_->Remembered("ann", "192.0.2.1").has_value(); }));
  EXPECT_EQ(ledger_->Remembered("ann", "192.0.2.1"), 7u);
  EXPECT_EQ(ledger_->Remembered("ann", "192.0.2.2"), std::nullopt);
  RedisSignInLedger other(io_.get_executor(), Clock::System(), *redis_);
  EXPECT_EQ(other.Remembered("ann", "192.0.2.1"), std::nullopt);
  std::optional<std::uint64_t> found;
  bool is_answered = false;
  other.Find("ann", "192.0.2.1", [&](std::optional<std::uint64_t> generation) {
    found = generation;
    is_answered = true;
  });
  EXPECT_TRUE(testing::RunUntil(io_, [&] { return is_answered; }));
  EXPECT_EQ(found, 7u);
}

}  // namespace
}  // namespace rookery::gateway
