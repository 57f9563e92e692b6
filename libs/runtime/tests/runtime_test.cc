#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "rookery/runtime/task.h"

namespace rookery::runtime {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

/// Runs everything that is ready, without waiting for anything.
void Settle(asio::io_context& io) {
  io.restart();
  while (io.poll() > 0) io.restart();
}

TEST(Promise, DeliversAValueSetBeforeGet) {
  asio::io_context io;
  Promise<int> promise(io.get_executor());
  promise.Set(7);
  std::optional<int> got;
  asio::co_spawn(io, [&]() -> Task<void> { got = co_await promise.Get(); }, asio::detached);
  Settle(io);
  EXPECT_EQ(got, 7);
}

TEST(Promise, DeliversAValueSetAfterGet) {
  asio::io_context io;
  Promise<std::string> promise(io.get_executor());
  std::optional<std::string> got;
  asio::co_spawn(io, [&]() -> Task<void> { got = co_await promise.Get(); }, asio::detached);
  Settle(io);
  EXPECT_FALSE(got.has_value());
  Promise<std::string> copy = promise;
  copy.Set("hello");
  EXPECT_FALSE(got.has_value()) << "Set must not resume its waiter inside the call";
  Settle(io);
  EXPECT_EQ(got, "hello");
}

TEST(Promise, KeepsRunAliveUntilAnotherThreadSets) {
  for (int round = 0; round < 200; ++round) {
    asio::io_context io;
    Promise<std::unique_ptr<int>> promise(io.get_executor());
    int got = 0;
    asio::co_spawn(
        io,
        [&]() -> Task<void> {
          auto value = co_await promise.Get();
          got = *value;
        },
        asio::detached);
    std::thread setter([promise]() mutable { promise.Set(std::make_unique<int>(42)); });
    io.run();
    setter.join();
    ASSERT_EQ(got, 42);
  }
}

TEST(Promise, OnlyTheFirstValueCounts) {
  asio::io_context io;
  Promise<int> promise(io.get_executor());
  promise.Set(1);
  promise.Set(2);
  int got = 0;
  asio::co_spawn(io, [&]() -> Task<void> { got = co_await promise.Get(); }, asio::detached);
  Settle(io);
  EXPECT_EQ(got, 1);
}

TEST(Promise, CancellingTheWaiterThrowsInIt) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Promise<int> promise(io.get_executor());
  bool was_cancelled = false;
  auto wait = [&]() -> Task<void> {
    try {
      (void)co_await promise.Get();
    } catch (const boost::system::system_error& e) {
      was_cancelled = e.code() == asio::error::operation_aborted;
      throw;
    }
  };
  group.Spawn("wait", wait());
  Settle(io);
  asio::co_spawn(io, group.Stop(), asio::detached);
  Settle(io);
  EXPECT_TRUE(was_cancelled);
  EXPECT_EQ(group.size(), 0u);
  promise.Set(1);  // too late, harmless
  Settle(io);
}

TEST(Promise, DestroyingTheContextFreesAWaiter) {
  auto io = std::make_unique<asio::io_context>();
  auto group = std::make_unique<TaskGroup>(io->get_executor());
  auto alive = std::make_shared<int>(1);
  auto wait = [](Promise<int> promise, std::shared_ptr<int> held) -> Task<void> {
    (void)co_await promise.Get();
    *held = 2;
  };
  group->Spawn("wait", wait(Promise<int>(io->get_executor()), alive));
  Settle(*io);
  EXPECT_EQ(alive.use_count(), 2);
  group.reset();
  io.reset();
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(TaskGroup, RunsAndForgetsTasks) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  int ran = 0;
  auto work = [&]() -> Task<void> {
    ++ran;
    co_return;
  };
  for (int i = 0; i < 3; ++i) group.Spawn("work", work());
  Settle(io);
  EXPECT_EQ(ran, 3);
  EXPECT_EQ(group.size(), 0u);
}

TEST(TaskGroup, CountsAndLogsAnExceptionAndGoesOn) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  const std::uint64_t before = FailedTasks();
  auto fail = []() -> Task<void> {
    throw std::runtime_error("broken on purpose");
    co_return;
  };
  testing::internal::CaptureStdout();
  group.Spawn("fail", fail());
  Settle(io);
  const std::string log = testing::internal::GetCapturedStdout();
  EXPECT_EQ(FailedTasks(), before + 1);
  EXPECT_EQ(group.size(), 0u);
  EXPECT_THAT(
      log, testing::HasSubstr("\"event\":\"task.failed\",\"task\":\"fail\",\"error\":\"broken on purpose\""));
}

