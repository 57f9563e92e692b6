// The store of archives in memory: the scenarios, and what it does for tests.
#include "archive_store_scenarios.h"
#include "memory_archive_store.h"

namespace rookery::search {
namespace {

class MemoryFixture : public ::testing::Test {
 protected:
  asio::io_context& io() { return io_; }
  ArchiveStore& store() { return store_; }
  ArchiveStore& other() { return other_; }
  void Renew() {}

  asio::io_context io_;
  MemoryArchiveDatabase database_;
  MemoryArchiveStore store_{database_};
  MemoryArchiveStore other_{database_};
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ArchiveStoreScenarios, MemoryFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, RetentionScenarios, MemoryFixture);

class MemoryStore : public MemoryFixture {
 protected:
  MemoryStore() { EXPECT_TRUE(testing::RunTask(io_, store_.Claim(1, 1)).ok()); }
  static std::vector<ArchivedMessage> Messages() {
    ArchivedMessage message;
    message.owner = "juliet@example.org";
    message.id = 1;
    return {message};
  }
  absl::Status Append() { return testing::RunTask(io_, store_.Append(1, 1, Messages())).status(); }
};

TEST_F(MemoryStore, AFailure_NothingIsMade) {
  database_.failure = absl::InternalError("53100 the disk is full");
  EXPECT_EQ(Append(), database_.failure);
  EXPECT_EQ(testing::RunTask(io_, store_.FindPage({})).status(), database_.failure);
  EXPECT_TRUE(database_.archives.empty());
}

TEST_F(MemoryStore, Ambiguous_ItIsMadeAndNobodyIsTold) {
  database_.is_ambiguous = true;
  EXPECT_TRUE(absl::IsDeadlineExceeded(Append()));
  EXPECT_EQ(database_.archives["juliet@example.org"].by_position.size(), 1u);
  database_.is_ambiguous = false;
  const auto again = testing::RunTask(io_, store_.Append(1, 1, Messages()));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_THAT(*again, ::testing::ElementsAre(Appended::kKnown));
}

TEST_F(MemoryStore, Slow_SomebodyElseComesFirst) {
  database_.on_call = [this](std::string_view call) -> Task<void> {
    if (call == "Append") database_.claims.rows[1].epoch = 2;
    co_return;
  };
  EXPECT_TRUE(absl::IsFailedPrecondition(Append()));
  EXPECT_TRUE(database_.archives.empty());
}

}  // namespace
}  // namespace rookery::search
