// What questions cost: the plans that PostgreSQL follows, and how many rows each of them reads. They are
// those for all parameters, as the store has them, and the tables have statistics that mislead: most archives
// are small, and the one that is asked for is not.
#include <regex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "pg_archive_fixture.h"

namespace rookery::search {
namespace {

class PgPlans : public PgArchiveFixture {
 protected:
  static constexpr std::int64_t kMinute = 60'000;
  static constexpr std::int64_t kDay = 24 * 60 * kMinute;
  static constexpr std::int64_t kBegin = 1'767'225'600'000;  // 2026-01-01
  static constexpr std::int64_t kRows = 24'000;
  static constexpr std::int64_t kStep = 20 * kMinute;
  static constexpr std::int64_t kIdFactor = 7'919;
  static constexpr std::int64_t kIdModulus = 24'001;
  /// Twelve months, two for broken clocks.
  static constexpr std::int64_t kPartitions = 14;

  PgPlans() {
    Renew();
    EXPECT_EQ(Wait(store_->MakeSpace(kBegin, kBegin + kRows * kStep)), absl::OkStatus());
    // One with many messages, a fifth of them with romeo, and all others with few, of whom two in the keys.
    // Ids say nothing of the order.
    const std::string columns =
        "INSERT INTO search_archive (position, archive_id, received_at_ms, owner_key, generation, with_bare, "
        "with_full, origin_offset, origin_partition, origin_topic, direction, kind, owner, peer, "
        "peer_resource, stanza) ";
    Sql(absl::StrCat(
        columns, "SELECT n * 3, n::bigint * ", kIdFactor, " % ", kIdModulus, ", ", kBegin, " + n::bigint * ",
        kStep, ", ", OwnerKeyOf("big@x"), ", 1, CASE WHEN n % 5 = 0 THEN ", WithKeyOf("big@x", "romeo@x"),
        " ELSE 1 END, CASE WHEN n % 10 = 0 THEN ", WithKeyOf("big@x", "romeo@x", "a"),
        " ELSE 1 END, n, 0, 1, 1, 1, 'big@x', CASE WHEN n % 5 = 0 THEN 'romeo@x' ELSE 'nurse@x' END, "
        "CASE WHEN n % 10 = 0 THEN 'a' ELSE 'b' END, 'text' FROM generate_series(1, ",
        kRows, ") AS n"));
    Sql(absl::StrCat(
        columns, "SELECT n * 3, n, ", kBegin, " + n::bigint * ", 2 * kStep,
        ", n % 3000, 1, n % 3000, n % 3000, n, 0, 1, 1, 1, 'small' || n % 3000 || '@x', 'romeo@x', 'a', "
        "'text' FROM generate_series(1, 12000) AS n"));
    Sql("ANALYZE search_archive");
  }

  /// Of the message that is so far into the big archive.
  static std::uint64_t IdAt(std::int64_t number) {
    return static_cast<std::uint64_t>(number * kIdFactor % kIdModulus);
  }

