// The stores on a real PostgreSQL.
#include "adapters/pg_account_store.h"
#include "adapters/pg_waiting_store.h"
#include "migrations.h"
#include "rookery/testing/postgres_server.h"
#include "store_scenarios.h"

namespace rookery::session_manager {
namespace {

/// One server for all tests: each has its own users and shards.
testing::PostgresServer& Server() {
  static auto* server = new testing::PostgresServer();
  return *server;
}

class PgFixture : public ::testing::Test {
 protected:
  PgFixture() {
    options_.connection = Server().connection();
    EXPECT_TRUE(testing::RunTask(io_, pg::Migrate(io_, options_, "session-manager", Migrations())).ok());
    pool_ = pg::Pool::Create(io_, options_, metrics_);
    EXPECT_TRUE(testing::RunUntil(io_, [&] { return pool_->is_connected(); }));
    accounts_ = std::make_unique<PgAccountStore>(*pool_);
    waiting_ = std::make_unique<PgWaitingStore>(*pool_);
  }
  asio::io_context& io() { return io_; }
  AccountStore& accounts() { return *accounts_; }
  WaitingStore& waiting() { return *waiting_; }

  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  pg::Options options_;
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<PgAccountStore> accounts_;
  std::unique_ptr<PgWaitingStore> waiting_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(PostgreSql, StoreScenarios, PgFixture);

/// Ends the server after the last test.
class StopServer : public ::testing::Environment {
 public:
  void TearDown() override { Server().Kill(); }
};
const auto* const stop_server = ::testing::AddGlobalTestEnvironment(new StopServer);

}  // namespace
}  // namespace rookery::session_manager
