// When users were last there is written many at a time, and by one statement after another.
#include "domain/presence/last_activities.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster.h"
#include "memory_stores.h"
#include "rookery/runtime/task.h"
#include "rookery/testing/run_task.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::session_manager {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Le;

/// A store that counts what it is asked to write, and takes its time.
class CountedStore final : public AccountStore {
 public:
  explicit CountedStore(MemoryDatabase& database) : store_(database) {}
  Task<absl::StatusOr<Account>> Find(std::string user) override { return store_.Find(user); }
  Task<absl::StatusOr<Accounts>> FindAll(std::vector<std::string> users) override {
    return store_.FindAll(users);
  }
  Task<absl::Status> Create(std::string user, Account account, milliseconds reuse_after) override {
    return store_.Create(user, account, reuse_after);
  }
  Task<absl::Status> SetKeys(std::string user, Account before, Keys keys) override {
    return store_.SetKeys(user, before, keys);
  }
  Task<absl::Status> Remove(std::string user, std::uint64_t generation) override {
    return store_.Remove(user, generation);
  }
  Task<absl::StatusOr<std::size_t>> ForgetRemoved(milliseconds age, std::size_t most) override {
    return store_.ForgetRemoved(age, most);
  }
  Task<absl::StatusOr<bool>> Exists(std::string user) override { return store_.Exists(user); }
  Task<absl::StatusOr<std::optional<LastActivity>>> GetLastActivity(std::string user) override {
    return store_.GetLastActivity(user);
  }
  Task<absl::Status> SetLastActivities(std::vector<UserActivity> activities) override {
    sizes.push_back(activities.size());
    most_open = std::max(most_open, ++open);
    co_await runtime::Sleep(milliseconds(10));
    absl::Status stored = refusal;
    if (stored.ok()) stored = co_await store_.SetLastActivities(std::move(activities));
    --open;
    co_return stored;
  }

  absl::Status refusal;
  std::vector<std::size_t> sizes;
  int open = 0;
  int most_open = 0;

 private:
  MemoryAccountStore store_;
};

class LastActivitiesTest : public ::testing::Test {
 protected:
  std::string User(int n) {
    std::string user = std::to_string(n) + "@x";
    database_.accounts[user];
    return user;
  }
  std::string Status(const std::string& user) {
    const auto last = testing::RunTask(io_, last_activities_.Get(user));
    return last.ok() && last->has_value() ? (*last)->status : "none";
  }

  testing::VirtualTime time_;
  asio::io_context io_;
  MemoryDatabase database_;
  CountedStore accounts_{database_};
  std::unique_ptr<runtime::TaskGroup> tasks_ = std::make_unique<runtime::TaskGroup>(io_.get_executor());
  LastActivities last_activities_{io_.get_executor(), *tasks_, accounts_};
  /// The tasks end before what they use.
  struct StopTasks {
    ~StopTasks() { tasks.reset(); }
    std::unique_ptr<runtime::TaskGroup>& tasks;
  } stop_tasks_{tasks_};
};

