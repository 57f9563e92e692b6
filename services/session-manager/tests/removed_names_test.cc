#include "domain/accounts/removed_names.h"

#include <gmock/gmock.h>

#include "domain/settings.h"
#include "memory_stores.h"
#include "rookery/runtime/task.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::session_manager {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

class RemovedNamesTest : public ::testing::Test {
 protected:
  RemovedNamesTest() { database_.clock = &Clock::System(); }
  void Remove(const std::string& user, std::chrono::milliseconds ago) {
    database_.removed[user] = {1, Clock::System().UnixMillisNow() - ago.count()};
  }
  /// Sweeps for so long.
  void Pass(std::chrono::milliseconds time) {
    for (; time.count() > 0; time -= minutes(1)) {
      names_.OnSweep();
      time_.RunFor(io_, minutes(1));
    }
  }

  testing::VirtualTime time_;
  asio::io_context io_;
  Settings settings_;
  MemoryDatabase database_;
  MemoryAccountStore accounts_{database_};
  runtime::TaskGroup tasks_{io_.get_executor()};
  RemovedNames names_{settings_, Clock::System(), tasks_, accounts_};
};

TEST_F(RemovedNamesTest, AC7_ForgottenWhenTheNameIsFree) {
  settings_.name_reuse_after = hours(48);
  Remove("new@x", hours(1));
  Remove("kept@x", hours(47));
  Remove("old@x", hours(49));
  Pass(minutes(30));
  EXPECT_FALSE(database_.removed.contains("old@x"));
  EXPECT_EQ(database_.removed.size(), 2u);
  Pass(hours(2));
  EXPECT_EQ(database_.removed.size(), 1u);
}

TEST_F(RemovedNamesTest, AC7_ADayIsKept_ShouldTheSettingBeRaised) {
  Remove("new@x", hours(23));
  Remove("old@x", hours(25));
  Pass(minutes(1));
  EXPECT_EQ(database_.removed.size(), 1u);
  EXPECT_TRUE(database_.removed.contains("new@x"));
}

TEST_F(RemovedNamesTest, AC7_FewAtATime_UntilNoneAreLeft) {
  for (int i = 0; i < 250; ++i) Remove(std::to_string(i) + "@x", hours(25));
  names_.OnSweep();
  time_.Settle(io_);
  EXPECT_EQ(database_.removed.size(), 150u);
  time_.RunFor(io_, std::chrono::seconds(5));
  EXPECT_TRUE(database_.removed.empty());
  const int before = database_.statements;
  Pass(minutes(9));
  EXPECT_EQ(database_.statements, before) << "not at each sweep";
  Pass(minutes(3));
  EXPECT_EQ(database_.statements, before + 1);
}

TEST_F(RemovedNamesTest, AC7_TheStoreIsAway_TriedAgainLater) {
  Remove("old@x", hours(25));
  database_.down = true;
  Pass(minutes(5));
  database_.down = false;
  Pass(minutes(10));
  EXPECT_TRUE(database_.removed.empty());
}

}  // namespace
}  // namespace rookery::session_manager
