#include "rookery/runtime/task.h"

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "rookery/runtime/timer.h"
#include "rookery/telemetry/log.h"

namespace rookery::runtime {
namespace {

std::atomic<std::uint64_t> failed_tasks{0};

std::string Describe(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "not a std::exception";
  }
}

bool IsCancellation(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& e) {
    return e.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

void ReportFailure(const char* name, const std::exception_ptr& failure) {
  failed_tasks.fetch_add(1, std::memory_order_relaxed);
  telemetry::LogError("task.failed", {{"task", name}, {"error", Describe(failure)}});
}

}  // namespace

std::uint64_t FailedTasks() { return failed_tasks.load(std::memory_order_relaxed); }

struct TaskGroup::State {
  using Running = std::list<std::shared_ptr<asio::cancellation_signal>>;

  explicit State(asio::any_io_executor ex) : executor(std::move(ex)) {}

  void CancelAll() {
    stopping = true;
    // A task may end, and leave the list, while another is being cancelled.
    const std::vector<std::shared_ptr<asio::cancellation_signal>> all(running.begin(), running.end());
    for (const auto& signal : all) signal->emit(asio::cancellation_type::terminal);
  }

  asio::any_io_executor executor;
  Running running;
  // Conditions: cancelled when `running` becomes empty. Each lies in the coroutine that waits,
  // since the group may outlive the io_context.
  std::vector<Timer*> all_ended;
  bool stopping = false;
};

namespace {

/// A task's place in the list, for as long as Asio keeps its handler: until the task has
/// ended, or its io_context has died under it. Then nothing of it may be cancelled any more.
template <typename State>
class Place {
 public:
  Place(std::shared_ptr<State> state, typename State::Running::iterator entry)
      : state_(std::move(state)), entry_(entry) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { state_->running.erase(entry_); }

 private:
  const std::shared_ptr<State> state_;
  const typename State::Running::iterator entry_;
};

// So many handlers are run for tasks to end in a group's destructor.
constexpr int kMaxLastTurns = 100'000;

}  // namespace

TaskGroup::TaskGroup(asio::any_io_executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

TaskGroup::~TaskGroup() {
  state_->CancelAll();
  if (state_->running.empty()) return;
  // Tasks use what their owner destroys after the group. Where the loop does not run, they would
  // be left with it: they end now. Within the loop whoever destroys the group has to Stop it first.
  const auto* loop = state_->executor.target<asio::io_context::executor_type>();
  if (loop == nullptr || loop->running_in_this_thread()) return;
  asio::io_context& io = asio::query(*loop, asio::execution::context);
  const bool was_stopped = io.stopped();
  if (was_stopped) io.restart();
  for (int turn = 0; turn < kMaxLastTurns && !state_->running.empty() && io.poll_one() > 0; ++turn) {
  }
  if (was_stopped) io.stop();
}

void TaskGroup::Spawn(const char* name, Task<void> task) {
  if (state_->stopping) return;
  auto entry = state_->running.insert(state_->running.end(), std::make_shared<asio::cancellation_signal>());
  const asio::cancellation_slot slot = (*entry)->slot();
  // The signal lives as long as the handler, which Asio keeps until the task is gone.
  auto ended = [signal = *entry, place = std::make_shared<Place<State>>(state_, entry), state = state_,
                name](std::exception_ptr failure) mutable {
    place.reset();
    if (state->running.empty())
      for (Timer* waiting : state->all_ended) waiting->cancel();
    if (failure && !(state->stopping && IsCancellation(failure))) ReportFailure(name, failure);
  };
  asio::co_spawn(state_->executor, std::move(task), asio::bind_cancellation_slot(slot, std::move(ended)));
}

std::size_t TaskGroup::size() const { return state_->running.size(); }

Task<void> TaskGroup::Stop() {
  const std::shared_ptr<State> state = state_;
  struct Condition {
    explicit Condition(State& s) : state(s), timer(s.executor, SteadyTime::max()) {
      state.all_ended.push_back(&timer);
    }
    ~Condition() { std::erase(state.all_ended, &timer); }
    State& state;
    Timer timer;
  } all_ended(*state);
  state->CancelAll();
  while (!state->running.empty()) {
    co_await all_ended.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

Task<void> Sleep(std::chrono::milliseconds duration) {
  Timer timer(co_await asio::this_coro::executor);
  timer.expires_after(duration);
  co_await timer.async_wait(asio::use_awaitable);
}

struct PeriodicTimer::State : std::enable_shared_from_this<State> {
  State(asio::any_io_executor executor, std::chrono::milliseconds p, std::function<void()> f)
      : timer(std::move(executor)), period(p), function(std::move(f)) {}

  void Arm(SteadyTime at) {
    timer.expires_at(at);
    timer.async_wait([self = shared_from_this(), at](const boost::system::error_code& error) {
      if (error || !self->is_alive) return;
      try {
        self->function();
      } catch (...) {
        ReportFailure("periodic timer", std::current_exception());
      }
      if (!self->is_alive) return;
      // After a freeze the calls that were missed are not made up for.
      auto next = at + self->period;
      const auto now = SteadyNow();
      if (next <= now) next = now + self->period;
      self->Arm(next);
    });
  }

  Timer timer;
  std::chrono::milliseconds period;
  std::function<void()> function;
  bool is_alive = true;
};

PeriodicTimer::PeriodicTimer(asio::any_io_executor executor, std::chrono::milliseconds period,
                             std::function<void()> function)
    : state_(std::make_shared<State>(std::move(executor), period, std::move(function))) {
  state_->Arm(SteadyNow() + period);
}

PeriodicTimer::~PeriodicTimer() {
  state_->is_alive = false;
  state_->timer.cancel();
}

}  // namespace rookery::runtime
