#include "memory_stores.h"

#include <boost/asio/io_context.hpp>

#include "store_scenarios.h"

namespace rookery::session_manager {
namespace {

class MemoryFixture : public ::testing::Test {
 protected:
  asio::io_context& io() { return io_; }
  AccountStore& accounts() { return accounts_; }
  WaitingStore& waiting() { return waiting_; }
  WaitingStore& other() { return other_; }

  asio::io_context io_;
  MemoryDatabase database_;
  MemoryAccountStore accounts_{database_};
  MemoryWaitingStore waiting_{database_};
  MemoryWaitingStore other_{database_};
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StoreScenarios, MemoryFixture);

class MemoryStores : public MemoryFixture {};

TEST_F(MemoryStores, Away_NothingIsMade) {
  database_.accounts["u@x"];
  database_.down = true;
  const std::vector<WaitingStore::RowKey> rows{{"u@x", 1}};
  EXPECT_TRUE(absl::IsUnavailable(testing::RunTask(io_, waiting_.MarkGiven(rows))));
  EXPECT_TRUE(database_.offline.empty());
}

TEST_F(MemoryStores, Ambiguous_ItIsMadeAndNobodyIsTold) {
  database_.accounts["u@x"];
  database_.ambiguous = true;
  const std::vector<WaitingStore::RowKey> rows{{"u@x", 1}};
  EXPECT_TRUE(absl::IsDeadlineExceeded(testing::RunTask(io_, waiting_.MarkGiven(rows))));
  EXPECT_TRUE(database_.offline["u@x"].contains(1));
}

TEST_F(MemoryStores, Slow_ACallWaits) {
  std::vector<std::string> waited;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    waited.emplace_back(call);
    co_return;
  };
  (void)testing::RunTask(io_, waiting_.LoadOffline("u@x", 0, {}));
  EXPECT_EQ(waited, std::vector<std::string>{"LoadOffline"});
}

}  // namespace
}  // namespace rookery::session_manager