  struct Plan {
    /// All rows that scans have found or passed over, and those that a sort was given.
    double read = 0;
    double sorted = 0;
    bool has_whole_scan = false;
    std::string text;
  };
  static std::string Literal(const pg::Param& param) {
    if (!param.value) return "NULL";
    return absl::StrCat("'", absl::StrReplaceAll(*param.value, {{"'", "''"}}), "'");
  }
  Plan Explain(const testing::RecordingPool::Statement& statement) {
    static int names = 0;
    const std::string name = "plan" + std::to_string(++names);
    std::string values;
    for (const pg::Param& param : statement.params)
      absl::StrAppend(&values, values.empty() ? "" : ", ", Literal(param));
    Sql("PREPARE " + name + " AS " + statement.sql);
    const auto result =
        Sql("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE " + name + "(" + values + ")");
    Plan plan;
    static const std::regex kRowsOf(R"(actual rows=(\d+) loops=(\d+))");
    static const std::regex kRemoved(R"(Rows Removed by (?:Filter|Index Recheck): (\d+))");
    double loops = 1;
    bool is_of_archive = false;
    for (std::size_t i = 0; result && i < result->rows(); ++i) {
      const std::string line(result->Text(i, 0));
      absl::StrAppend(&plan.text, line, "\n");
      std::smatch match;
      if (std::regex_search(line, match, kRowsOf)) {
        loops = std::stod(match[2]);
        // Of several loops the mean is told, without what is behind the point.
        const double rows = (std::stod(match[1]) + (loops > 1 ? 0.5 : 0)) * loops;
        is_of_archive = line.find("Scan") != std::string::npos &&
                        line.find("on search_archive") != std::string::npos &&
                        line.find("search_archive_retention") == std::string::npos;
        if (is_of_archive) plan.read += rows;
        plan.has_whole_scan |= is_of_archive && line.find("Seq Scan") != std::string::npos;
        plan.has_whole_scan |= line.find("Bitmap") != std::string::npos;
        if (line.find("Sort  (") != std::string::npos || line.find("Sort (") != std::string::npos)
          plan.sorted = std::max(plan.sorted, rows);
      } else if (is_of_archive && std::regex_search(line, match, kRemoved)) {
        plan.read += std::stod(match[1]) * loops;
      }
    }
    EXPECT_FALSE(plan.text.empty());
    return plan;
  }
  /// The plan of what `ask` asks for, which is one statement.
  template <typename Ask>
  Plan PlanOf(testing::RecordingPool& pool, Ask ask) {
    const std::size_t before = pool.statements.size();
    ask();
    EXPECT_EQ(pool.statements.size(), before + 1);
    return Explain(pool.statements.at(before));
  }
  static PageRequest Request() {
    PageRequest request;
    request.filter.owner = "big@x";
    request.filter.generation = 1;
    request.max_rows = 50;
    return request;
  }
  Plan PlanOfPage(const PageRequest& request, std::size_t expected_rows = 50) {
    return PlanOf(*reading_pool_, [&] {
      const auto page = Wait(store_->FindPage(request));
      ASSERT_TRUE(page.ok()) << page.status();
      EXPECT_EQ(page->messages.size(), expected_rows);
    });
  }
  void ExpectBounded(const Plan& plan, double rows, const std::string& what) {
    EXPECT_LE(plan.read, rows) << what << "\n" << plan.text;
    EXPECT_GT(plan.read, 0) << what << "\n" << plan.text;
    EXPECT_LE(plan.sorted, 64) << what << "\n" << plan.text;
    EXPECT_FALSE(plan.has_whole_scan) << what << "\n" << plan.text;
  }
  /// A page, the row behind it and one row ahead in each partition; what is named; the rows by which
  /// positions are found for times.
  static constexpr double kPage = 50 + 1 + kPartitions + 4;
  static constexpr double kTimes = 2 * (8 + kPartitions);
};

TEST_F(PgPlans, A7_APageReadsAPage_WhereverItIs) {
  for (const bool from_the_end : {false, true}) {
    for (const std::int64_t at : {std::int64_t{60}, std::int64_t{12'000}, std::int64_t{23'900}}) {
      PageRequest request = Request();
      request.from_the_end = from_the_end;
      (from_the_end ? request.before : request.after) = IdAt(at);
      ExpectBounded(PlanOfPage(request), kPage + kTimes, absl::StrCat("at ", at, from_the_end));
    }
  }
}

TEST_F(PgPlans, A7_APlanIsMadeOnce_NotForEachPage) {
  for (std::int64_t i = 1; i <= 7; ++i) {
    PageRequest request = Request();
    request.after = IdAt(i * 1'000);
    ASSERT_TRUE(Wait(store_->FindPage(request)).ok());
  }
  const auto plans = Wait(reading_pool_->Execute(
      pg::LaneOf("big@x"),
      "SELECT sum(generic_plans)::bigint, sum(custom_plans)::bigint FROM pg_prepared_statements", {}));
  ASSERT_TRUE(plans.ok()) << plans.status();
  EXPECT_GE((*plans)->Int(0, 0), 7);
  EXPECT_EQ((*plans)->Int(0, 1), 0);
}

TEST_F(PgPlans, A9_APageWithSomebodyReadsAPage) {
  // Also where the server knows nothing of the tables, as of a partition that is new.
  for (const bool has_statistics : {true, false}) {
    if (!has_statistics) Sql("DELETE FROM pg_statistic");
    for (const bool from_the_end : {false, true}) {
      for (const bool has_resource : {false, true}) {
        PageRequest request = Request();
        request.from_the_end = from_the_end;
        request.filter.peer = "romeo@x";
        if (has_resource) request.filter.peer_resource = "a";
        (from_the_end ? request.before : request.after) = IdAt(12'000);
        ExpectBounded(PlanOfPage(request), kPage + kTimes,
                      absl::StrCat(has_statistics, from_the_end, has_resource));
      }
    }
  }
}

TEST_F(PgPlans, A9_APageOfATimeReadsAPage_InTheMiddleOfAPartition) {
  for (const bool from_the_end : {false, true}) {
    for (const bool has_peer : {false, true}) {
      PageRequest request = Request();
      request.from_the_end = from_the_end;
      if (has_peer) request.filter.peer = "romeo@x";
      request.filter.start_ms = kBegin + 100 * kDay + kDay / 2;
      request.filter.end_ms = *request.filter.start_ms + 50 * kDay;
      const Plan plan = PlanOfPage(request);
      ExpectBounded(plan, kPage + kTimes + 32, absl::StrCat(from_the_end, has_peer));
      // Partitions of other times are not opened.
      EXPECT_NE(plan.text.find("never executed"), std::string::npos) << plan.text;
    }
  }
}

TEST_F(PgPlans, A8_IdsReadThemselves) {
  PageRequest request = Request();
  request.filter.ids.emplace();
  for (std::int64_t i = 1; i <= 50; ++i) request.filter.ids->push_back(IdAt(i * 400));
  const Plan plan = PlanOfPage(request);
  // Each is looked for twice, in every partition.
  ExpectBounded(plan, 2 * 50 * kPartitions, "ids");
}

TEST_F(PgPlans, A11_CountsAndBoundsReadWhatTheyCount) {
  ArchiveFilter filter = Request().filter;
  const auto count = [&] { ASSERT_EQ(Wait(store_->Count(filter, 500))->rows, 500u); };
  ExpectBounded(PlanOf(*reading_pool_, count), 501 + kPartitions + kTimes, "all");
  filter.peer = "romeo@x";
  ExpectBounded(PlanOf(*reading_pool_, count), 501 + kPartitions + kTimes, "peer");
  filter.peer_resource = "a";
  ExpectBounded(PlanOf(*reading_pool_, count), 501 + kPartitions + kTimes, "resource");
  const auto bounds = [&] { ASSERT_TRUE(Wait(store_->FindBounds("big@x", 1, 0))->has_value()); };
  ExpectBounded(PlanOf(*reading_pool_, bounds), 2 * kPartitions + 2 * kTimes, "bounds");
  const auto has = [&] { ASSERT_TRUE(*Wait(store_->Has("big@x", 1, IdAt(12'000)))); };
  ExpectBounded(PlanOf(*reading_pool_, has), 1, "has");
}

TEST_F(PgPlans, A13_AnErasureReadsItsSteps_AndTheOwnersOfADomainOneRowEach) {
  ASSERT_EQ(Wait(store_->Claim(1, 1)), absl::OkStatus());
  Erasure erasure;
  erasure.owner = "big@x";
  erasure.received_before_ms = 0;
  const Plan erase =
      PlanOf(*pool_, [&] { ASSERT_TRUE(Wait(store_->Erase(1, 1, erasure, 36'000, 100)).ok()); });
  ExpectBounded(erase, 100 + kPartitions, "erase");
  const Plan owners =
      PlanOf(*reading_pool_, [&] { ASSERT_TRUE(Wait(store_->FindOwners("x", "", 20)).ok()); });
  ExpectBounded(owners, 20 * 2 * kPartitions, "owners");
}

TEST_F(PgPlans, A12_ATombstoneAndARowThatIsKnownReadThemselves) {
  ASSERT_EQ(Wait(store_->Claim(1, 1)), absl::OkStatus());
  const Plan replaced = PlanOf(*pool_, [&] {
    const auto done = Wait(store_->Replace(1, 1, {{"big@x", 12'000, 1, "gone"}, {"big@x", 100, 1, "gone"}}));
    ASSERT_TRUE(done.ok() && (*done)[0] && (*done)[1]);
  });
  ExpectBounded(replaced, 6 * kPartitions, "replace");
}

TEST_F(PgPlans, A15_WhatIsForgottenIsNotPassedOver) {
  ASSERT_EQ(Wait(store_->ForgetBefore(kBegin + 20 * kDay)), absl::OkStatus());
  ExpectBounded(PlanOfPage(Request()), kPage + kTimes + 16, "page");
  const auto bounds = [&] { ASSERT_TRUE(Wait(store_->FindBounds("big@x", 1, 0))->has_value()); };
  ExpectBounded(PlanOf(*reading_pool_, bounds), 2 * kPartitions + 2 * kTimes + 32, "bounds");
}

}  // namespace
}  // namespace rookery::search
