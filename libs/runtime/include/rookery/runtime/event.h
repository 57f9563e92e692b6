#pragma once

#include <memory>

#include "rookery/base/deadline.h"
#include "rookery/runtime/task.h"

namespace rookery::runtime {

/// Something that coroutines wait for in place of polling. Either a state, which is set or not (`Set`,
/// `Reset`), or a moment (`Notify`), after which each waiter looks for itself whether what it waits for is
/// true. I/O thread only; waiters resume later, never inside the call that wakes them. Waiting keeps
/// `io_context::run` alive. An event that dies cancels its waiters.
class Event {
 public:
  explicit Event(asio::any_io_executor executor);
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();

  /// Wakes all who wait; who comes later does not wait, until Reset.
  void Set();
  void Reset();
  bool is_set() const;
  /// Wakes all who wait now, and nobody who comes later.
  void Notify();

  /// Throws boost::system::system_error (operation_aborted) when cancelled.
  Task<void> Wait();
  /// False when the deadline came first. Throws like Wait().
  Task<bool> Wait(Deadline deadline);
  /// How many wait.
  std::size_t waiters() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace rookery::runtime
