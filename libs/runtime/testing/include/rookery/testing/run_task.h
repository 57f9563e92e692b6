#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>

#include "rookery/runtime/task.h"

namespace rookery::testing {

/// Runs the loop until the task has ended; fails after a minute.
template <typename T>
T RunTask(asio::io_context& io, Task<T> task) {
  std::optional<T> result;
  std::exception_ptr failure;
  bool is_done = false;
  asio::co_spawn(io, std::move(task), [&](std::exception_ptr error, T value) {
    failure = error;
    result.emplace(std::move(value));
    is_done = true;
  });
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  io.restart();
  while (!is_done && std::chrono::steady_clock::now() < end) io.run_one_for(std::chrono::seconds(1));
  if (failure) std::rethrow_exception(failure);
  if (!is_done) throw std::runtime_error("the task does not end");
  return std::move(*result);
}

/// Runs the loop until the condition holds; false when it does not within `limit`.
inline bool RunUntil(asio::io_context& io, const std::function<bool()>& condition,
                     std::chrono::milliseconds limit = std::chrono::seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  io.restart();
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    if (io.run_one_for(std::chrono::milliseconds(10)) == 0 && io.stopped()) io.restart();
  }
  return true;
}

}  // namespace rookery::testing