TEST(TaskGroup, StopCancelsAndWaitsForCleanUp) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  std::vector<std::string> events;
  asio::steady_timer clean_up(io);
  clean_up.expires_at(asio::steady_timer::time_point::max());
  const std::uint64_t failed_before = FailedTasks();
  auto slow_end = [&]() -> Task<void> {
    try {
      co_await Sleep(hours(1));
    } catch (const boost::system::system_error&) {
      events.push_back("cancelled");
      throw;
    }
  };
  group.Spawn("slow end", slow_end());
  group.Spawn("second", slow_end());
  Settle(io);
  bool stopped = false;
  asio::co_spawn(
      io,
      [&]() -> Task<void> {
        co_await group.Stop();
        events.push_back("stopped");
        stopped = true;
      },
      asio::detached);
  Settle(io);
  EXPECT_TRUE(stopped);
  EXPECT_THAT(events, testing::ElementsAre("cancelled", "cancelled", "stopped"));
  EXPECT_EQ(FailedTasks(), failed_before) << "a cancelled task has not failed";
}

TEST(TaskGroup, APartIsCancelledAlone_OrWithTheWhole) {
  asio::io_context io;
  TaskGroup whole(io.get_executor());
  const std::uint64_t failed_before = FailedTasks();
  std::vector<std::string> ended;
  auto wait = [&](std::string name) -> Task<void> {
    struct AtEnd {
      ~AtEnd() { ended.push_back(name); }
      std::vector<std::string>& ended;
      std::string name;
    } at_end{ended, name};
    co_await Sleep(hours(1));
  };
  auto one = whole.MakePart();
  auto two = whole.MakePart();
  whole.Spawn("whole", wait("whole"));
  one->Spawn("one", wait("one"));
  two->Spawn("two", wait("two"));
  Settle(io);
  EXPECT_EQ(whole.size(), 3u);
  one->Cancel();
  one->Spawn("late", wait("late"));
  Settle(io);
  EXPECT_THAT(ended, testing::ElementsAre("one"));
  EXPECT_EQ(whole.size(), 2u);
  two.reset();
  bool stopped = false;
  asio::co_spawn(
      io,
      [&]() -> Task<void> {
        co_await whole.Stop();
        stopped = true;
      },
      asio::detached);
  Settle(io);
  EXPECT_TRUE(stopped);
  EXPECT_THAT(ended, testing::UnorderedElementsAre("one", "whole", "two"));
  EXPECT_EQ(FailedTasks(), failed_before);
}

TEST(TaskGroup, AnExceptionInAPart_IsForWhoHasThePart_UntilItIsCancelled) {
  asio::io_context io;
  TaskGroup whole(io.get_executor());
  const std::uint64_t failed_before = FailedTasks();
  std::vector<std::string> told;
  auto part = whole.MakePart([&](const char* name, const std::exception& failure) {
    told.push_back(std::string(name) + ": " + failure.what());
  });
  const auto fail = [&](milliseconds after) -> Task<void> {
    try {
      co_await Sleep(after);
    } catch (const boost::system::system_error&) {
    }
    throw std::runtime_error("oh");
  };
  part->Spawn("one", fail(milliseconds(0)));
  part->Spawn("two", fail(hours(1)));
  whole.Spawn("three", fail(milliseconds(0)));
  while (told.empty() || FailedTasks() == failed_before) io.run_one();
  EXPECT_THAT(told, testing::ElementsAre("one: oh"));
  part->Cancel();
  Settle(io);
  EXPECT_THAT(told, testing::ElementsAre("one: oh"));
  EXPECT_EQ(FailedTasks(), failed_before + 2);
}

TEST(TaskGroup, CancelledAfterWhatItWaitsForHasCome_ItDoesNotGoOn) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Promise<int> promise(io.get_executor());
  bool went_on = false;
  group.Spawn("wait", [](Promise<int> p, bool& out) -> Task<void> {
    (void)co_await p.Get();
    out = true;
  }(promise, went_on));
  Settle(io);
  promise.Set(1);
  io.restart();
  io.run_one();  // delivers
  group.Cancel();
  Settle(io);
  EXPECT_FALSE(went_on);
  EXPECT_EQ(group.size(), 0u);
}