TEST_F(LastActivitiesTest, ManyAtOnce_OneStatementAtATime_AndAllAreStored) {
  for (int i = 0; i < 2'000; ++i) last_activities_.Set(User(i), 1, {i, "gone"});
  time_.RunFor(io_, seconds(1));
  EXPECT_EQ(accounts_.most_open, 1);
  EXPECT_THAT(accounts_.sizes, Each(Le(LastActivities::kUsersAtOnce)));
  EXPECT_LE(accounts_.sizes.size(), 2'000 / LastActivities::kUsersAtOnce + 2);
  EXPECT_EQ(database_.last.size(), 2'000u);
  EXPECT_EQ(last_activities_.size(), 0u);
}

TEST_F(LastActivitiesTest, LongOnes_AreFewInAStatement) {
  const std::string status(LastActivities::kBytesAtOnce / 2, 's');
  for (int i = 0; i < 4; ++i) last_activities_.Set(User(i), 1, {i, status});
  last_activities_.Set(User(4), 1, {4, status + status + status});
  time_.RunFor(io_, seconds(1));
  EXPECT_THAT(accounts_.sizes, Each(Le(1u)));
  EXPECT_EQ(database_.last.size(), 5u);
}

TEST_F(LastActivitiesTest, TheNewestOfAUserIsWritten_WhileAnOlderOneIsBeingWritten_Too) {
  const std::string user = User(1);
  last_activities_.Set(user, 1, {1, "a"});
  time_.Settle(io_);
  ASSERT_EQ(accounts_.open, 1);
  last_activities_.Set(user, 1, {2, "b"});
  last_activities_.Set(user, 1, {3, "c"});
  EXPECT_EQ(last_activities_.size(), 1u);
  time_.RunFor(io_, seconds(1));
  EXPECT_THAT(accounts_.sizes, ElementsAre(1, 1));
  EXPECT_EQ(database_.last[user].status, "c");
}

TEST_F(LastActivitiesTest, IsKnownBeforeTheStoreHasIt) {
  const std::string user = User(1);
  EXPECT_EQ(Status(user), "none");
  database_.down = true;
  last_activities_.Set(user, 1, {1, "a"});
  EXPECT_EQ(Status(user), "a");
  time_.RunFor(io_, seconds(1));
  EXPECT_EQ(Status(user), "a");
  database_.down = false;
  time_.RunFor(io_, seconds(30));
  EXPECT_EQ(last_activities_.size(), 0u);
  EXPECT_EQ(Status(user), "a");
}

TEST_F(LastActivitiesTest, TheStoreIsAway_TriedAgainLessAndLessOften_AndTheNewestIsWritten) {
  database_.down = true;
  last_activities_.Set(User(1), 1, {1, "old"});
  last_activities_.Set(User(2), 1, {1, "only"});
  time_.RunFor(io_, seconds(60));
  EXPECT_LT(accounts_.sizes.size(), 60u);
  last_activities_.Set(User(1), 1, {2, "new"});
  database_.down = false;
  time_.RunFor(io_, seconds(30));
  EXPECT_EQ(database_.last[User(1)].status, "new");
  EXPECT_EQ(database_.last[User(2)].status, "only");
}

TEST_F(LastActivitiesTest, WhatTheStoreRefusesIsGivenUp) {
  accounts_.refusal = absl::InternalError("refused");
  last_activities_.Set(User(1), 1, {1, "a"});
  time_.RunFor(io_, seconds(30));
  EXPECT_EQ(accounts_.sizes.size(), 1u);
  EXPECT_EQ(last_activities_.size(), 0u);
  accounts_.refusal = absl::OkStatus();
  last_activities_.Set(User(2), 1, {1, "b"});
  time_.RunFor(io_, seconds(1));
  EXPECT_EQ(database_.last[User(2)].status, "b");
}

TEST_F(LastActivitiesTest, TooMany_TheOldestAreLeftOut) {
  database_.down = true;
  const int users = static_cast<int>(LastActivities::kMost) + 1'000;
  for (int i = 0; i < users; ++i) last_activities_.Set(User(i), 1, {i, ""});
  EXPECT_EQ(last_activities_.size(), LastActivities::kMost);
  database_.down = false;
  time_.RunFor(io_, seconds(60));
  EXPECT_EQ(accounts_.most_open, 1);
  EXPECT_FALSE(database_.last.contains(User(999)));
  EXPECT_TRUE(database_.last.contains(User(1'000)));
}

TEST_F(LastActivitiesTest, TooLong_TheOldestAreLeftOut) {
  database_.down = true;
  const std::string status(LastActivities::kMostBytes / 4, 's');
  for (int i = 0; i < 5; ++i) last_activities_.Set(User(i), 1, {i, status});
  EXPECT_EQ(last_activities_.size(), 3u);
  EXPECT_EQ(Status(User(1)), "none");
  EXPECT_EQ(Status(User(2)), status);
}

TEST_F(LastActivitiesTest, AnAccountIsRemoved_NothingOfItIsWrittenAfterThat) {
  const std::string user = User(1);
  last_activities_.Set(user, 1, {1, "a"});
  time_.Settle(io_);
  last_activities_.Set(user, 1, {2, "b"});
  last_activities_.Set(User(2), 1, {1, "another's"});
  ASSERT_EQ(accounts_.open, 1);
  bool is_forgotten = false;
  asio::co_spawn(
      io_,
      [&]() -> Task<void> {
        co_await last_activities_.Forget(user, 1);
        is_forgotten = true;
        database_.last.erase(user);
      },
      asio::detached);
  time_.Settle(io_);
  EXPECT_FALSE(is_forgotten) << "a statement of it is under way";
  time_.RunFor(io_, seconds(1));
  EXPECT_TRUE(is_forgotten);
  EXPECT_FALSE(database_.last.contains(user));
  EXPECT_EQ(database_.last[User(2)].status, "another's");
}

TEST_F(LastActivitiesTest, AnAccountIsRemovedOnceMore_TheNextOnesOfTheNameIsWritten) {
  const std::string user = User(1);
  database_.generations[user] = 8;
  last_activities_.Set(user, 8, {1, "next"});
  asio::co_spawn(io_, last_activities_.Forget(user, 7), asio::detached);
  time_.RunFor(io_, seconds(1));
  EXPECT_EQ(database_.last[user].status, "next");
}

/// In a session-manager.
class LastActivityTest : public Cluster {
 protected:
  LastActivityTest() : Cluster(1), gateway_(AddGateway("gw-1")) {
    Assign(1, 0);
    EXPECT_TRUE(RunUntil([&] { return IsLive(1); }));
  }
  Gateway& gateway_;
};

TEST_F(LastActivityTest, ManySessionsEndAtOnce_TheStoreIsAskedOnceAtATime_AndAllIsKnown) {
  constexpr int kUsers = 50;
  std::vector<Client*> clients;
  for (int i = 0; i < kUsers; ++i) clients.push_back(&SignIn(gateway_, UserIn(1, i), "r"));
  int calls = 0;
  int open = 0;
  bool is_held_up = true;
  database_.on_slow = [&](std::string_view call) -> Task<void> {
    if (call != "SetLastActivities") co_return;
    ++calls;
    ++open;
    EXPECT_EQ(open, 1);
    while (is_held_up) co_await runtime::Sleep(milliseconds(1));
    --open;
  };
  for (Client* const client : clients) gateway_.End(*client, session::v1::END_REASON_CLOSED);
  Settle();
  EXPECT_EQ(calls, 1);
  is_held_up = false;
  EXPECT_TRUE(RunUntil([&] { return database_.last.size() == kUsers; }));
  EXPECT_LE(calls, 3);
  database_.on_slow = {};
}

}  // namespace
}  // namespace rookery::session_manager
