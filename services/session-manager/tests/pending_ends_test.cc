#include "domain/state/pending_ends.h"

#include <gmock/gmock.h>

#include <vector>

namespace rookery::session_manager {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PendingEndsTest : public ::testing::Test {
 protected:
  std::shared_ptr<PendingEnd> Add(std::int64_t offset, SteadyTime limit = SteadyTime::max()) {
    auto end = std::make_shared<PendingEnd>();
    end->offset = offset;
    end->limit = limit;
    end->on_limit = [this, offset] { closed_.push_back(offset); };
    end->tell = [this, offset] { told_.push_back(offset); };
    ends_.Add(end);
    return end;
  }
  PendingEnds ends_;
  std::vector<std::int64_t> told_;
  std::vector<std::int64_t> closed_;
  const SteadyTime now_ = SteadyTime{} + std::chrono::hours(1);
};

TEST_F(PendingEndsTest, ToldOnceWrittenAndCommitted_InWhicheverOrder) {
  const auto first = Add(5);
  const auto second = Add(6);
  ends_.OnWritten(*first, 3);
  EXPECT_THAT(told_, IsEmpty());
  ends_.OnCommitted(6);
  EXPECT_THAT(told_, ElementsAre(5));
  ends_.OnCommitted(7);
  EXPECT_THAT(told_, ElementsAre(5));
  ends_.OnWritten(*second, 7);
  EXPECT_THAT(told_, ElementsAre(5, 6));
  EXPECT_EQ(ends_.size(), 0u);
}

TEST_F(PendingEndsTest, NothingWasAddressedToIt_ToldWhenWritten) {
  ends_.OnWritten(*Add(-1), -1);
  EXPECT_THAT(told_, ElementsAre(-1));
}

TEST_F(PendingEndsTest, ACommitIsWantedOnlyWhereItWouldEndAWait) {
  EXPECT_FALSE(ends_.WantCommit(10, 3));
  Add(9);
  EXPECT_FALSE(ends_.WantCommit(9, 3));
  EXPECT_TRUE(ends_.WantCommit(10, 3));
  EXPECT_FALSE(ends_.WantCommit(10, 10));
}

TEST_F(PendingEndsTest, TheLimitPasses_ClosedOnce_AndToldWhenItMayBeForgotten) {
  const auto first = Add(5, now_ + seconds(1));
  const auto second = Add(6, now_ + seconds(1));
  Add(7);
  ends_.OnTime(now_);
  EXPECT_THAT(closed_, IsEmpty());
  ends_.OnWritten(*second, 7);
  ends_.OnTime(now_ + seconds(2));
  ends_.OnTime(now_ + seconds(3));
  EXPECT_THAT(closed_, ElementsAre(5));
  EXPECT_THAT(told_, ElementsAre(6));
  ends_.OnWritten(*first, 6);
  EXPECT_THAT(told_, ElementsAre(6, 5));
}

// One client that acknowledges nothing holds the cursor while thousands of others close.
TEST_F(PendingEndsTest, ManyWaitBehindOne_EachCallCostsWhatIsDue) {
  constexpr std::int64_t kMany = 10'000;
  for (std::int64_t i = 0; i < kMany; ++i) {
    ends_.OnWritten(*Add(100 + i), 50);
    EXPECT_FALSE(ends_.WantCommit(60, 50));
    ends_.OnCommitted(55);
    ends_.OnTime(now_);
  }
  EXPECT_EQ(ends_.size(), static_cast<std::size_t>(kMany));
  EXPECT_LE(ends_.LooksForTest(), static_cast<std::size_t>(kMany));
  ends_.OnCommitted(100 + kMany);
  EXPECT_EQ(told_.size(), static_cast<std::size_t>(kMany));
  EXPECT_LE(ends_.LooksForTest(), static_cast<std::size_t>(2 * kMany));
}

}  // namespace
}  // namespace rookery::session_manager
