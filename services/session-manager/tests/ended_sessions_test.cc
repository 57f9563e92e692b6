#include "domain/sessions/ended_sessions.h"

#include <gtest/gtest.h>

namespace rookery::session_manager {
namespace {

constexpr SteadyTime kNow = SteadyTime{} + std::chrono::hours(1);

SessionId Id(int number) {
  std::string bytes = std::to_string(number);
  bytes.resize(SessionId::kBytes, '.');
  return SessionId(bytes);
}

session::v1::SessionManagerState Began(std::int64_t offset, std::uint64_t generation = 0,
                                       std::uint64_t version = 0) {
  session::v1::SessionManagerState state;
  state.set_start_offset(offset);
  state.set_account_generation(generation);
  state.set_credentials_version(version);
  return state;
}

TEST(EndedSessions, KnowsOnlyWhatWasAdded) {
  EndedSessions ended;
  EXPECT_FALSE(ended.IsOver(Id(1), 0));
  ended.Add(Id(1), "a@localhost", 0, 7, kNow);
  EXPECT_TRUE(ended.IsOver(Id(1), 0));
  EXPECT_FALSE(ended.IsOver(Id(2), 0));
}

TEST(EndedSessions, ResumedMoreOften_IsAlive) {
  EndedSessions ended;
  ended.Add(Id(1), "a@localhost", 3, 7, kNow);
  EXPECT_TRUE(ended.IsOver(Id(1), 3));
  EXPECT_FALSE(ended.IsOver(Id(1), 4));
  ended.Add(Id(1), "a@localhost", 1, 5, kNow);  // an older end, read later
  EXPECT_TRUE(ended.IsOver(Id(1), 3));
  EXPECT_EQ(ended.Find(Id(1), "a@localhost")->confirmed_count, 7u);
}

TEST(EndedSessions, OnlyItsUserIsTold) {
  EndedSessions ended;
  ended.Add(Id(1), "a@localhost", 0, 7, kNow);
  EXPECT_EQ(ended.Find(Id(1), "b@localhost"), nullptr);
  ASSERT_NE(ended.Find(Id(1), "a@localhost"), nullptr);
  EXPECT_EQ(ended.Find(Id(1), "a@localhost")->confirmed_count, 7u);
}

TEST(EndedSessions, ForgetsByTime) {
  EndedSessions ended;
  ended.Add(Id(1), "a@localhost", 0, 0, kNow);
  ended.Add(Id(2), "a@localhost", 0, 0, kNow + std::chrono::seconds(10));
  ended.Add(Id(1), "a@localhost", 1, 0, kNow + std::chrono::seconds(20));  // again: newer now
  ended.Expire(kNow + std::chrono::seconds(15));
  EXPECT_TRUE(ended.IsOver(Id(1), 1));
  EXPECT_FALSE(ended.IsOver(Id(2), 0));
  ended.Expire(kNow + std::chrono::seconds(21));
  EXPECT_EQ(ended.size(), 0u);
}

TEST(EndedSessions, BoundedByCount_TheOldestGoFirst) {
  EndedSessions ended;
  for (int i = 0; i < static_cast<int>(EndedSessions::kMost) + 10; ++i) ended.Add(Id(i), "a", 0, 0, kNow);
  EXPECT_EQ(ended.size(), EndedSessions::kMost);
  EXPECT_FALSE(ended.IsOver(Id(9), 0));
  EXPECT_TRUE(ended.IsOver(Id(10), 0));
}

TEST(EndedSessions, SessionsOfARemovedAccount_ButNotOfTheNextOfThatName) {
  EndedSessions ended;
  ended.AddAccount("a@localhost", 100, 7, kNow);
  EXPECT_TRUE(ended.HasLostAccount("a@localhost", Began(99)));
  EXPECT_TRUE(ended.HasLostAccount("a@localhost", Began(99, 6)));
  EXPECT_FALSE(ended.HasLostAccount("a@localhost", Began(100)));
  EXPECT_FALSE(ended.HasLostAccount("a@localhost", Began(100, 8)));
  EXPECT_TRUE(ended.HasLostAccount("a@localhost", Began(100, 7))) << "let in by an owner that had not heard";
  EXPECT_FALSE(ended.HasLostAccount("b@localhost", Began(99)));
  EXPECT_TRUE(ended.IsBarred("a@localhost", 7));
  EXPECT_FALSE(ended.IsBarred("a@localhost", 8));
  EXPECT_FALSE(ended.IsBarred("a@localhost", 0));
}

TEST(EndedSessions, SessionsOfOlderCredentials_ButNotTheOneThatHasChangedThem) {
  EndedSessions ended;
  ended.AddChange("a@localhost", {100, 5, Id(1)}, kNow);
  EXPECT_TRUE(ended.HasLostCredentials("a@localhost", Id(2), Began(99, 7, 4)));
  EXPECT_TRUE(ended.HasLostCredentials("a@localhost", Id(2), Began(99)))
      << "nobody knows by which it was let in";
  EXPECT_FALSE(ended.HasLostCredentials("a@localhost", Id(1), Began(99, 7, 4)));
  EXPECT_FALSE(ended.HasLostCredentials("a@localhost", Id(2), Began(99, 7, 5)));
  EXPECT_FALSE(ended.HasLostCredentials("a@localhost", Id(2), Began(100, 7, 6)));
  EXPECT_FALSE(ended.HasLostCredentials("b@localhost", Id(2), Began(99, 7, 4)));
}

}  // namespace
}  // namespace rookery::session_manager
