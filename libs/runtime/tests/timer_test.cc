#include "rookery/runtime/timer.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "rookery/runtime/backoff.h"
#include "rookery/runtime/task.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::runtime {
namespace {

using rookery::testing::VirtualTime;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(VirtualTime, StandsStillUntilItIsMovedAndMovesEveryClock) {
  VirtualTime time(1'000'000);
  const SteadyTime begun = SteadyNow();
  EXPECT_EQ(Clock::System().Now(), begun);
  EXPECT_EQ(UnixMillis(), 1'000'000);
  time.JumpTo(begun + seconds(5));
  EXPECT_EQ(SteadyNow(), begun + seconds(5));
  EXPECT_EQ(Clock::System().UnixMillisNow(), 1'005'000);
  EXPECT_EQ(TimerClock::now(), begun + seconds(5));
}

TEST(VirtualTime, GivesTheMachinesClockBack) {
  {
    const VirtualTime time;
  }
  const auto before = std::chrono::steady_clock::now();
  EXPECT_LE(before, SteadyNow());
}

TEST(VirtualTime, RunsTimersInTheirOrderAtTheirMoment) {
  VirtualTime time;
  asio::io_context io;
  const SteadyTime begun = SteadyNow();
  std::vector<std::string> events;
  const auto wait = [&](std::string name, milliseconds duration) -> Task<void> {
    co_await Sleep(duration);
    EXPECT_EQ(SteadyNow(), begun + duration) << name;
    events.push_back(name);
  };
  asio::co_spawn(io, wait("day", hours(24)), asio::detached);
  asio::co_spawn(io, wait("second", seconds(1)), asio::detached);
  asio::co_spawn(io, wait("hour", hours(1)), asio::detached);
  time.RunFor(io, hours(23));
  EXPECT_EQ(events, (std::vector<std::string>{"second", "hour"}));
  time.RunFor(io, hours(1));
  EXPECT_EQ(events.back(), "day");
}

TEST(VirtualTime, KnowsWhatIsDueNextAlsoAfterACancellation) {
  VirtualTime time;
  asio::io_context io;
  Timer soon(io), late(io);
  soon.expires_after(seconds(1));
  late.expires_after(seconds(9));
  int ended = 0;
  soon.async_wait([&](auto) { ++ended; });
  late.async_wait([&](auto) { ++ended; });
  EXPECT_EQ(time.Settle(io), SteadyNow() + seconds(1));
  soon.cancel();
  EXPECT_EQ(time.Settle(io), SteadyNow() + seconds(9));
  EXPECT_EQ(ended, 1);
  late.cancel();
  EXPECT_EQ(time.Settle(io), SteadyTime::max());
}

TEST(VirtualTime, ATimerThatATimerArmsIsNotMissed) {
  VirtualTime time;
  asio::io_context io;
  std::vector<SteadyTime> at;
  const SteadyTime begun = SteadyNow();
  const auto chain = [&]() -> Task<void> {
    for (int i = 0; i < 1000; ++i) {
      co_await Sleep(milliseconds(7));
      at.push_back(SteadyNow());
    }
  };
  asio::co_spawn(io, chain(), asio::detached);
  time.RunFor(io, seconds(7));
  ASSERT_EQ(at.size(), 1000u);
  EXPECT_EQ(at.back(), begun + seconds(7));
}

TEST(VirtualTime, APeriodicTimerFollowsIt) {
  VirtualTime time;
  asio::io_context io;
  int calls = 0;
  const PeriodicTimer timer(io.get_executor(), milliseconds(500), [&] { ++calls; });
  time.RunFor(io, hours(1));
  EXPECT_EQ(calls, 7200);
}

TEST(VirtualTime, WhatWasDueDuringAJumpComesOnce) {
  VirtualTime time;
  asio::io_context io;
  int calls = 0;
  const PeriodicTimer timer(io.get_executor(), milliseconds(500), [&] { ++calls; });
  time.Settle(io);
  time.JumpTo(SteadyNow() + hours(1));  // the process was frozen
  time.Settle(io);
  EXPECT_EQ(calls, 1);
  time.RunFor(io, milliseconds(500));
  EXPECT_EQ(calls, 2);
}

TEST(Backoff, WaitsLongerAfterEachFailureUntilOneSucceeds) {
  VirtualTime time;
  asio::io_context io;
  std::vector<SteadyTime::duration> waits;
  const auto attempts = [&]() -> Task<void> {
    Backoff backoff({.first = milliseconds(100), .max = seconds(1), .jitter = 0});
    for (int i = 0; i < 6; ++i) {
      if (i == 5) backoff.Reset();
      const SteadyTime before = SteadyNow();
      co_await backoff.Wait();
      waits.push_back(SteadyNow() - before);
    }
  };
  asio::co_spawn(io, attempts(), asio::detached);
  time.RunFor(io, seconds(10));
  EXPECT_EQ(waits, (std::vector<SteadyTime::duration>{milliseconds(100), milliseconds(200), milliseconds(400),
                                                      milliseconds(800), seconds(1), milliseconds(100)}));
}

TEST(Backoff, SaysWhenTheDeadlineLeavesNoTimeForAnotherAttempt) {
  VirtualTime time;
  asio::io_context io;
  const SteadyTime begun = SteadyNow();
  int attempts = 0;
  const auto attempt = [&]() -> Task<void> {
    Backoff backoff({.first = milliseconds(100), .max = seconds(1), .jitter = 0});
    const Deadline deadline = Deadline::After(milliseconds(250));
    bool is_time_left = true;
    while (is_time_left) {
      ++attempts;
      is_time_left = co_await backoff.Wait(deadline);
    }
    EXPECT_EQ(SteadyNow(), begun + milliseconds(250));
  };
  asio::co_spawn(io, attempt(), asio::detached);
  time.RunFor(io, seconds(10));
  EXPECT_EQ(attempts, 2);
}

}  // namespace
}  // namespace rookery::runtime
