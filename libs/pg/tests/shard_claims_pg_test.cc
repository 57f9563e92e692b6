// Claims on a real PostgreSQL.
#include "absl/strings/str_cat.h"
#include "rookery/pg/shard_claims.h"
#include "rookery/testing/claim_scenarios.h"
#include "rookery/testing/postgres_server.h"
#include "rookery/testing/recording_pool.h"

namespace rookery::pg {
namespace {

using testing::RecordingPool;

/// One server for all tests: each has its own shards.
testing::PostgresServer& Server() {
  static testing::PostgresServer server;
  return server;
}

constexpr char kTables[] =
    "DO $$ BEGIN "
    "CREATE TABLE IF NOT EXISTS claims (shard integer PRIMARY KEY, epoch bigint NOT NULL, turn bigint NOT "
    "NULL); "
    "CREATE TABLE IF NOT EXISTS numbers (shard integer PRIMARY KEY, value bigint NOT NULL); END $$";

const ClaimTable& Claims() {
  static const ClaimTable kTable("claims");
  return kTable;
}
const std::string& WriteSql() {
  static const std::string kSql = Claims().UnderClaim(
      "written AS (INSERT INTO numbers (shard, value) SELECT $1::integer, $4::bigint FROM claim "
      "ON CONFLICT (shard) DO UPDATE SET value = EXCLUDED.value)");
  return kSql;
}

class PgFixture : public ::testing::Test {
 protected:
  class Process {
   public:
    explicit Process(Pool& pool) : claims_(pool, Claims()) {}
    Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch) { return claims_.Claim(shard, epoch); }
    Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) { return claims_.ClaimedBy(shard); }
    /// Not in the lane of the claims, so that they do not wait for each other on one connection.
    Task<absl::Status> Write(std::uint32_t shard, std::int64_t epoch, std::int64_t value) {
      std::vector<Param> params{Param::Int(value)};
      return claims_.Execute(shard, epoch, shard + 1, WriteSql().c_str(), std::move(params));
    }

   private:
    ShardClaims claims_;
  };

  PgFixture() {
    options_.connection = Server().connection();
    pool_ = MakePool(2);
    other_pool_ = MakePool(2);
    EXPECT_TRUE(testing::RunTask(io_, pool_->Execute(0, kTables, {})).ok());
    one_ = std::make_unique<Process>(*pool_);
    other_ = std::make_unique<Process>(*other_pool_);
  }
  std::unique_ptr<RecordingPool> MakePool(std::int64_t connections) {
    Options options = options_;
    options.connections = connections;
    auto pool = std::make_unique<RecordingPool>(Pool::Create(io_, options, metrics_));
    EXPECT_TRUE(testing::RunUntil(io_, [&] { return pool->is_connected(); }));
    return pool;
  }
  asio::io_context& io() { return io_; }
  Process& one() { return *one_; }
  Process& other() { return *other_; }
  std::int64_t ValueOf(std::uint32_t shard) {
    std::vector<Param> params{Param::Int(shard)};
    const ResultOr result = testing::RunTask(
        io_, other_pool_->Execute(0, "SELECT value FROM numbers WHERE shard = $1", std::move(params)));
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() && (*result)->rows() == 1 ? (*result)->Int(0, 0) : -1;
  }
  int& to_lose() { return pool_->to_lose; }
  std::size_t asked() const { return pool_->statements.size(); }
  void DoLost(std::size_t which) {
    const ResultOr late = testing::RunTask(io_, pool_->Repeat(pool_->lost.at(which)));
    EXPECT_TRUE(late.ok()) << late.status();
  }
  void Restore(std::uint32_t shard, std::int64_t epoch, std::int64_t turn) {
    std::vector<Param> params{Param::Int(shard), Param::Int(epoch), Param::Int(turn)};
    const char* sql = epoch < 0
                          ? "WITH t AS (SELECT $2::bigint, $3::bigint) DELETE FROM claims WHERE shard = $1"
                          : "UPDATE claims SET epoch = $2, turn = $3 WHERE shard = $1";
    EXPECT_TRUE(testing::RunTask(io_, other_pool_->Execute(0, sql, std::move(params))).ok());
  }

  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  Options options_;
  std::unique_ptr<RecordingPool> pool_;
  std::unique_ptr<RecordingPool> other_pool_;
  std::unique_ptr<Process> one_;
  std::unique_ptr<Process> other_;
};

class PgQueries : public PgFixture {};

