// What an archive of ten million messages takes and how long its pages take. Not part of a normal run:
//   rookery_search_archive_size
// ROOKERY_MEASURED_PG (libpq keywords) names a database that is empty or filled by an earlier run; otherwise
// the tests' own server is filled. ROOKERY_MEASURED_ROWS: how many messages.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "absl/strings/str_cat.h"
#include "pg_archive_fixture.h"

namespace rookery::search {
namespace {

class ArchiveSize : public PgArchiveFixture {
 protected:
  static constexpr std::int64_t kBegin = 1'767'225'600'000;  // 2026-01-01
  static constexpr std::int64_t kYear = std::int64_t{365} * 86'400'000;
  /// One archive has a tenth of all messages; so many others share the rest.
  static constexpr std::int64_t kOthers = 9'000;
  static constexpr char kBig[] = "big@example.org";

  ArchiveSize() {
    if (const char* given = std::getenv("ROOKERY_MEASURED_PG"); given != nullptr) {
      options_.connection = given;
      options_.timeout = std::chrono::minutes(5);
      sql_pool_.reset();
      Open();
    }
    if (const char* given = std::getenv("ROOKERY_MEASURED_ROWS"); given != nullptr) rows_ = std::atoll(given);
  }

  /// Message `number` of all. Every tenth is of the big archive.
  ArchivedMessage Message(std::int64_t number) const {
    ArchivedMessage message;
    const bool is_big = number % 10 == 0;
    const std::int64_t other = (number / 10 * 9 + number % 10) * 7'919 % kOthers;
    message.owner = is_big ? kBig : absl::StrCat("user", other, "@example.org");
    message.position = number;
    message.id = static_cast<std::uint64_t>(number) + 1;
    message.received_at_ms = kBegin + kYear / rows_ * number;
    message.generation = 1;
    // In the big archive a hundredth of the messages is with each contact.
    message.peer = absl::StrCat("contact", is_big ? number / 10 % 100 : number % 20, "@example.org");
    message.peer_resource = number % 3 == 0 ? "" : "phone.7f3a";
    message.direction = number % 3 == 0 ? Direction::kSent : Direction::kReceived;
    message.origin = {1, static_cast<std::uint32_t>(other % 64), number};
    // A short text with the elements that clients add, as the wire has it: 300 to 500 bytes.
    std::mt19937_64 random(static_cast<std::uint64_t>(number));
    while (message.stanza.size() < 300 + static_cast<std::size_t>(number % 200))
      absl::StrAppend(&message.stanza, random());
    return message;
  }

