#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "rookery/pg/pool.h"
#include "rookery/testing/postgres_server.h"
#include "rookery/testing/run_task.h"

namespace rookery::pg {
namespace {

using testing::PostgresServer;
using testing::RunTask;
using testing::RunUntil;

class PoolTest : public ::testing::Test {
 protected:
  Options MakeOptions(std::int64_t connections = 2) {
    Options options;
    options.connection = server_.connection();
    options.connections = connections;
    return options;
  }

  std::unique_ptr<Pool> Connect(Options options) {
    auto pool = Pool::Create(io_, std::move(options), metrics_);
    EXPECT_TRUE(RunUntil(io_, [&] { return pool->is_connected(); }));
    return pool;
  }

  ResultOr Run(Pool& pool, const char* sql, std::vector<Param> params = {}, std::uint64_t lane = 0) {
    return RunTask(io_, pool.Execute(lane, sql, std::move(params)));
  }

  /// Executes at once, all in one turn of the loop; the answers come in `statuses`.
  void Start(Pool& pool, std::uint64_t lane, const char* sql, std::vector<Param> params,
             std::vector<absl::Status>& statuses) {
    ++given_;
    asio::co_spawn(io_, pool.Execute(lane, sql, std::move(params)),
                   [&](std::exception_ptr, ResultOr result) { statuses.push_back(result.status()); });
  }

  /// As a standby does, though a session may ask for more. For sessions that begin later.
  void SetReadOnly(bool is_read_only) {
    Options options = MakeOptions(1);
    options.connection += " options='-c default_transaction_read_only=off'";
    const ResultOr altered =
        Run(*Connect(options), is_read_only ? "ALTER DATABASE postgres SET default_transaction_read_only = on"
                                            : "ALTER DATABASE postgres RESET default_transaction_read_only");
    EXPECT_TRUE(altered.ok()) << altered.status();
  }

