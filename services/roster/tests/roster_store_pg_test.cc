#include <gtest/gtest.h>

#include "adapters/pg_roster_store.h"
#include "keeper_scenarios.h"
#include "migrations.h"
#include "rookery/testing/postgres_server.h"

namespace rookery::roster {
namespace {

class PgFixture : public ::testing::Test {
 protected:
  PgFixture() {
    pg::Options options;
    options.connection = server_.connection();
    EXPECT_TRUE(testing::RunTask(io_, pg::Migrate(io_, options, "roster", Migrations())).ok());
    pool_ = pg::Pool::Create(io_, options, metrics_);
    EXPECT_TRUE(testing::RunUntil(io_, [this] { return pool_->is_connected(); }));
    store_ = std::make_unique<PgRosterStore>(*pool_);
  }
  asio::io_context& io() { return io_; }
  RosterStore& store() { return *store_; }

  testing::PostgresServer server_;
  asio::io_context io_;
  telemetry::Metrics metrics_{"test"};
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<PgRosterStore> store_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(PostgreSql, KeeperScenarios, PgFixture);

class PgStore : public PgFixture {};

TEST_F(PgStore, CompareAndSet) {
  Contact contact;
  contact.jid = "a@b";
  contact.listed = true;
  ASSERT_TRUE(testing::RunTask(io_, store_->Save("u@x", contact, true)).ok());
  // Somebody else's insert of the same, and a change on top of what is no longer there.
  EXPECT_TRUE(absl::IsAborted(testing::RunTask(io_, store_->Save("u@x", contact, true)).status()));
  contact.revision = 5;
  EXPECT_TRUE(absl::IsAborted(testing::RunTask(io_, store_->Save("u@x", contact, true)).status()));
  EXPECT_TRUE(absl::IsAborted(testing::RunTask(io_, store_->Remove("u@x", "a@b", 5, true)).status()));
  const auto before = testing::RunTask(io_, store_->Load("u@x"));
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(before->contacts.size(), 1u);
  contact.revision = before->contacts[0].revision;
  contact.name = "n";
  const auto version = testing::RunTask(io_, store_->Save("u@x", contact, true));
  ASSERT_TRUE(version.ok()) << version.status();
  // The lost races left the version alone.
  EXPECT_EQ(*version, before->version + 1);
  // Nobody else's roster was touched.
  EXPECT_TRUE(testing::RunTask(io_, store_->Load("v@x"))->contacts.empty());
}

TEST_F(PgStore, TheServerAway) {
  server_.Stop();
  ASSERT_TRUE(testing::RunUntil(io_, [this] { return !pool_->is_connected(); }));
  EXPECT_EQ(testing::RunTask(io_, store_->Load("u@x")).status().code(), absl::StatusCode::kUnavailable);
  server_.Start();
  ASSERT_TRUE(testing::RunUntil(io_, [this] { return pool_->is_connected(); }));
  EXPECT_TRUE(testing::RunTask(io_, store_->Load("u@x")).ok());
}

}  // namespace
}  // namespace rookery::roster
