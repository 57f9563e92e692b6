#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>

namespace rookery {

namespace asio = boost::asio;

/// A coroutine on the process's I/O thread.
template <typename T>
using Task = asio::awaitable<T>;

namespace runtime {

/// Coroutines that somebody waits for. An exception that leaves one is logged as
/// `task.failed` and counted, never lost. I/O thread only.
class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor executor);
  /// Cancels what still runs; the coroutines end at their next suspension. Where the
  /// io_context does not run, handlers are run until they have. It may be gone already.
  /// A part (MakePart) leaves that to the whole.
  ~TaskGroup();

  /// Starts `task`. `name` must live forever (a literal). Does nothing once Cancel or Stop was called.
  void Spawn(const char* name, Task<void> task);
  std::size_t size() const;
  /// Cancels every task, and starts none any more. They do not run within the call: each ends where it
  /// waits, by an exception, whether or not what it waits for has come meanwhile. One of them may call it,
  /// and goes on to its next suspension.
  void Cancel();
  /// Cancels every task and waits until all have ended. Not from one of them.
  Task<void> Stop();

  /// Tasks of this group that can be cancelled together before it: it cancels and awaits them like its own.
  /// The part may die first or last; once it is dead, they are cancelled with the whole only. An exception
  /// that leaves one of them is handed to `on_failure`, if there is one, until they are cancelled; the name
  /// is the task's.
  using OnFailure = std::function<void(const char* name, const std::exception& failure)>;
  std::unique_ptr<TaskGroup> MakePart(OnFailure on_failure = {}) const;

 private:
  struct State;
  explicit TaskGroup(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

/// How many coroutines and timer functions of this process an exception has ended. Thread-safe.
std::uint64_t FailedTasks();

/// For what suspends coroutines, when one goes on: throws boost::system::system_error (operation_aborted) if
/// it was cancelled meanwhile. What it has waited for may have come just before that.
/// `ThrowIfCancelled(co_await asio::this_coro::cancellation_state)`.
void ThrowIfCancelled(const asio::cancellation_state& state);

/// Suspends for `duration`. Throws boost::system::system_error when cancelled.
Task<void> Sleep(std::chrono::milliseconds duration);

/// Goes on in another turn of the loop. Throws boost::system::system_error when cancelled.
Task<void> Yield();

/// A function called again and again on the I/O thread until the object dies. Calls
/// that a frozen or busy process missed are not made up for.
class PeriodicTimer {
 public:
  PeriodicTimer(asio::any_io_executor executor, std::chrono::milliseconds period,
                std::function<void()> function);
  ~PeriodicTimer();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Waits for one value that a callback delivers: `Promise<int> p(ex); Start([p]{…p.Set(1)}); co_await
/// p.Get()`. Copies share the value. Set may be called on any thread, once; Get on the I/O thread, once.
template <typename T>
class Promise {
 public:
  explicit Promise(asio::any_io_executor executor);
  void Set(T value);
  Task<T> Get();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace runtime
}  // namespace rookery

#include "rookery/runtime/promise_impl.h"
