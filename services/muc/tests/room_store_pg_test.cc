// The store of rooms on a real PostgreSQL.
#include <boost/asio/co_spawn.hpp>

#include "adapters/pg_room_store.h"
#include "migrations.h"
#include "rookery/testing/hand_clock.h"
#include "rookery/testing/postgres_server.h"
#include "rookery/testing/recording_pool.h"
#include "room_list_scenarios.h"

namespace rookery::muc {
namespace {

/// One server for all tests: each has its own shards and services.
testing::PostgresServer& Server() {
  static testing::PostgresServer server;
  return server;
}

using testing::RecordingPool;

class PgFixture : public ::testing::Test {
 protected:
  PgFixture() {
    options_.connection = Server().connection();
    EXPECT_TRUE(testing::RunTask(io_, pg::Migrate(io_, options_, "muc", Migrations())).ok());
    pool_ = MakePool(options_);
    reading_pool_ = MakePool(options_);
    list_pool_ = MakePool(options_);
    other_pool_ = MakePool(options_);
    store_ = std::make_unique<PgRoomStore>(*pool_, *reading_pool_, *list_pool_);
    other_ = std::make_unique<PgRoomStore>(*other_pool_, *reading_pool_, *list_pool_);
  }
  std::unique_ptr<RecordingPool> MakePool(const pg::Options& options) {
    auto pool = std::make_unique<RecordingPool>(pg::Pool::Create(io_, options, metrics_));
    EXPECT_TRUE(testing::RunUntil(io_, [&] { return pool->is_connected(); }));
    return pool;
  }
  asio::io_context& io() { return io_; }
  RoomStore& store() { return *store_; }
  RoomStore& other() { return *other_; }

