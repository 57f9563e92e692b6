#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "rookery/pg/pool.h"
#include "rookery/testing/postgres_server.h"
#include "rookery/testing/run_task.h"

namespace rookery::pg {
namespace {

using testing::RunTask;
using testing::RunUntil;

class MigrateTest : public ::testing::Test {
 protected:
  MigrateTest() { options_.connection = server_.connection(); }

  absl::Status Run(std::string component, std::vector<Migration> migrations) {
    return RunTask(io_, Migrate(io_, options_, std::move(component), std::move(migrations)));
  }

  ResultOr Query(const char* sql) {
    auto pool = Pool::Create(io_, options_, metrics_);
    EXPECT_TRUE(RunUntil(io_, [&] { return pool->is_connected(); }));
    return RunTask(io_, pool->Execute(0, sql, {}));
  }

  testing::PostgresServer server_;
  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  Options options_;
  const std::vector<Migration> two_{
      {1, "first", "CREATE TABLE a (x int); CREATE TABLE b (x int);"},
      {2, "it's second", "ALTER TABLE a ADD COLUMN y text DEFAULT 'y;' -- odd"}};
};

TEST_F(MigrateTest, InOrderAndOnce) {
  EXPECT_TRUE(Run("roster", {two_[0]}).ok());
  EXPECT_TRUE(Run("roster", two_).ok());
  EXPECT_TRUE(Run("roster", two_).ok());
  ResultOr rows =
      Query("SELECT version, name, applied_at > now() - interval '1 minute' FROM schema_migrations");
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ((*rows)->rows(), 2u);
  EXPECT_EQ((*rows)->Text(1, 1), "it's second");
  EXPECT_TRUE((*rows)->Bool(1, 2));
  EXPECT_TRUE(Query("SELECT y FROM a").ok());
}

TEST_F(MigrateTest, ComponentsHaveTheirOwnNumbers) {
  EXPECT_TRUE(Run("roster", two_).ok());
  EXPECT_TRUE(Run("session-manager", {{1, "x", "CREATE TABLE c (x int)"}}).ok());
  EXPECT_EQ((*Query("SELECT count(*) FROM schema_migrations"))->Int(0, 0), 3);
}

TEST_F(MigrateTest, ManyAtOnce) {
  std::vector<absl::Status> statuses;
  for (int i = 0; i < 8; ++i) {
    asio::co_spawn(io_, Migrate(io_, options_, "roster", two_),
                   [&](std::exception_ptr, absl::Status status) { statuses.push_back(status); });
  }
  ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == 8; }));
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ((*Query("SELECT count(*) FROM schema_migrations"))->Int(0, 0), 2);
}

TEST_F(MigrateTest, ANewerDatabaseIsLeftAlone) {
  EXPECT_TRUE(Run("roster", two_).ok());
  const absl::Status status = Run("roster", {two_[0]});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
}

TEST_F(MigrateTest, AFailedMigrationLeavesNothing) {
  const absl::Status status = Run("roster", {{1, "bad", "CREATE TABLE a (x int); CREATE TABLE a (x int)"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
  EXPECT_EQ((*Query("SELECT count(*) FROM schema_migrations"))->Int(0, 0), 0);
  EXPECT_TRUE(Run("roster", two_).ok());
}

TEST_F(MigrateTest, NobodyThere) {
  server_.Stop();
  EXPECT_EQ(Run("roster", two_).code(), absl::StatusCode::kUnavailable);
  options_.connection = "no = such = thing";
  EXPECT_EQ(Run("roster", two_).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace rookery::pg