  void Fill() {
    constexpr std::int64_t kBatch = 1'000;
    ASSERT_EQ(Wait(store_->MakeSpace(kBegin, kBegin + kYear)), absl::OkStatus());
    const auto begin = std::chrono::steady_clock::now();
    for (std::int64_t from = 0; from < rows_; from += kBatch) {
      std::vector<ArchivedMessage> batch;
      for (std::int64_t i = from; i < std::min(from + kBatch, rows_); ++i) batch.push_back(Message(i));
      const auto answers = Wait(store_->Append(1, 1, std::move(batch)));
      ASSERT_TRUE(answers.ok()) << answers.status();
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    std::printf("appended %lld messages, %.0f a second, one batch of %lld at a time\n",
                static_cast<long long>(rows_), static_cast<double>(rows_) / taken.count(),
                static_cast<long long>(kBatch));
    Sql("ANALYZE search_archive");
  }

  template <typename Ask>
  void Measure(const std::string& what, Ask ask) {
    std::vector<double> times;
    std::mt19937_64 random(7);
    for (int i = 0; i < 300; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      ask(random);
      times.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    }
    std::ranges::sort(times);
    std::printf("%-44s p50 %8.2f ms  p99 %8.2f ms\n", what.c_str(), times[times.size() / 2],
                times[times.size() * 99 / 100]);
  }

  PageRequest Request() const {
    PageRequest request;
    request.filter.owner = kBig;
    request.filter.generation = 1;
    return request;
  }
  /// An id of the big archive, about so far into it.
  std::uint64_t IdAt(double share, std::mt19937_64& random) const {
    const auto place = static_cast<std::int64_t>(static_cast<double>(rows_ / 10) * share);
    const std::int64_t spread = static_cast<std::int64_t>(random() % 1'000);
    return static_cast<std::uint64_t>(std::clamp<std::int64_t>(place + spread - 500, 0, rows_ / 10 - 1) * 10 +
                                      1);
  }
  void Find(const PageRequest& request) {
    const auto page = Wait(store_->FindPage(request));
    ASSERT_TRUE(page.ok()) << page.status();
  }

  std::int64_t rows_ = 10'000'000;
};

TEST_F(ArchiveSize, TenMillionMessages) {
  ASSERT_EQ(Wait(store_->Claim(1, 1)), absl::OkStatus());
  if (Number("SELECT count(*) FROM (SELECT FROM search_archive LIMIT 1) AS found") == 0) Fill();
  const auto bytes = [&](const std::string& what) {
    return static_cast<double>(
               Number("SELECT coalesce(sum(" + what +
                      "), 0) FROM pg_inherits WHERE inhparent = 'search_archive'::regclass")) /
           static_cast<double>(rows_);
  };
  std::printf("bytes a message: table %.0f, indexes %.0f\n", bytes("pg_table_size(inhrelid)"),
              bytes("pg_indexes_size(inhrelid)"));
  const auto index_sizes =
      Sql("SELECT regexp_replace(indexrelname, '^search_archive_[0-9a-z]+_', ''), "
          "sum(pg_relation_size(indexrelid)) "
          "FROM pg_stat_user_indexes JOIN pg_inherits ON inhrelid = relid "
          "WHERE inhparent = 'search_archive'::regclass GROUP BY 1 ORDER BY 1");
  for (std::size_t i = 0; index_sizes && i < index_sizes->rows(); ++i)
    std::printf("  %-40s %.0f\n", std::string(index_sizes->Text(i, 0)).c_str(),
                static_cast<double>(index_sizes->Int(i, 1)) / static_cast<double>(rows_));

  for (const double share : {0.0, 0.5, 1.0}) {
    const std::string where = absl::StrCat(" at ", share);
    Measure("page of 50" + where, [&](auto& random) {
      PageRequest request = Request();
      request.after = IdAt(share, random);
      Find(request);
    });
    Measure("page of 50 backwards" + where, [&](auto& random) {
      PageRequest request = Request();
      request.before = IdAt(share, random);
      request.from_the_end = true;
      Find(request);
    });
    Measure("page of 50 with one of 100 contacts" + where, [&](auto& random) {
      PageRequest request = Request();
      request.filter.peer = absl::StrCat("contact", random() % 100, "@example.org");
      request.after = IdAt(share, random);
      Find(request);
    });
    Measure("page of 50 with a full JID" + where, [&](auto& random) {
      PageRequest request = Request();
      request.filter.peer = absl::StrCat("contact", random() % 100, "@example.org");
      request.filter.peer_resource = "phone.7f3a";
      request.after = IdAt(share, random);
      Find(request);
    });
    Measure("page of 50 since a time" + where, [&](auto& random) {
      PageRequest request = Request();
      request.filter.start_ms =
          kBegin + static_cast<std::int64_t>(share * 0.99 * kYear) + random() % 86'400'000;
      Find(request);
    });
  }
  Measure("page of 50 of a small archive", [&](auto& random) {
    PageRequest request = Request();
    request.filter.owner = absl::StrCat("user", random() % kOthers, "@example.org");
    request.from_the_end = true;
    Find(request);
  });
  Measure("count up to 1000", [&](auto&) { ASSERT_TRUE(Wait(store_->Count(Request().filter, 1'000)).ok()); });
  Measure("first and last", [&](auto&) { ASSERT_TRUE(Wait(store_->FindBounds(kBig, 1, 0)).ok()); });
  Measure("is there", [&](auto& random) { ASSERT_TRUE(Wait(store_->Has(kBig, 1, IdAt(0.5, random))).ok()); });
}

}  // namespace
}  // namespace rookery::search
