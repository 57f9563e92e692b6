#include "domain/sessions/ended_sessions.h"

#include <gtest/gtest.h>

namespace rookery::session_manager {
namespace {

constexpr SteadyTime kNow = SteadyTime{} + std::chrono::hours(1);

SessionId Id(int number) {
  std::string bytes = std::to_string(number);
  bytes.resize(SessionId::kSize, '.');
  return SessionId(bytes);
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
  ended.AddAccount("a@localhost", 100, kNow);
  EXPECT_TRUE(ended.IsAccountGone("a@localhost", 99));
  EXPECT_FALSE(ended.IsAccountGone("a@localhost", 100));
  EXPECT_FALSE(ended.IsAccountGone("b@localhost", 99));
}

}  // namespace
}  // namespace rookery::session_manager
