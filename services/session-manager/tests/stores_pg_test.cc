// The stores on a real PostgreSQL.
#include <map>
#include <string>
#include <vector>

#include "adapters/pg_account_store.h"
#include "adapters/pg_waiting_store.h"
#include "migrations.h"
#include "rookery/testing/postgres_server.h"
#include "store_scenarios.h"

namespace rookery::session_manager {
namespace {

/// One server for all tests: each has its own users and shards.
testing::PostgresServer& Server() {
  static testing::PostgresServer server;
  return server;
}

class PgFixture : public ::testing::Test {
 protected:
  PgFixture() {
    options_.connection = Server().connection();
    EXPECT_TRUE(testing::RunTask(io_, pg::Migrate(io_, options_, "session-manager", Migrations())).ok());
    options_.connections = 1;
    pool_ = pg::Pool::Create(io_, options_, metrics_);
    loading_pool_ = pg::Pool::Create(io_, options_, metrics_);
    EXPECT_TRUE(
        testing::RunUntil(io_, [&] { return pool_->is_connected() && loading_pool_->is_connected(); }));
    accounts_ = std::make_unique<PgAccountStore>(*pool_);
    waiting_ = std::make_unique<PgWaitingStore>(*pool_, *loading_pool_);
    other_ = std::make_unique<PgWaitingStore>(*pool_, *loading_pool_);
  }
  asio::io_context& io() { return io_; }
  AccountStore& accounts() { return *accounts_; }
  WaitingStore& waiting() { return *waiting_; }
  WaitingStore& other() { return *other_; }

  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  pg::Options options_;
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<pg::Pool> loading_pool_;
  std::unique_ptr<PgAccountStore> accounts_;
  std::unique_ptr<PgWaitingStore> waiting_;
  std::unique_ptr<PgWaitingStore> other_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(PostgreSql, StoreScenarios, PgFixture);

class PgStores : public PgFixture {};

TEST_F(PgStores, NobodyWaitsBehindTheLoadingOfAShard) {
  auto other = pg::Pool::Create(io_, options_, metrics_);
  ASSERT_TRUE(testing::RunUntil(io_, [&] { return other->is_connected(); }));
  std::vector<std::string> ended;
  const auto note = [&](std::string name) {
    return [&ended, name](std::exception_ptr, const auto& result) {
      EXPECT_TRUE(result.ok()) << name << ": " << result.status();
      ended.push_back(name);
    };
  };
  asio::co_spawn(io_,
                 other->Execute(0,
                                "DO $$ BEGIN LOCK TABLE parked_sessions IN ACCESS EXCLUSIVE MODE; "
                                "PERFORM pg_sleep(1.5); END $$",
                                {}),
                 note("lock"));
  const char* locks =
      "SELECT count(*) FROM pg_locks WHERE relation = 'parked_sessions'::regclass "
      "AND mode = 'AccessExclusiveLock' AND granted";
  ASSERT_TRUE(testing::RunUntil(
      io_, [&] { return (*testing::RunTask(io_, pool_->Execute(0, locks, {})))->Int(0, 0) == 1; }));
  asio::co_spawn(io_, waiting_->LoadPage(7, {}, {}), note("page"));
  asio::co_spawn(io_, accounts_->Find("somebody@localhost"), note("account"));
  ASSERT_TRUE(testing::RunUntil(io_, [&] { return ended.size() == 3; }));
  EXPECT_EQ(ended.front(), "account");
}

TEST_F(PgStores, AnAccountWhoseKeysCannotBeRead_IsThere_AndTheOthersAreRead) {
  const std::vector<std::string> users{"a@unreadable", "b@unreadable", "c@unreadable"};
  for (const std::string& user : users)
    ASSERT_TRUE(testing::RunTask(io_, accounts_->Create(user, {AccountStore::Keys(1), 7}, {})).ok());
  ASSERT_TRUE(
      testing::RunTask(
          io_, pool_->Execute(0, "UPDATE accounts SET keys = '\\x0aff' WHERE owner = 'b@unreadable'", {}))
          .ok());
  EXPECT_TRUE(absl::IsDataLoss(testing::RunTask(io_, accounts_->Find("b@unreadable")).status()));
  std::vector<std::string> asked = users;
  asked.emplace_back("nobody@unreadable");
  const auto found = testing::RunTask(io_, accounts_->FindAll(asked));
  ASSERT_TRUE(found.ok()) << found.status();
  std::map<std::string, absl::StatusCode> codes;
  for (const auto& [user, account] : *found) codes[user] = account.status().code();
  const std::map<std::string, absl::StatusCode> expected{{"a@unreadable", absl::StatusCode::kOk},
                                                         {"b@unreadable", absl::StatusCode::kDataLoss},
                                                         {"c@unreadable", absl::StatusCode::kOk}};
  EXPECT_EQ(codes, expected);
}

/// Ends the server after the last test.
class StopServer : public ::testing::Environment {
 public:
  void TearDown() override { Server().Kill(); }
};
const auto* const stop_server = ::testing::AddGlobalTestEnvironment(new StopServer);

}  // namespace
}  // namespace rookery::session_manager