  PostgresServer server_;
  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  std::size_t given_ = 0;
};

TEST_F(PoolTest, Values) {
  auto pool = Connect(MakeOptions());
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  ResultOr result =
      Run(*pool, "SELECT $1::text, $2::bigint, $3::bytea, $4::boolean, $5::text, octet_length($3::bytea)",
          {Param::Text("Zoë \"x\" \\"), Param::Int(-9007199254740993), Param::Bytes(bytes), Param::Bool(true),
           Param::Null()});
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ((*result)->rows(), 1u);
  EXPECT_EQ((*result)->Text(0, 0), "Zoë \"x\" \\");
  EXPECT_EQ((*result)->Int(0, 1), -9007199254740993);
  EXPECT_EQ((*result)->Bytes(0, 2), bytes);
  EXPECT_TRUE((*result)->Bool(0, 3));
  EXPECT_TRUE((*result)->IsNull(0, 4));
  EXPECT_EQ((*result)->Int(0, 5), 256);

  ResultOr rows = Run(*pool, "SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[])",
                      {Param::TextArray({"a,\"b\"", "\\", ""}), Param::BytesArray({bytes, "", "x"}),
                       Param::IntArray({1, -2, 3})});
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ((*rows)->rows(), 3u);
  EXPECT_EQ((*rows)->Text(0, 0), "a,\"b\"");
  EXPECT_EQ((*rows)->Text(1, 0), "\\");
  EXPECT_EQ((*rows)->Bytes(0, 1), bytes);
  EXPECT_EQ((*rows)->Bytes(1, 1), "");
  EXPECT_EQ((*rows)->Int(1, 2), -2);

  EXPECT_EQ(Run(*pool, "SELECT $1::text", {Param::Text(std::string_view("a\0b", 3))}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(PoolTest, ThousandsInOneTurnKeepTheirOrderInALane) {
  auto pool = Connect(MakeOptions(3));
  ASSERT_TRUE(Run(*pool, "CREATE TABLE log (id bigserial, lane bigint, n bigint)").ok());
  std::vector<absl::Status> statuses;
  for (int n = 0; n < 6'000; ++n) {
    const std::uint64_t lane = n % 7;
    Start(*pool, lane, "INSERT INTO log (lane, n) VALUES ($1, $2)",
          {Param::Int(static_cast<std::int64_t>(lane)), Param::Int(n)}, statuses);
  }
  ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == given_; }));
  for (const absl::Status& status : statuses) ASSERT_TRUE(status.ok()) << status;
  ResultOr wrong =
      Run(*pool,
          "SELECT count(*) FROM (SELECT n < lag(n) OVER (PARTITION BY lane ORDER BY id) AS is_wrong FROM "
          "log) AS pairs WHERE is_wrong");
  ASSERT_TRUE(wrong.ok());
  EXPECT_EQ((*wrong)->Int(0, 0), 0);
  EXPECT_EQ((*Run(*pool, "SELECT count(*) FROM log"))->Int(0, 0), 6'000);
  EXPECT_EQ((*Run(*pool, "DELETE FROM log WHERE lane = 0"))->affected(), 858);
}

TEST_F(PoolTest, LargeResultsAndParametersInBothDirections) {
  auto pool = Connect(MakeOptions(1));
  const std::string large(1 << 20, 'x');
  std::vector<absl::Status> statuses;
  // More than the socket buffers hold, in both directions at once.
  for (int i = 0; i < 20; ++i) {
    Start(*pool, 0, "SELECT $1::bytea || 'y'::bytea", {Param::Bytes(large)}, statuses);
  }
  ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == given_; }));
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

TEST_F(PoolTest, AFailedStatementHarmsNoOther) {
  auto pool = Connect(MakeOptions(1));
  ASSERT_TRUE(Run(*pool, "CREATE TABLE t (a text PRIMARY KEY)").ok());
  std::vector<absl::Status> statuses;
  const char* insert = "INSERT INTO t VALUES ($1)";
  Start(*pool, 0, insert, {Param::Text("1")}, statuses);
  Start(*pool, 0, insert, {Param::Text("1")}, statuses);
  Start(*pool, 0, insert, {Param::Text("2")}, statuses);
  Start(*pool, 0, "no SQL at all", {}, statuses);
  Start(*pool, 0, "SELECT 1/$1::int", {Param::Int(0)}, statuses);
  Start(*pool, 0, insert, {Param::Text("3")}, statuses);
  ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == given_; }));
  EXPECT_TRUE(statuses[0].ok()) << statuses[0];
  EXPECT_EQ(statuses[1].code(), absl::StatusCode::kAlreadyExists) << statuses[1];
  EXPECT_TRUE(statuses[2].ok()) << statuses[2];
  EXPECT_EQ(statuses[3].code(), absl::StatusCode::kInternal);
  EXPECT_NE(std::string(statuses[3].message()).find("42601"), std::string::npos) << statuses[3];
  EXPECT_EQ(statuses[4].code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(statuses[5].ok()) << statuses[5];
  EXPECT_EQ((*Run(*pool, "SELECT count(*) FROM t"))->Int(0, 0), 3);
}

TEST_F(PoolTest, WhatIsOfItsDataAndWhatIsOfTheDatabase) {
  auto pool = Connect(MakeOptions(1));
  ASSERT_TRUE(Run(*pool, "CREATE TABLE t (a bigint PRIMARY KEY CHECK (a < 9)) PARTITION BY RANGE (a)").ok());
  ASSERT_TRUE(Run(*pool, "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)").ok());
  const auto status = [&](const char* sql, std::vector<Param> params = {}) {
    return Run(*pool, sql, std::move(params)).status();
  };
  absl::Status refused = status("SELECT $1::text", {Param::Text("\xff")});
  EXPECT_EQ(SqlStateOf(refused), "22021");
  EXPECT_TRUE(IsOfItsData(refused));
  refused = status("INSERT INTO t VALUES (9)");
  EXPECT_EQ(SqlStateOf(refused), "23514");
  EXPECT_TRUE(IsOfItsData(refused));
  EXPECT_FALSE(IsForWantOfPartition(refused));
  EXPECT_TRUE(IsOfItsData(status("INSERT INTO t VALUES (1), (1)")));
  refused = status("INSERT INTO t VALUES (-1)");
  EXPECT_EQ(SqlStateOf(refused), "23514");
  EXPECT_TRUE(IsForWantOfPartition(refused));
  EXPECT_FALSE(IsOfItsData(refused));
  for (const char* sql : {"SELECT * FROM missing", "SELECT nothing(", "SELECT 1 FROM t FOR nothing"})
    EXPECT_FALSE(IsOfItsData(status(sql))) << sql;
  EXPECT_FALSE(IsOfItsData(absl::OkStatus()));
  EXPECT_EQ(SqlStateOf(absl::InternalError("22021 said by nobody")), "");
}