  telemetry::Metrics metrics_{"test"};
  asio::io_context io_;
  pg::Options options_;
  std::unique_ptr<RecordingPool> pool_;
  std::unique_ptr<RecordingPool> reading_pool_;
  std::unique_ptr<RecordingPool> list_pool_;
  std::unique_ptr<RecordingPool> other_pool_;
  std::unique_ptr<PgRoomStore> store_;
  std::unique_ptr<PgRoomStore> other_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(PostgreSql, RoomStoreScenarios, PgFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(PostgreSql, RoomListScenarios, PgFixture);

/// One shard, claimed with epoch 5.
class PgRooms : public PgFixture, public RoomStoreTools {
 protected:
  PgRooms() {
    static std::uint32_t shards = 5'000;
    shard_ = ++shards;
    service_ = "conference.pg" + std::to_string(shard_) + ".example";
    EXPECT_EQ(Run(store_->Claim(shard_, 5)), absl::OkStatus());
  }
  template <typename T>
  T Run(Task<T> task) {
    return testing::RunTask(io_, std::move(task));
  }
  RoomChanges Changes(const std::string& name, std::int64_t applied) const {
    RoomChanges changes;
    changes.room = name + "@" + service_;
    changes.applied = applied;
    return changes;
  }
  absl::Status Save(RoomChanges changes) { return Run(store_->Save(shard_, 5, std::move(changes))); }
  /// -1: it is not there.
  std::int64_t Applied(const std::string& name) {
    const auto rooms = Run(store_->Load(shard_, {name + "@" + service_}, 1));
    EXPECT_TRUE(rooms.ok()) << rooms.status();
    return rooms.ok() && !rooms->rooms.empty() && !rooms->rooms.front().is_destroyed
               ? rooms->rooms.front().applied
               : -1;
  }
  /// Starts it; its answer goes to `answers`.
  void Start(Task<absl::Status> task) {
    asio::co_spawn(io_, std::move(task),
                   [this](std::exception_ptr, const absl::Status& status) { answers_.push_back(status); });
  }
  bool AwaitAnswers(std::size_t many) {
    return testing::RunUntil(io_, [&] { return answers_.size() >= many; });
  }
  /// Somebody else's transaction.
  void Sql(const std::string& sql) {
    if (!blocker_) {
      pg::Options one = options_;
      one.connections = 1;
      blocker_ = MakePool(one);
    }
    texts_.push_back(std::make_unique<std::string>(sql));  // statements are known by their address
    const pg::ResultOr result = Run(blocker_->Execute(0, texts_.back()->c_str(), {}));
    EXPECT_TRUE(result.ok()) << result.status();
  }
  std::uint32_t shard_ = 0;
  std::string service_;
  std::vector<absl::Status> answers_;
  std::unique_ptr<RecordingPool> blocker_;
  std::vector<std::unique_ptr<std::string>> texts_;
};

// ---- faults -----------------------------------------------------------------

TEST_F(PgRooms, TheServerWasAway) {
  ASSERT_EQ(Save(Changes("r", 1)), absl::OkStatus());
  Server().Stop();
  ASSERT_TRUE(testing::RunUntil(io_, [&] { return !pool_->is_connected(); }));
  EXPECT_TRUE(absl::IsUnavailable(Save(Changes("r", 2))));
  EXPECT_TRUE(absl::IsUnavailable(Run(store_->Load(shard_, {"r@" + service_}, 1)).status()));
  Server().Start();
  ASSERT_TRUE(testing::RunUntil(io_, [&] { return pool_->is_connected() && reading_pool_->is_connected(); }));
  EXPECT_EQ(Save(Changes("r", 3)), absl::OkStatus());
  EXPECT_EQ(Applied("r"), 3);
}

// ---- cost -------------------------------------------------------------------

TEST_F(PgRooms, ASaveIsOneStatementAndDoesNotWaitForOthers) {
  const std::size_t before = pool_->statements.size();
  RoomChanges changes = Changes("r", 1);
  changes.affiliations = {Entry("juliet@example.org", v1::AFFILIATION_OWNER)};
  changes.occupants = {OccupantOf("Juliet")};
  changes.history = {Past(1), Past(2)};
  for (int i = 0; i < 20; ++i) {
    changes.room = std::to_string(i) + "@" + service_;
    Start(store_->Save(shard_, 5, changes));
  }
  io_.restart();
  while (pool_->statements.size() - before < 20 && answers_.empty()) io_.run_one();
  // All were given before the first one was answered.
  EXPECT_EQ(pool_->statements.size() - before, 20u);
  EXPECT_TRUE(answers_.empty());
  ASSERT_TRUE(AwaitAnswers(20));
  EXPECT_EQ(pool_->statements.size() - before, 20u);
}

TEST_F(PgRooms, ARoomIsNotLoadedInTheMiddleOfASave) {
  constexpr std::int64_t kSaves = 300;
  const auto save_all = [this]() -> Task<absl::Status> {
    for (std::int64_t i = 1; i <= kSaves; ++i) {
      RoomChanges changes = Changes("r", i);
      const auto id = static_cast<std::uint64_t>(i);
      changes.affiliations = {Entry("juliet@example.org", v1::AFFILIATION_OWNER, "", id)};
      changes.occupants = {OccupantOf("Juliet", std::to_string(i))};
      changes.history = {Past(id)};
      changes.history_from = id;
      const absl::Status saved = co_await store_->Save(shard_, 5, std::move(changes));
      if (!saved.ok()) co_return saved;
    }
    co_return absl::OkStatus();
  };
  Start(save_all());
  std::int64_t loads = 0, last = 0;
  while (answers_.empty()) {
    const auto rooms = Run(store_->Load(shard_, {"r@" + service_}, 1));
    ASSERT_TRUE(rooms.ok()) << rooms.status();
    if (rooms->rooms.empty()) continue;
    const StoredRoom& room = rooms->rooms.front();
    ASSERT_EQ(room.affiliations.size(), 1u);
    ASSERT_EQ(room.affiliations[0].version(), static_cast<std::uint64_t>(room.applied));
    ASSERT_EQ(room.occupants[0].occupant_id(), std::to_string(room.applied));
    ASSERT_THAT(Ids(room), ::testing::ElementsAre(static_cast<std::uint64_t>(room.applied)));
    ASSERT_GE(room.applied, last);
    last = room.applied;
    ++loads;
  }
  EXPECT_EQ(answers_[0], absl::OkStatus());
  EXPECT_GT(loads, 20);
}

class PgManyRooms : public PgRooms {
 protected:
  static constexpr std::int64_t kRooms = 4 * PgRoomList::kCounted;

  PgManyRooms() {
    // Rooms of this service and, between them, of another one.
    Sql("INSERT INTO muc_rooms SELECT to_char(n, 'FM000000') || '@' || s, 5, 1, '', s, true, true, '', '', "
        "'', "
        "-(n % 1000), true, true, '', CASE WHEN n % 1000 = 7 THEN 'rare' ELSE 'frequent' END, '' "
        "FROM generate_series(0, " +
        std::to_string(kRooms - 1) + ") AS n, unnest(ARRAY['" + service_ + "', 'other." + service_ +
        "']) AS s");
    Sql("ANALYZE muc_rooms");
    // The plan for all parameters is the one that every page has sooner or later.
    pg::Options one = options_;
    one.connections = 1;
    one.connection += " options='-c plan_cache_mode=force_generic_plan'";
    list_pool_ = MakePool(one);
    store_ = std::make_unique<PgRoomStore>(*pool_, *reading_pool_, *list_pool_, clock_);
  }
  ~PgManyRooms() override { Sql("DELETE FROM muc_rooms WHERE service LIKE '%" + service_ + "'"); }

  std::string Room(std::int64_t number) const {
    const std::string digits = std::to_string(number);
    return std::string(6 - digits.size(), '0') + digits + "@" + service_;
  }
  struct Reads {
    std::int64_t entries = 0;
    std::int64_t scans_of_the_table = 0;
  };
  Reads ReadSoFar() {
    // Flushes the statistics of the connection whose turn it is.
    EXPECT_TRUE(Run(list_pool_->Execute(0, "SELECT pg_stat_force_next_flush()", {})).ok());
    const char* sums =
        "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'muc_rooms'), "
        "(SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'muc_rooms')";
    const pg::ResultOr result = Run(blocker_->Execute(0, sums, {}));
    return {(*result)->Int(0, 0), (*result)->Int(0, 1)};
  }
  /// Returns what a statement of a list reads. The first one is that of the page, unless a place is looked
  /// for.
  Reads ReadsOf(const RoomQuery& query, std::size_t which) {
    const std::size_t first = list_pool_->statements.size() + which;
    const auto page = Run(store_->List(query));
    EXPECT_TRUE(page.ok()) << page.status();
    const Reads before = ReadSoFar();
    EXPECT_TRUE(Run(list_pool_->Repeat(list_pool_->statements.at(first))).ok());
    const Reads after = ReadSoFar();
    return {after.entries - before.entries, after.scans_of_the_table - before.scans_of_the_table};
  }
  RoomQuery Query() const {
    RoomQuery query;
    query.service = service_;
    query.max = 50;
    return query;
  }

  testing::HandClock clock_;
};

TEST_F(PgManyRooms, APageCostsWhatItShows) {
  for (const bool is_backward : {false, true}) {
    for (const std::int64_t number : {std::int64_t{0}, kRooms / 2, kRooms - 1}) {
      RoomQuery query = Query();
      (is_backward ? query.before : query.after) = Room(number);
      // Its keys in one index, and the rooms by their own.
      Reads reads = ReadsOf(query, 0);
      EXPECT_LE(reads.entries, 2 * query.max + 1) << number << is_backward;
      EXPECT_EQ(reads.scans_of_the_table, 0);
      query.sort_key = RoomQuery::SortKey::kOccupants;
      reads = ReadsOf(query, 1);
      EXPECT_LE(reads.entries, 2 * query.max + 1) << number << is_backward;
      EXPECT_EQ(reads.scans_of_the_table, 0);
    }
  }
}

TEST_F(PgManyRooms, NoMoreIsReadThanIsCounted) {
  for (const auto key : {RoomQuery::SortKey::kAddress, RoomQuery::SortKey::kOccupants}) {
    RoomQuery query = Query();
    query.sort_key = key;
    query.before = "";
    const Reads reads = ReadsOf(query, 1);
    EXPECT_LE(reads.entries, 2 * (PgRoomList::kCounted + 1) + 1);
    EXPECT_EQ(reads.scans_of_the_table, 0);
  }
}

TEST_F(PgManyRooms, TheirNumberIsRemembered) {
  RoomPage page = *Run(store_->List(Query()));
  EXPECT_EQ(page.count, kRooms);
  EXPECT_THAT(page.first_index, Optional(0));
  Sql("DELETE FROM muc_rooms WHERE room = '" + Room(0) + "'");
  page = *Run(store_->List(Query()));
  EXPECT_EQ(page.rooms.front().room, Room(1));
  EXPECT_EQ(page.count, kRooms);
  clock_.Advance(std::chrono::minutes(1));
  EXPECT_EQ(Run(store_->List(Query()))->count, kRooms - 1);
  // As far as they are counted for a page, its number is known.
  RoomQuery query = Query();
  query.after = Room(PgRoomList::kCounted - 1);
  EXPECT_THAT(Run(store_->List(query))->first_index, Optional(PgRoomList::kCounted - 1));
  query.after = Room(PgRoomList::kCounted + 1);
  EXPECT_EQ(Run(store_->List(query))->first_index, std::nullopt);
  query.index = kRooms - 51;
  page = *Run(store_->List(query));
  EXPECT_THAT(page.first_index, Optional(kRooms - 51));
  EXPECT_EQ(page.rooms.back().room, Room(kRooms - 1));
}

TEST_F(PgManyRooms, ASearchThatFindsMany) {
  RoomQuery query = Query();
  query.text = "frequent";
  RoomPage page = *Run(store_->List(query));
  EXPECT_EQ(page.rooms.size(), 50u);
  EXPECT_EQ(page.count, PgRoomList::kCounted);
  query.text = "rare";
  page = *Run(store_->List(query));
  EXPECT_EQ(page.count, kRooms / 1'000);
  EXPECT_EQ(page.rooms.front().room, Room(7));
}

/// Ends the server after the last test.
class StopServer : public ::testing::Environment {
 public:
  void TearDown() override { Server().Kill(); }
};
const auto* const stop_server = ::testing::AddGlobalTestEnvironment(new StopServer);

}  // namespace
}  // namespace rookery::muc
