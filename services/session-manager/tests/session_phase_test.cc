#include "domain/state/session_phase.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <vector>

#include "domain/state/session.h"

namespace rookery::session_manager {
namespace {

constexpr std::array kAll{SessionPhase::kConnected, SessionPhase::kResumed, SessionPhase::kLinkLost,
                          SessionPhase::kAway,      SessionPhase::kParking, SessionPhase::kParked,
                          SessionPhase::kClosing,   SessionPhase::kEnding,  SessionPhase::kEndingAway,
                          SessionPhase::kEnded};

TEST(SessionPhase, EachHasAName) {
  std::set<std::string_view> names;
  for (const SessionPhase phase : kAll) names.insert(Name(phase));
  EXPECT_EQ(names.size(), kAll.size());
}

TEST(SessionPhase, EveryPhaseCanEnd_AndNothingFollowsTheEnd) {
  for (const SessionPhase phase : kAll) {
    EXPECT_EQ(MayFollow(phase, SessionPhase::kEnded), phase != SessionPhase::kEnded) << Name(phase);
    EXPECT_FALSE(MayFollow(SessionPhase::kEnded, phase)) << Name(phase);
  }
}

TEST(SessionPhase, ItIsInTheStoreOnlyAfterItWasWritten) {
  for (const SessionPhase phase : kAll)
    EXPECT_EQ(MayFollow(phase, SessionPhase::kParked), phase == SessionPhase::kParking) << Name(phase);
}

TEST(SessionPhase, IsWrittenOnlyWhileItsClientIsAway) {
  for (const SessionPhase phase : kAll) {
    if (MayFollow(phase, SessionPhase::kParking)) EXPECT_TRUE(IsAway(phase)) << Name(phase);
  }
}

TEST(SessionPhase, AClosedStreamIsNotResumed) {
  for (const SessionPhase phase : kAll) {
    if (IsEnding(phase) || phase == SessionPhase::kEnded) continue;
    EXPECT_FALSE(MayFollow(SessionPhase::kClosing, phase)) << Name(phase);
  }
}

TEST(SessionPhase, OnlyAResumptionTakesADecidedEndBack) {
  for (const SessionPhase phase : kAll) {
    const bool may_follow = phase == SessionPhase::kResumed || phase == SessionPhase::kEnded;
    EXPECT_EQ(MayFollow(SessionPhase::kEnding, phase), may_follow) << Name(phase);
    EXPECT_EQ(MayFollow(SessionPhase::kEndingAway, phase), may_follow) << Name(phase);
  }
}

TEST(SessionPhase, OneThatIsEndingIsAsMuchAwayAsItWas) {
  for (const SessionPhase phase : kAll) {
    const bool may_end = phase != SessionPhase::kEnded && !IsEnding(phase);
    EXPECT_EQ(MayFollow(phase, SessionPhase::kEndingAway), may_end && IsAway(phase)) << Name(phase);
    EXPECT_EQ(MayFollow(phase, SessionPhase::kEnding), may_end && !IsAway(phase)) << Name(phase);
    if (may_end) EXPECT_TRUE(MayFollow(phase, EndingOf(phase))) << Name(phase);
  }
}

TEST(Session, IsDetachedSinceItsClientWasFirstAway) {
  const SteadyTime start = SteadyTime{} + std::chrono::hours(1);
  Session session;
  session.BeginAs(SessionPhase::kConnected, start);
  session.Move(SessionPhase::kLinkLost, start + std::chrono::seconds(1));
  session.Move(SessionPhase::kParking, start + std::chrono::seconds(2));
  session.Move(SessionPhase::kParked, start + std::chrono::seconds(3));
  EXPECT_TRUE(session.detached());
  EXPECT_EQ(session.detached_since, start + std::chrono::seconds(1));
  session.Move(SessionPhase::kResumed, start + std::chrono::seconds(4));
  EXPECT_FALSE(session.detached());
  session.Move(SessionPhase::kAway, start + std::chrono::seconds(5));
  EXPECT_EQ(session.detached_since, start + std::chrono::seconds(5));
  session.Move(SessionPhase::kEndingAway, start + std::chrono::seconds(6));
  EXPECT_TRUE(session.detached());
  EXPECT_FALSE(session.ended());
  session.Move(SessionPhase::kEnded, start + std::chrono::seconds(7));
  EXPECT_TRUE(session.ended());
}

TEST(Session, IsCountedAsAwayUntilItsClientIsBack_OrItIsOver) {
  std::int64_t away = 0;
  Session session;
  session.BeginAs(SessionPhase::kParked, SteadyTime{});
  session.CountIn(away);
  EXPECT_EQ(away, 1) << "it was away before it was counted";
  session.Move(SessionPhase::kResumed, SteadyTime{});
  EXPECT_EQ(away, 0);
  session.Move(SessionPhase::kLinkLost, SteadyTime{});
  session.Move(SessionPhase::kAway, SteadyTime{});
  session.Move(SessionPhase::kEndingAway, SteadyTime{});
  EXPECT_EQ(away, 1);
  session.Move(SessionPhase::kEnded, SteadyTime{});
  EXPECT_EQ(away, 0);
}

TEST(SessionDeathTest, AMoveThatTheTableDoesNotHave_IsABrokenInvariant) {
  Session session;
  session.Move(SessionPhase::kClosing, SteadyTime{});
  EXPECT_DEATH(session.Move(SessionPhase::kConnected, SteadyTime{}), "MayFollow");
}

TEST(SessionDeathTest, OneThatHasMoved_OrIsCounted_DoesNotBeginAgain) {
  Session moved;
  moved.Move(SessionPhase::kAway, SteadyTime{});
  EXPECT_DEATH(moved.BeginAs(SessionPhase::kParked, SteadyTime{}), "kConnected");
  std::int64_t away = 0;
  Session counted;
  counted.CountIn(away);
  EXPECT_DEATH(counted.BeginAs(SessionPhase::kParked, SteadyTime{}), "away_");
}

}  // namespace
}  // namespace rookery::session_manager
