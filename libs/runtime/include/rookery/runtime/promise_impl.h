#pragma once

// The body of runtime::Promise. Include rookery/runtime/task.h instead.

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <optional>
#include <utility>

#include "rookery/runtime/task.h"
#include "rookery/runtime/timer.h"

namespace rookery::runtime {

// Touched on the I/O thread only: Set posts, whichever thread it is called on, so
// there is nothing to lock. The waiter hangs on a timer that never expires, and so
// belongs to the io_context: it counts as work, and dies with it.
template <typename T>
struct Promise<T>::State {
  explicit State(asio::any_io_executor executor) : is_set(std::move(executor), SteadyTime::max()) {}

  static Task<T> Wait(std::shared_ptr<State> state) {
    if (!state->value) {
      boost::system::error_code error;
      co_await state->is_set.async_wait(asio::redirect_error(asio::use_awaitable, error));
      ThrowIfCancelled(co_await asio::this_coro::cancellation_state);
      // Woken, but not by Set.
      if (!state->value) throw boost::system::system_error(asio::error::operation_aborted);
    }
    T result = std::move(*state->value);
    co_return result;
  }

  std::optional<T> value;
  Timer is_set;
};

template <typename T>
Promise<T>::Promise(asio::any_io_executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

template <typename T>
void Promise<T>::Set(T value) {
  auto deliver = [state = state_, v = std::move(value)]() mutable {
    if (state->value) return;
    state->value.emplace(std::move(v));
    state->is_set.cancel();
  };
  asio::post(state_->is_set.get_executor(), std::move(deliver));
}

template <typename T>
Task<T> Promise<T>::Get() {
  return State::Wait(state_);
}

}  // namespace rookery::runtime