TEST_F(PoolTest, SettingsOfOurOwnStandBehindTheOperators) {
  Options options = MakeOptions(1);
  options.connection += " options='-c enable_sort=on -c work_mem=2MB'";
  options.session_settings = "-c enable_sort=off -c jit=off";
  auto pool = Connect(options);
  const ResultOr result = Run(*pool,
                              "SELECT current_setting('enable_sort'), current_setting('work_mem'), "
                              "current_setting('jit')");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)->Text(0, 0), "off");
  EXPECT_EQ((*result)->Text(0, 1), "2MB");
  EXPECT_EQ((*result)->Text(0, 2), "off");
}

TEST_F(PoolTest, ARefusedStatementMayWorkLater) {
  auto pool = Connect(MakeOptions(1));
  const char* select = "SELECT * FROM later";
  EXPECT_EQ(Run(*pool, select).status().code(), absl::StatusCode::kInternal);
  ASSERT_TRUE(Run(*pool, "CREATE TABLE later (a int)").ok());
  EXPECT_TRUE(Run(*pool, select).ok());
  // A migration under a running process makes the prepared plan stale.
  ASSERT_TRUE(Run(*pool, "ALTER TABLE later ADD COLUMN b int").ok());
  EXPECT_EQ(Run(*pool, select).status().code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(Run(*pool, select).ok());
}

TEST_F(PoolTest, StatementsThatTakeTooLong) {
  Options options = MakeOptions(1);
  options.timeout = std::chrono::milliseconds(400);
  auto pool = Connect(options);
  std::vector<absl::Status> statuses;
  Start(*pool, 0, "SELECT pg_sleep(20)", {}, statuses);
  ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == given_; }));
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kDeadlineExceeded) << statuses[0];
  ASSERT_TRUE(RunUntil(io_, [&] { return pool->is_connected(); }));
  EXPECT_TRUE(Run(*pool, "SELECT 1").ok());
  // The server gave it up, too.
  EXPECT_TRUE(RunUntil(io_, [&] {
    return (*Run(*pool,
                 "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)' AND state = "
                 "'active'"))
               ->Int(0, 0) == 0;
  }));
}

TEST_F(PoolTest, ASlowStatementFailsAlone) {
  Options options = MakeOptions(1);
  options.timeout = std::chrono::milliseconds(400);
  auto pool = Connect(options);
  const std::int64_t backend = (*Run(*pool, "SELECT pg_backend_pid()"))->Int(0, 0);
  std::vector<absl::Status> statuses;
  Start(*pool, 0, "SELECT pg_sleep(20)", {}, statuses);
  Start(*pool, 1, "SELECT 1", {}, statuses);
  Start(*pool, 2, "SELECT 2", {}, statuses);
  ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == given_; }));
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kDeadlineExceeded);
  // query_canceled: by the server.
  EXPECT_NE(std::string(statuses[0].message()).find("57014"), std::string::npos) << statuses[0];
  EXPECT_TRUE(statuses[1].ok()) << statuses[1];
  EXPECT_TRUE(statuses[2].ok()) << statuses[2];
  EXPECT_EQ((*Run(*pool, "SELECT pg_backend_pid()"))->Int(0, 0), backend);
}