TEST(TaskGroup, SpawnsNothingOnceStopped) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  asio::co_spawn(io, group.Stop(), asio::detached);
  Settle(io);
  bool ran = false;
  auto work = [&]() -> Task<void> {
    ran = true;
    co_return;
  };
  group.Spawn("late", work());
  Settle(io);
  EXPECT_FALSE(ran);
}

TEST(TaskGroup, DestructionCancels) {
  asio::io_context io;
  bool ended = false;
  {
    TaskGroup group(io.get_executor());
    auto wait = [](bool& out) -> Task<void> {
      try {
        co_await Sleep(hours(1));
      } catch (const boost::system::system_error&) {
        out = true;
      }
    };
    group.Spawn("wait", wait(ended));
    Settle(io);
  }
  Settle(io);
  EXPECT_TRUE(ended);
}

TEST(TaskGroup, ContextMayDieBeforeTheTasksHaveEnded) {
  auto alive = std::make_shared<int>(1);
  auto wait = [](std::shared_ptr<int> held) -> Task<void> {
    co_await Sleep(hours(1));
    *held = 2;
  };
  std::optional<asio::io_context> io;
  io.emplace();
  auto group = std::make_unique<TaskGroup>(io->get_executor());
  group->Spawn("wait", wait(alive));
  Settle(*io);
  group.reset();
  io.reset();
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(TaskGroup, ContextMayDieFirst) {
  auto alive = std::make_shared<int>(1);
  auto wait = [](std::shared_ptr<int> held) -> Task<void> {
    co_await Sleep(hours(1));
    *held = 2;
  };
  std::optional<asio::io_context> io;
  io.emplace();
  auto group = std::make_unique<TaskGroup>(io->get_executor());
  group->Spawn("wait", wait(alive));
  group->Spawn("wait", wait(alive));
  Settle(*io);
  io.reset();
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_EQ(group->size(), 0u);
  group.reset();  // has nothing left to cancel
}

TEST(TaskGroup, DestroyedOutsideTheLoop_TasksEndBeforeTheirOwner) {
  // As a service does it: the tasks use a member that is destroyed after the group.
  struct Owner {
    explicit Owner(asio::io_context& io) : tasks(io.get_executor()) {}
    std::unique_ptr<std::vector<std::string>> events = std::make_unique<std::vector<std::string>>();
    TaskGroup tasks;
  };
  asio::io_context io;
  std::size_t seen = 0;
  {
    Owner owner(io);
    auto work = [](Owner& self, std::size_t& out) -> Task<void> {
      struct AtEnd {
        ~AtEnd() {
          self.events->push_back("ended");
          out = self.events->size();
        }
        Owner& self;
        std::size_t& out;
      } at_end{self, out};
      co_await Sleep(hours(1));
    };
    owner.tasks.Spawn("first", work(owner, seen));
    owner.tasks.Spawn("second", work(owner, seen));
    Settle(io);
    EXPECT_TRUE(io.stopped() || io.poll() == 0);
  }
  EXPECT_EQ(seen, 2u);
}

TEST(PeriodicTimer, IsCalledAgainAndAgainUntilDestroyed) {
  asio::io_context io;
  int calls = 0;
  std::optional<PeriodicTimer> timer;
  timer.emplace(io.get_executor(), milliseconds(1), [&] {
    if (++calls == 3) timer.reset();
  });
  io.run();  // ends because nothing is left
  EXPECT_EQ(calls, 3);
}

TEST(PeriodicTimer, DoesNotMakeUpForMissedCalls) {
  asio::io_context io;
  int calls = 0;
  PeriodicTimer timer(io.get_executor(), milliseconds(1), [&] {
    ++calls;
    // The thread is held for many periods.
    const auto until = std::chrono::steady_clock::now() + milliseconds(20);
    while (std::chrono::steady_clock::now() < until) {
    }
  });
  EXPECT_EQ(io.run_one(), 1u);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(io.poll_one(), 0u) << "a call was due at once";
  EXPECT_EQ(calls, 1);
}

TEST(PeriodicTimer, SurvivesAnException) {
  asio::io_context io;
  int calls = 0;
  const std::uint64_t before = FailedTasks();
  PeriodicTimer timer(io.get_executor(), milliseconds(1), [&] {
    if (++calls == 1) throw std::runtime_error("once");
  });
  while (calls < 2) io.run_one();
  EXPECT_EQ(FailedTasks(), before + 1);
}

}  // namespace
}  // namespace rookery::runtime
