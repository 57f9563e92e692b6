#pragma once

// A store of archives on a real PostgreSQL. The tests of a program share one server; each has owners of its
// own.
#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <vector>

#include "adapters/pg_archive_store.h"
#include "migrations.h"
#include "rookery/testing/postgres_server.h"
#include "rookery/testing/recording_pool.h"
#include "rookery/testing/run_task.h"

namespace rookery::search {

/// Ended after the last test.
testing::PostgresServer& ArchiveServer();

class PgArchiveFixture : public ::testing::Test {
 protected:
  explicit PgArchiveFixture(ArchivePeriod period = ArchivePeriod::kMonth) : period_(period) {
    options_.connection = ArchiveServer().connection();
    Open();
  }
  /// A database of its own from now on.
  void Renew() {
    static int databases = 0;
    const std::string name = "renewed" + std::to_string(++databases);
    Sql("CREATE DATABASE " + name);
    options_.connection = ArchiveServer().connection() + " dbname=" + name;
    sql_pool_.reset();
    Open();
  }
  void Open() {
    EXPECT_EQ(testing::RunTask(io_, pg::Migrate(io_, options_, "search", Migrations())), absl::OkStatus());
    pool_ = MakePool();
    reading_pool_ = MakePool();
    other_pool_ = MakePool();
    store_ = std::make_unique<PgArchiveStore>(*pool_, *reading_pool_, period_);
    other_ = std::make_unique<PgArchiveStore>(*other_pool_, *reading_pool_, period_);
  }
  std::unique_ptr<testing::RecordingPool> MakePool(const std::string& settings = {},
                                                   std::int64_t connections = 2) {
    pg::Options options = PgArchiveStore::PoolOptions(options_);
    options.session_settings += " " + settings;
    options.connections = connections;
    auto pool = std::make_unique<testing::RecordingPool>(pg::Pool::Create(io_, options, metrics_));
    EXPECT_TRUE(testing::RunUntil(io_, [&] { return pool->is_connected(); }));
    return pool;
  }
  /// Somebody else's statement, as it is written.
  pg::ResultOr Ask(const std::string& sql) {
    if (!sql_pool_) sql_pool_ = MakePool("-c plan_cache_mode=force_generic_plan", 1);
    texts_.push_back(std::make_unique<std::string>(sql));  // statements are known by their address
    return testing::RunTask(io_, sql_pool_->Execute(0, texts_.back()->c_str(), {}));
  }
  std::unique_ptr<pg::Result> Sql(const std::string& sql) {
    pg::ResultOr result = Ask(sql);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : nullptr;
  }
  std::int64_t Number(const std::string& sql) {
    const auto result = Sql(sql);
    return result && result->rows() == 1 ? result->Int(0, 0) : -1;
  }
  template <typename T>
  T Wait(Task<T> task) {
    return testing::RunTask(io_, std::move(task));
  }
  asio::io_context& io() { return io_; }
  ArchiveStore& store() { return *store_; }
  ArchiveStore& other() { return *other_; }

  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  pg::Options options_;
  const ArchivePeriod period_;
  std::unique_ptr<testing::RecordingPool> pool_;
  std::unique_ptr<testing::RecordingPool> reading_pool_;
  std::unique_ptr<testing::RecordingPool> other_pool_;
  std::unique_ptr<PgArchiveStore> store_;
  std::unique_ptr<PgArchiveStore> other_;
  std::unique_ptr<testing::RecordingPool> sql_pool_;
  std::vector<std::unique_ptr<std::string>> texts_;
};

}  // namespace rookery::search
