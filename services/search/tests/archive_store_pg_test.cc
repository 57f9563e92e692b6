// The store of archives on a real PostgreSQL: the scenarios, faults, partitions, and how many statements it
// takes.
#include <boost/asio/co_spawn.hpp>
#include <utility>

#include "archive_store_scenarios.h"
#include "pg_archive_fixture.h"

namespace rookery::search {

namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(PostgreSql, ArchiveStoreScenarios, PgArchiveFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(PostgreSql, RetentionScenarios, PgArchiveFixture);

class DailyFixture : public PgArchiveFixture {
 protected:
  DailyFixture() : PgArchiveFixture(ArchivePeriod::kDay) {}
};
INSTANTIATE_TYPED_TEST_SUITE_P(PostgreSqlDaily, RetentionScenarios, DailyFixture);

using ::testing::Each;
using ::testing::ElementsAre;

/// A database of its own, whose shard 1 is claimed.
class PgArchives : public PgArchiveFixture {
 protected:
  static constexpr std::int64_t kDay = 86'400'000;
  /// 2026-01-01 and the beginnings of the two months behind it.
  static constexpr std::int64_t kJanuary = 1'767'225'600'000;
  static constexpr std::int64_t kFebruary = kJanuary + 31 * kDay;
  static constexpr std::int64_t kMarch = kFebruary + 28 * kDay;

  PgArchives() {
    Renew();
    EXPECT_EQ(Wait(store_->Claim(1, 1)), absl::OkStatus());
  }
  static ArchivedMessage Message(std::uint64_t id, std::int64_t at_ms = kJanuary) {
    ArchivedMessage message;
    message.owner = "juliet@example.org";
    message.position = static_cast<std::int64_t>(id) * 10;
    message.id = id;
    message.received_at_ms = at_ms;
    message.peer = "romeo@example.org";
    message.stanza = "text";
    return message;
  }
  absl::StatusOr<std::vector<Appended>> Append(std::vector<ArchivedMessage> messages) {
    return Wait(store_->Append(1, 1, std::move(messages)));
  }
  std::vector<Appended> Answers(std::vector<ArchivedMessage> messages) {
    auto answers = Append(std::move(messages));
    EXPECT_TRUE(answers.ok()) << answers.status();
    return answers.ok() ? *std::move(answers) : std::vector<Appended>();
  }
  std::vector<std::string> Partitions() {
    const auto result =
        Sql("SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid "
            "WHERE inhparent = 'search_archive'::regclass ORDER BY relname");
    std::vector<std::string> names;
    for (std::size_t i = 0; result && i < result->rows(); ++i) names.emplace_back(result->Text(i, 0));
    return names;
  }
  std::int64_t RowsIn(const std::string& table) { return Number("SELECT count(*) FROM " + table); }
};

// ---- partitions -------------------------------------------------------------

TEST_F(PgArchives, A4_APartitionIsMadeForTheFirstRowOfItsTime) {
  EXPECT_THAT(Partitions(), ElementsAre("search_archive_early", "search_archive_late"));
  EXPECT_THAT(Answers({Message(1), Message(2, kMarch - 1), Message(3, 0)}), Each(Appended::kNew));
  EXPECT_THAT(Partitions(), ElementsAre("search_archive_20260101", "search_archive_20260201",
                                        "search_archive_early", "search_archive_late"));
  EXPECT_EQ(RowsIn("search_archive_20260101"), 1);
  EXPECT_EQ(RowsIn("search_archive_20260201"), 1);
  EXPECT_EQ(RowsIn("search_archive_early"), 1);
}

TEST_F(PgArchives, A4_TheSettingMayChange) {
  PgArchiveStore daily(*pool_, *reading_pool_, ArchivePeriod::kDay);
  ASSERT_EQ(Wait(daily.MakeSpace(kJanuary + 14 * kDay, kJanuary + 15 * kDay)), absl::OkStatus());
  ASSERT_EQ(Wait(store_->MakeSpace(kJanuary, kMarch - 1)), absl::OkStatus());
  std::vector<ArchivedMessage> messages;
  for (std::uint64_t day = 0; day < 59; ++day)
    messages.push_back(Message(day + 1, kJanuary + static_cast<std::int64_t>(day) * kDay));
  EXPECT_THAT(Answers(messages), Each(Appended::kNew));
  EXPECT_THAT(Partitions(),
              ElementsAre("search_archive_20260101", "search_archive_20260115", "search_archive_20260116",
                          "search_archive_20260117", "search_archive_20260201", "search_archive_early",
                          "search_archive_late"));
  EXPECT_EQ(RowsIn("search_archive_20260101"), 14);
  EXPECT_EQ(RowsIn("search_archive_20260115"), 1);
  EXPECT_EQ(RowsIn("search_archive_20260117"), 15);
  EXPECT_THAT(Answers(messages), Each(Appended::kKnown));
}

TEST_F(PgArchives, A15_APartitionGoesWhenNothingOfItIsKept) {
  ASSERT_THAT(Answers({Message(1), Message(2, kFebruary), Message(3, kMarch), Message(4, 0)}),
              Each(Appended::kNew));
  Sql("INSERT INTO search_archive_words SELECT position, received_at_ms, owner, 'word' FROM "
      "search_archive");
  ASSERT_EQ(Wait(store_->ForgetBefore(kMarch - 1)), absl::OkStatus());
  EXPECT_THAT(Partitions(), ElementsAre("search_archive_20260201", "search_archive_20260301",
                                        "search_archive_early", "search_archive_late"));
  EXPECT_EQ(RowsIn("search_archive"), 2);
  EXPECT_EQ(RowsIn("search_archive_words"), 2);
  ASSERT_EQ(Wait(store_->ForgetBefore(kMarch)), absl::OkStatus());
  EXPECT_EQ(RowsIn("search_archive"), 1);
  // Nor is one made again for a row that comes once more, whoever has known of the partition.
  EXPECT_THAT(Answers({Message(1), Message(3, kMarch)}), ElementsAre(Appended::kTooOld, Appended::kKnown));
  EXPECT_EQ(Wait(other_->MakeSpace(kJanuary, kMarch)), absl::OkStatus());
  EXPECT_THAT(Partitions(),
              ElementsAre("search_archive_20260301", "search_archive_early", "search_archive_late"));
}

TEST_F(PgArchives, A15_WhoReadsHoldsUpAPartitionThatGoes_AndTheRestIsForgottenAllTheSame) {
  ASSERT_THAT(Answers({Message(1), Message(2, kMarch)}), Each(Appended::kNew));
  auto reader = MakePool({}, 1);
  std::optional<absl::Status> read;
  asio::co_spawn(io_, reader->Execute(0, "SELECT pg_sleep(3) FROM search_archive LIMIT 1", {}),
                 [&](std::exception_ptr, const pg::ResultOr& result) { read = result.status(); });
  ASSERT_TRUE(testing::RunUntil(io_, [&] {
    return Number(
               "SELECT count(*) FROM pg_locks WHERE relation = 'search_archive'::regclass AND pid <> "
               "pg_backend_pid() AND granted") > 0;
  }));
  EXPECT_TRUE(absl::IsUnavailable(Wait(store_->ForgetBefore(kMarch))));
  EXPECT_FALSE(*Wait(store_->Has("juliet@example.org", 0, 1)));
  ASSERT_TRUE(testing::RunUntil(io_, [&] { return read.has_value(); }));
  EXPECT_EQ(Wait(store_->ForgetBefore(kMarch)), absl::OkStatus());
  EXPECT_EQ(RowsIn("search_archive"), 1);
}

TEST_F(PgArchives, A4_ManyProcessesMakeTheSamePartition) {
  std::vector<std::unique_ptr<PgArchiveStore>> stores;
  std::vector<absl::Status> answers;
  for (int i = 0; i < 6; ++i) {
    stores.push_back(std::make_unique<PgArchiveStore>(i % 2 ? *pool_ : *other_pool_, *reading_pool_,
                                                      ArchivePeriod::kMonth));
    asio::co_spawn(io_, stores.back()->MakeSpace(kJanuary, kMarch),
                   [&](std::exception_ptr, const absl::Status& status) { answers.push_back(status); });
  }
  ASSERT_TRUE(testing::RunUntil(io_, [&] { return answers.size() == 6; }));
  EXPECT_THAT(answers, Each(absl::OkStatus()));
  EXPECT_EQ(Partitions().size(), 5u);
}

// ---- faults -----------------------------------------------------------------

TEST_F(PgArchives, A5_ADatabaseThatTakesNothingLosesNothing) {
  ASSERT_THAT(Answers({Message(1)}), Each(Appended::kNew));
  Sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN "
      "RAISE EXCEPTION 'no' USING ERRCODE = current_setting('test.state'); END $f$");
  Sql("CREATE TRIGGER refuse BEFORE INSERT ON search_archive FOR EACH ROW EXECUTE FUNCTION refuse()");
  // A full disk, missing rights, a read-only table, a broken file, an index that is too small.
  for (const std::string state : {"53100", "42501", "25P02", "XX001", "54000", "P0001"}) {
    Sql("ALTER DATABASE " + std::string(Sql("SELECT current_database()")->Text(0, 0)) +
        " SET test.state = '" + state + "'");
    pool_ = MakePool();
    PgArchiveStore store(*pool_, *reading_pool_, ArchivePeriod::kMonth);
    ASSERT_EQ(Wait(store.Claim(1, 1)), absl::OkStatus());
    const auto answers = Wait(store.Append(1, 1, {Message(2), Message(3)}));
    EXPECT_FALSE(answers.ok()) << state;
    EXPECT_EQ(pg::SqlStateOf(answers.status()), state);
  }
  Sql("DROP TRIGGER refuse ON search_archive");
  pool_ = MakePool();
  store_ = std::make_unique<PgArchiveStore>(*pool_, *reading_pool_, ArchivePeriod::kMonth);
  ASSERT_EQ(Wait(store_->Claim(1, 1)), absl::OkStatus());
  EXPECT_THAT(Answers({Message(2), Message(3)}), Each(Appended::kNew));
}

TEST_F(PgArchives, A5_ARowThatAConstraintForbids) {
  Sql("ALTER TABLE search_archive ADD CONSTRAINT test CHECK (archive_id <> 500)");
  std::vector<ArchivedMessage> messages;
  for (std::uint64_t id = 1; id <= 1'000; ++id) messages.push_back(Message(id));
  ASSERT_EQ(Wait(store_->MakeSpace(kJanuary, kJanuary)), absl::OkStatus());
  const std::size_t before = pool_->statements.size();
  const std::vector<Appended> answers = Answers(messages);
  EXPECT_EQ(std::ranges::count(answers, Appended::kNew), 999);
  EXPECT_EQ(answers.at(499), Appended::kRefused);
  // To find the one among so many it takes ten halves.
  EXPECT_LE(pool_->statements.size() - before, 60u);
}

TEST_F(PgArchives, A4_APartitionThatSomebodyHasDroppedIsMadeAgain) {
  ASSERT_THAT(Answers({Message(1)}), Each(Appended::kNew));
  Sql("DROP TABLE search_archive_20260101, search_archive_words_20260101");
  Sql("DELETE FROM search_archive_partitions WHERE suffix = '_20260101'");
  EXPECT_THAT(Answers({Message(1), Message(2)}), Each(Appended::kNew));
}

TEST_F(PgArchives, A2_AnAnswerThatWasLost_TheSameAgainIsKnown) {
  ASSERT_THAT(Answers({Message(1)}), Each(Appended::kNew));
  pool_->to_lose = 1;
  EXPECT_TRUE(absl::IsUnavailable(Append({Message(2)}).status()));
  EXPECT_THAT(Answers({Message(2)}), Each(Appended::kNew));
  // What was lost is done late: of an earlier turn, it changes nothing.
  ASSERT_TRUE(Wait(pool_->Repeat(pool_->lost.at(0))).ok());
  EXPECT_EQ(RowsIn("search_archive"), 2);
  EXPECT_THAT(Answers({Message(2)}), Each(Appended::kKnown));
}

TEST_F(PgArchives, A6_ALateStatementOfAnOlderOwnerChangesNothing) {
  ASSERT_THAT(Answers({Message(1)}), Each(Appended::kNew));
  pool_->to_lose = 3;
  EXPECT_FALSE(Append({Message(2)}).ok());
  Erasure erasure;
  erasure.owner = "juliet@example.org";
  const auto late = pool_->lost.at(0);
  pool_->to_lose = 0;
  ASSERT_EQ(Wait(other_->Claim(1, 2)), absl::OkStatus());
  ASSERT_TRUE(Wait(pool_->Repeat(late)).ok());
  EXPECT_EQ(RowsIn("search_archive"), 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(Wait(store_->Erase(1, 1, erasure, 0, 10)).status()));
}

// ---- words ------------------------------------------------------------------

TEST_F(PgArchives, A12_WithTheTextItsWordsGo) {
  ASSERT_THAT(Answers({Message(1), Message(2), Message(3)}), Each(Appended::kNew));
  Sql("INSERT INTO search_archive_words SELECT position, received_at_ms, owner, 'word' FROM "
      "search_archive");
  ASSERT_TRUE(Wait(store_->Replace(1, 1, {{"juliet@example.org", 2, 0, "gone"}})).ok());
  EXPECT_EQ(RowsIn("search_archive_words"), 2);
  Erasure erasure;
  erasure.owner = "juliet@example.org";
  ASSERT_TRUE(Wait(store_->Erase(1, 1, erasure, 0, 2)).ok());
  EXPECT_EQ(RowsIn("search_archive_words"), 1);
}

// ---- statements -------------------------------------------------------------

TEST_F(PgArchives, A3_ABatchIsOneStatement_AndAQuestionOne) {
  ASSERT_EQ(Wait(store_->MakeSpace(kJanuary, kMarch)), absl::OkStatus());
  std::vector<ArchivedMessage> messages;
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    messages.push_back(Message(i, kJanuary + static_cast<std::int64_t>(i % 3) * 28 * kDay));
    messages.back().owner = "u" + std::to_string(i % 100) + "@example.org";
  }
  std::size_t before = pool_->statements.size();
  EXPECT_THAT(Answers(messages), Each(Appended::kNew));
  EXPECT_EQ(pool_->statements.size() - before, 1u);
  before = pool_->statements.size();
  const std::size_t read_before = reading_pool_->statements.size();
  PageRequest request;
  request.filter.owner = "u7@example.org";
  request.filter.ids = Ids{7, 107};
  request.after = 7;
  ASSERT_TRUE(Wait(store_->FindPage(request)).ok());
  ASSERT_TRUE(Wait(store_->Count(request.filter, 10)).ok());
  ASSERT_TRUE(Wait(store_->FindBounds("u7@example.org", 0, 1)).ok());
  ASSERT_TRUE(Wait(store_->Has("u7@example.org", 0, 7)).ok());
  EXPECT_EQ(reading_pool_->statements.size() - read_before, 4u);
  EXPECT_EQ(pool_->statements.size(), before) << "who reads does not wait for those who write";
}

}  // namespace
}  // namespace rookery::search