TEST_F(PoolTest, BehindManySlowStatementsOthersAreGivenUp_AndTheConnectionStays) {
  Options options = MakeOptions(1);
  options.timeout = std::chrono::milliseconds(400);
  auto pool = Connect(options);
  const std::int64_t backend = (*Run(*pool, "SELECT pg_backend_pid()"))->Int(0, 0);
  std::vector<absl::Status> statuses;
  for (int i = 0; i < 4; ++i) Start(*pool, 0, "SELECT pg_sleep(20)", {}, statuses);
  Start(*pool, 1, "SELECT 1", {}, statuses);
  ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == given_; }));
  for (const absl::Status& status : statuses)
    EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  EXPECT_EQ(statuses.back().message(), "statements before it took too long");
  // The answers that come all the same are nobody's.
  EXPECT_TRUE(RunUntil(io_, [&] {
    const ResultOr pid = Run(*pool, "SELECT pg_backend_pid()");
    return pid.ok() && (*pid)->Int(0, 0) == backend;
  }));
}

TEST_F(PoolTest, AFrozenServerCostsTheConnectionAndTheTimeLimit) {
  Options options = MakeOptions(1);
  options.timeout = std::chrono::milliseconds(400);
  auto pool = Connect(options);
  const std::int64_t backend = (*Run(*pool, "SELECT pg_backend_pid()"))->Int(0, 0);
  kill(static_cast<pid_t>(backend), SIGSTOP);
  std::vector<absl::Status> statuses;
  Start(*pool, 0, "SELECT 1", {}, statuses);
  Start(*pool, 0, "SELECT 2", {}, statuses);
  ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == given_; }));
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(statuses[1].code(), absl::StatusCode::kUnavailable);
  kill(static_cast<pid_t>(backend), SIGCONT);
  ASSERT_TRUE(RunUntil(io_, [&] { return pool->is_connected(); }));
  EXPECT_TRUE(Run(*pool, "SELECT 1").ok());
}

TEST_F(PoolTest, ServerStoppedAndStartedAgain) {
  auto pool = Connect(MakeOptions());
  ASSERT_TRUE(Run(*pool, "CREATE TABLE kept (a int)").ok());
  for (const bool is_crash : {false, true}) {
    std::vector<absl::Status> statuses;
    given_ = 0;
    Start(*pool, 0, "SELECT pg_sleep(3)", {}, statuses);
    io_.restart();
    io_.poll();
    is_crash ? server_.Kill() : server_.Stop();
    ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == given_; }));
    EXPECT_EQ(statuses[0].code(), absl::StatusCode::kUnavailable) << statuses[0];
    ASSERT_TRUE(RunUntil(io_, [&] { return !pool->is_connected(); }));
    RunUntil(io_, [] { return false; }, std::chrono::milliseconds(300));
    EXPECT_EQ(Run(*pool, "SELECT 1").status().code(), absl::StatusCode::kUnavailable);
    server_.Start();
    ASSERT_TRUE(RunUntil(io_, [&] { return pool->is_connected(); }));
    EXPECT_TRUE(Run(*pool, "SELECT * FROM kept").ok());
  }
}

