#include "rookery/runtime/event.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include "rookery/testing/virtual_time.h"

namespace rookery::runtime {
namespace {

using rookery::testing::VirtualTime;
using std::chrono::seconds;

class EventTest : public ::testing::Test {
 protected:
  Task<void> Count() {
    co_await event_.Wait();
    ++woken_;
  }
  Task<void> WaitUntil(Deadline deadline) { in_time_ = co_await event_.Wait(deadline); }
  void Spawn(Task<void> task) { asio::co_spawn(io_, std::move(task), asio::detached); }

  VirtualTime time_;
  asio::io_context io_;
  Event event_{io_.get_executor()};
  int woken_ = 0;
  std::optional<bool> in_time_;
};

TEST_F(EventTest, SetWakesAllWhoWaitAndWhoComesLater) {
  Spawn(Count());
  Spawn(Count());
  time_.Settle(io_);
  EXPECT_EQ(event_.waiters(), 2u);
  event_.Set();
  EXPECT_EQ(woken_, 0) << "nobody is resumed inside the call";
  time_.Settle(io_);
  EXPECT_EQ(woken_, 2);
  Spawn(Count());
  time_.Settle(io_);
  EXPECT_EQ(woken_, 3);
  EXPECT_EQ(event_.waiters(), 0u);
}

TEST_F(EventTest, AfterResetOneWaitsAgain) {
  event_.Set();
  event_.Reset();
  Spawn(Count());
  time_.Settle(io_);
  EXPECT_EQ(woken_, 0);
  EXPECT_FALSE(event_.is_set());
}

TEST_F(EventTest, NotifyWakesThoseWhoWaitAndNobodyLater) {
  Spawn(Count());
  time_.Settle(io_);
  event_.Notify();
  Spawn(Count());
  time_.Settle(io_);
  EXPECT_EQ(woken_, 1);
  EXPECT_EQ(event_.waiters(), 1u);
}

TEST_F(EventTest, WhoWaitsAgainAtOnceIsNotWokenTwiceByOneNotify) {
  int rounds = 0;
  const auto again = [&]() -> Task<void> {
    for (;;) {
      co_await event_.Wait();
      ++rounds;
    }
  };
  Spawn(again());
  time_.Settle(io_);
  event_.Notify();
  time_.Settle(io_);
  EXPECT_EQ(rounds, 1);
}

TEST_F(EventTest, ADeadlineEndsTheWait) {
  Spawn(WaitUntil(Deadline::After(seconds(5))));
  time_.RunFor(io_, seconds(4));
  EXPECT_FALSE(in_time_.has_value());
  time_.RunFor(io_, seconds(1));
  EXPECT_EQ(in_time_, false);
  EXPECT_EQ(event_.waiters(), 0u);
}

TEST_F(EventTest, WhatCameBeforeTheDeadlineCameInTime) {
  Spawn(WaitUntil(Deadline::After(seconds(5))));
  time_.RunFor(io_, seconds(4));
  event_.Notify();
  time_.Settle(io_);
  EXPECT_EQ(in_time_, true);
}

TEST_F(EventTest, CancellingTheWaiterThrowsInIt) {
  TaskGroup group(io_.get_executor());
  bool was_cancelled = false;
  const auto wait = [&]() -> Task<void> {
    try {
      co_await event_.Wait();
    } catch (const boost::system::system_error& e) {
      was_cancelled = e.code() == asio::error::operation_aborted;
      throw;
    }
  };
  group.Spawn("wait", wait());
  time_.Settle(io_);
  Spawn(group.Stop());
  time_.Settle(io_);
  EXPECT_TRUE(was_cancelled);
  EXPECT_EQ(event_.waiters(), 0u);
  event_.Notify();  // too late, harmless
}

TEST_F(EventTest, AnEventThatDiesCancelsItsWaiters) {
  TaskGroup group(io_.get_executor());
  auto event = std::make_unique<Event>(io_.get_executor());
  bool was_cancelled = false;
  const auto wait = [&]() -> Task<void> {
    try {
      co_await event->Wait();
    } catch (const boost::system::system_error&) {
      was_cancelled = true;
    }
  };
  group.Spawn("wait", wait());
  time_.Settle(io_);
  event.reset();
  time_.Settle(io_);
  EXPECT_TRUE(was_cancelled);
  EXPECT_EQ(group.size(), 0u);
}

TEST(Event, DestroyingTheContextFreesAWaiter) {
  auto io = std::make_unique<asio::io_context>();
  auto event = std::make_unique<Event>(io->get_executor());
  const auto alive = std::make_shared<int>(1);
  const auto wait = [](Event& waited_for, std::shared_ptr<int>) -> Task<void> { co_await waited_for.Wait(); };
  asio::co_spawn(*io, wait(*event, alive), asio::detached);
  io->poll();
  EXPECT_EQ(event->waiters(), 1u);
  io.reset();
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_EQ(event->waiters(), 0u);
}

}  // namespace
}  // namespace rookery::runtime
