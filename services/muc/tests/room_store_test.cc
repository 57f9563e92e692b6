// The store of rooms in memory: the scenarios, and what it does for tests.
#include <boost/asio/co_spawn.hpp>

#include "memory_room_store.h"
#include "room_list_scenarios.h"

namespace rookery::muc {
namespace {

class MemoryFixture : public ::testing::Test {
 protected:
  asio::io_context& io() { return io_; }
  RoomStore& store() { return store_; }
  RoomStore& other() { return other_; }

  asio::io_context io_;
  MemoryRoomDatabase database_;
  MemoryRoomStore store_{database_};
  MemoryRoomStore other_{database_};
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, RoomStoreScenarios, MemoryFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, RoomListScenarios, MemoryFixture);

class MemoryStore : public MemoryFixture {
 protected:
  MemoryStore() { EXPECT_TRUE(testing::RunTask(io_, store_.Claim(1, 1)).ok()); }
  RoomChanges Changes() const {
    RoomChanges changes;
    changes.room = "r@conference.example";
    return changes;
  }
};

TEST_F(MemoryStore, Away_NothingIsMade) {
  database_.is_down = true;
  EXPECT_TRUE(absl::IsUnavailable(testing::RunTask(io_, store_.Save(1, 1, Changes()))));
  EXPECT_TRUE(
      absl::IsUnavailable(testing::RunTask(io_, store_.Load(1, {"r@conference.example"}, 1)).status()));
  EXPECT_TRUE(absl::IsUnavailable(testing::RunTask(io_, store_.List({})).status()));
  EXPECT_TRUE(absl::IsUnavailable(testing::RunTask(io_, store_.Claim(1, 2))));
  EXPECT_TRUE(database_.rooms.empty());
  EXPECT_EQ(database_.claims.rows[1].epoch, 1);
}

TEST_F(MemoryStore, Ambiguous_ItIsMadeAndNobodyIsTold) {
  database_.is_ambiguous = true;
  EXPECT_TRUE(absl::IsDeadlineExceeded(testing::RunTask(io_, store_.Save(1, 1, Changes()))));
  EXPECT_TRUE(database_.rooms.contains("r@conference.example"));
  EXPECT_TRUE(testing::RunTask(io_, store_.Load(1, {"r@conference.example"}, 1)).ok());
}

TEST_F(MemoryStore, Held_AnswersComeWhenTheyAreReleased) {
  database_.HoldAnswers();
  std::vector<absl::Status> answers;
  const auto note = [&](std::exception_ptr, const absl::Status& status) { answers.push_back(status); };
  asio::co_spawn(io_, store_.Save(1, 1, Changes()), note);
  asio::co_spawn(io_, store_.Save(1, 1, Changes()), note);
  ASSERT_TRUE(testing::RunUntil(io_, [&] { return database_.held() == 2; }));
  EXPECT_TRUE(answers.empty());
  EXPECT_TRUE(database_.rooms.contains("r@conference.example"));
  database_.ReleaseAnswers();
  ASSERT_TRUE(testing::RunUntil(io_, [&] { return answers.size() == 2; }));
  EXPECT_TRUE(answers[0].ok());
  EXPECT_EQ(database_.held(), 0u);
  EXPECT_EQ(database_.calls["Save"], 2);
}

TEST_F(MemoryStore, Slow_SomebodyElseComesFirst) {
  database_.on_call = [this](std::string_view call) -> Task<void> {
    if (call == "Save") database_.claims.rows[1].epoch = 2;
    co_return;
  };
  EXPECT_TRUE(absl::IsFailedPrecondition(testing::RunTask(io_, store_.Save(1, 1, Changes()))));
  EXPECT_TRUE(database_.rooms.empty());
}

}  // namespace
}  // namespace rookery::muc