TEST_F(PoolTest, AServerThatBecameAStandbyIsLeftAndFoundAgainAsThePrimary) {
  auto pool = Connect(MakeOptions(1));
  ASSERT_TRUE(Run(*pool, "CREATE TABLE t (a int)").ok());
  const char* insert = "INSERT INTO t VALUES (1)";
  ASSERT_TRUE(Run(*pool, insert).ok());
  SetReadOnly(true);
  ASSERT_TRUE(Run(*pool, "SET default_transaction_read_only = on").ok());
  EXPECT_EQ(Run(*pool, insert).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(RunUntil(io_, [&] { return pool->is_connected(); }, std::chrono::milliseconds(500)));
  SetReadOnly(false);
  ASSERT_TRUE(RunUntil(io_, [&] { return pool->is_connected(); }));
  const ResultOr inserted = Run(*pool, insert);
  EXPECT_TRUE(inserted.ok()) << inserted.status();
}

TEST_F(PoolTest, WhereStandbysAreWelcomeTheFirstChangeRefusedEndsTheSession) {
  ASSERT_TRUE(Run(*Connect(MakeOptions(1)), "CREATE TABLE t (a int)").ok());
  SetReadOnly(true);
  Options options = MakeOptions(1);
  options.connection += " target_session_attrs=any";
  auto pool = Connect(options);
  EXPECT_TRUE(Run(*pool, "SELECT * FROM t").ok());
  const char* insert = "INSERT INTO t VALUES (1)";
  EXPECT_EQ(Run(*pool, insert).status().code(), absl::StatusCode::kUnavailable);
  SetReadOnly(false);
  EXPECT_TRUE(RunUntil(io_, [&] { return Run(*pool, insert).ok(); }));
}

TEST_F(PoolTest, OfSeveralServersTheOneThatTakesChanges) {
  SetReadOnly(true);
  PostgresServer primary;
  Options options = MakeOptions(1);
  options.connection = absl::StrCat("host=127.0.0.1,localhost port=", server_.port(), ",", primary.port(),
                                    " user=rookery dbname=postgres");
  auto pool = Connect(options);
  EXPECT_TRUE(Run(*pool, "CREATE TABLE t (a int)").ok());
  EXPECT_EQ((*Run(*pool, "SELECT inet_server_port()"))->Int(0, 0), primary.port());
}

TEST_F(PoolTest, NamesAreResolvedAndTheUnixSocketWorks) {
  Options options = MakeOptions(1);
  options.connection = absl::StrCat("postgresql://rookery@localhost:", server_.port(), "/postgres");
  EXPECT_TRUE(Run(*Connect(options), "SELECT 1").ok());
  options.connection = server_.socket_connection();
  EXPECT_TRUE(Run(*Connect(options), "SELECT 1").ok());
  // Where nobody listens comes first.
  options.connection =
      absl::StrCat("host=127.0.0.1,localhost port=1,", server_.port(), " user=rookery dbname=postgres");
  EXPECT_TRUE(Run(*Connect(options), "SELECT 1").ok());
}

TEST_F(PoolTest, OptionsOfTheOperatorStandBesideOurs) {
  Options options = MakeOptions(1);
  options.connection += " options='-c work_mem=3MB -c statement_timeout=0 -c bytea_output=escape'";
  options.timeout = std::chrono::milliseconds(4'321);
  auto pool = Connect(options);
  ResultOr result = Run(*pool,
                        "SELECT current_setting('work_mem'), current_setting('statement_timeout'), "
                        "current_setting('bytea_output')");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)->Text(0, 0), "3MB");
  EXPECT_EQ((*result)->Text(0, 1), "4321ms");
  EXPECT_EQ((*result)->Text(0, 2), "hex");
}

TEST_F(PoolTest, WaitingStatementsAreBounded) {
  Options options = MakeOptions(1);
  options.max_waiting = 10;
  auto pool = Connect(options);
  std::vector<absl::Status> statuses;
  for (int i = 0; i < 12; ++i) Start(*pool, 0, "SELECT 1", {}, statuses);
  ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == given_; }));
  EXPECT_EQ(std::count_if(statuses.begin(), statuses.end(), absl::IsUnavailable), 2);
  EXPECT_TRUE(Run(*pool, "SELECT 1").ok());
}

TEST_F(PoolTest, DestroyedWithStatementsInFlight) {
  auto pool = Connect(MakeOptions());
  std::vector<absl::Status> statuses;
  Start(*pool, 0, "SELECT pg_sleep(5)", {}, statuses);
  io_.restart();
  io_.poll();
  pool.reset();
  ASSERT_TRUE(RunUntil(io_, [&] { return statuses.size() == given_; }));
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace rookery::pg