TEST_F(PgQueries, AStatementThatAnswers) {
  static const std::string kSql = Claims().UnderClaim(
      "written AS (INSERT INTO numbers (shard, value) SELECT n, $4::bigint FROM claim, "
      "generate_series(700001, 700000 + $4::integer) AS n RETURNING shard, value)",
      "SELECT shard, value FROM written");
  ShardClaims claims(*pool_, Claims());
  const auto ask = [&](std::int64_t epoch, std::int64_t value) {
    return testing::RunTask(io_, claims.Query(700'000, epoch, 0, kSql.c_str(), {Param::Int(value)}));
  };
  EXPECT_TRUE(absl::IsFailedPrecondition(ask(1, 2).status()));
  ASSERT_EQ(testing::RunTask(io_, claims.Claim(700'000, 1)), absl::OkStatus());
  ResultOr answer = ask(1, 2);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ((*answer)->rows(), 2u);
  EXPECT_EQ((*answer)->Int(0, 1) + (*answer)->Int(1, 1), 1'400'003);
  EXPECT_EQ((*answer)->Int(1, 2), 2);
  // An answer without rows is none of a claim that does not stand.
  answer = ask(1, 0);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ((*answer)->rows(), 1u);
  EXPECT_TRUE((*answer)->IsNull(0, 1));
  ASSERT_EQ(testing::RunTask(io_, other_->Claim(700'000, 2)), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(ask(1, 0).status()));
}

}  // namespace
}  // namespace rookery::pg

namespace rookery::testing {
INSTANTIATE_TYPED_TEST_SUITE_P(PostgreSql, ClaimScenarios, pg::PgFixture);
}  // namespace rookery::testing

namespace rookery::pg {
namespace {

/// One shard, claimed with epoch 5, and somebody else's transaction in the way.
class PgClaims : public PgFixture {
 protected:
  PgClaims() {
    static std::uint32_t shards = 5'000;
    shard_ = ++shards;
    EXPECT_EQ(testing::RunTask(io_, one().Claim(shard_, 5)), absl::OkStatus());
    EXPECT_EQ(testing::RunTask(io_, one().Write(shard_, 5, 1)), absl::OkStatus());
    blocker_ = MakePool(1);
  }
  /// Starts it; its answer goes to `answers_`.
  void Start(Task<absl::Status> task) {
    asio::co_spawn(io_, std::move(task),
                   [this](std::exception_ptr, const absl::Status& status) { answers_.push_back(status); });
  }
  bool AwaitAnswers(std::size_t many) {
    return testing::RunUntil(io_, [&] { return answers_.size() >= many; });
  }
  void Sql(const std::string& sql) {
    texts_.push_back(std::make_unique<std::string>(sql));  // statements are known by their address
    const ResultOr result = testing::RunTask(io_, blocker_->Execute(0, texts_.back()->c_str(), {}));
    EXPECT_TRUE(result.ok()) << result.status();
  }
  /// As a claim that is not committed yet.
  void BeginClaim() {
    Sql("BEGIN");
    Sql(absl::StrCat("UPDATE claims SET epoch = 6, turn = turn + 1 WHERE shard = ", shard_));
  }
  bool AwaitWaiters(std::int64_t many) {
    return testing::RunUntil(io_, [&] {
      const char* waiters = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
      return (*testing::RunTask(io_, blocker_->Execute(0, waiters, {})))->Int(0, 0) == many;
    });
  }

  std::uint32_t shard_ = 0;
  std::vector<absl::Status> answers_;
  std::unique_ptr<RecordingPool> blocker_;
  std::vector<std::unique_ptr<std::string>> texts_;
};

TEST_F(PgClaims, AClaimWaitsForTheStatementThatIsUnderWay) {
  Sql("BEGIN");
  Sql(absl::StrCat("SELECT FROM numbers WHERE shard = ", shard_, " FOR UPDATE"));
  Start(one().Write(shard_, 5, 2));
  ASSERT_TRUE(AwaitWaiters(1));
  Start(other().Claim(shard_, 6));
  ASSERT_TRUE(AwaitWaiters(2));
  EXPECT_TRUE(answers_.empty());
  Sql("COMMIT");
  ASSERT_TRUE(AwaitAnswers(2));
  EXPECT_EQ(answers_[0], absl::OkStatus());
  EXPECT_EQ(answers_[1], absl::OkStatus());
  // Whoever has claimed sees all that there will be of the older owner.
  EXPECT_EQ(ValueOf(shard_), 2);
  EXPECT_TRUE(absl::IsFailedPrecondition(testing::RunTask(io_, one().Write(shard_, 5, 3))));
  EXPECT_EQ(ValueOf(shard_), 2);
}

TEST_F(PgClaims, AStatementThatComesDuringAClaimChangesNothing) {
  BeginClaim();
  Start(one().Write(shard_, 5, 2));
  ASSERT_TRUE(AwaitWaiters(1));
  Sql("COMMIT");
  ASSERT_TRUE(AwaitAnswers(1));
  EXPECT_TRUE(absl::IsFailedPrecondition(answers_[0])) << answers_[0];
  EXPECT_EQ(ValueOf(shard_), 1);
}

TEST_F(PgClaims, AClaimThatFailedLeavesTheOwner) {
  BeginClaim();
  Start(one().Write(shard_, 5, 2));
  ASSERT_TRUE(AwaitWaiters(1));
  Sql("ROLLBACK");
  ASSERT_TRUE(AwaitAnswers(1));
  EXPECT_EQ(answers_[0], absl::OkStatus());
  EXPECT_EQ(ValueOf(shard_), 2);
}

TEST_F(PgClaims, AStatementIsOneAndDoesNotWaitForOthers) {
  const std::size_t before = asked();
  for (int i = 0; i < 20; ++i) Start(one().Write(shard_, 5, i));
  io_.restart();
  while (asked() - before < 20 && answers_.empty()) io_.run_one();
  EXPECT_EQ(asked() - before, 20u) << "all were given before the first one was answered";
  EXPECT_TRUE(answers_.empty());
  ASSERT_TRUE(AwaitAnswers(20));
  EXPECT_EQ(asked() - before, 20u);
}

/// Ends the server after the last test.
class StopServer : public ::testing::Environment {
 public:
  void TearDown() override { Server().Kill(); }
};
const auto* const stop_server = ::testing::AddGlobalTestEnvironment(new StopServer);

}  // namespace
}  // namespace rookery::pg
