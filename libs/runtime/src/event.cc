#include "rookery/runtime/event.h"

#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "rookery/runtime/timer.h"

namespace rookery::runtime {
namespace {

namespace intrusive = boost::intrusive;

// Lies in the coroutine that waits, and leaves the list with it.
struct Waiter : intrusive::list_base_hook<intrusive::link_mode<intrusive::auto_unlink>> {
  Waiter(const asio::any_io_executor& executor, SteadyTime until) : timer(executor, until) {}

  Timer timer;
  bool is_woken = false;
};

}  // namespace

struct Event::State {
  explicit State(asio::any_io_executor ex) : executor(std::move(ex)) {}

  void WakeAll() {
    // A waiter leaves when its coroutine goes on, which is not before we return.
    for (Waiter& waiter : waiters) {
      waiter.is_woken = true;
      waiter.timer.cancel();
    }
  }

  static Task<bool> Wait(std::shared_ptr<State> state, Deadline deadline) {
    if (state->is_set) co_return true;
    Waiter waiter(state->executor, deadline.when());
    state->waiters.push_back(waiter);
    boost::system::error_code error;
    co_await waiter.timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    ThrowIfCancelled(co_await asio::this_coro::cancellation_state);
    if (waiter.is_woken) co_return true;
    // Neither woken nor expired: the event has died.
    if (error) throw boost::system::system_error(asio::error::operation_aborted);
    co_return false;
  }

  asio::any_io_executor executor;
  intrusive::list<Waiter, intrusive::constant_time_size<false>> waiters;
  bool is_set = false;
};

Event::Event(asio::any_io_executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

Event::~Event() {
  for (Waiter& waiter : state_->waiters) waiter.timer.cancel();
}

void Event::Set() {
  state_->is_set = true;
  state_->WakeAll();
}

void Event::Reset() { state_->is_set = false; }

bool Event::is_set() const { return state_->is_set; }

void Event::Notify() { state_->WakeAll(); }

Task<void> Event::Wait() { (void)co_await State::Wait(state_, Deadline::Never()); }

Task<bool> Event::Wait(Deadline deadline) { return State::Wait(state_, deadline); }

std::size_t Event::waiters() const { return state_->waiters.size(); }

}  // namespace rookery::runtime
