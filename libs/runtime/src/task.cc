#include "rookery/runtime/task.h"

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
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
  struct Entry {
    asio::cancellation_signal signal;
    /// One that has not begun yet looks for itself.
    bool has_begun = false;
  };
  using Running = std::list<std::shared_ptr<Entry>>;

  State(asio::any_io_executor ex, std::shared_ptr<State> of, OnFailure on_failure)
      : executor(std::move(ex)), whole(std::move(of)), on_failure(std::move(on_failure)) {}

  bool is_stopping() const { return is_cancelled || (whole && whole->is_stopping()); }

  void CancelAll() {
    is_cancelled = true;
    // A task may end, and leave the list, while another is being cancelled.
    const std::vector<std::shared_ptr<Entry>> all(running.begin(), running.end());
    for (const auto& entry : all)
      if (entry->has_begun) entry->signal.emit(asio::cancellation_type::terminal);
  }

  void OnEnded() {
    if (running.empty())
      for (Timer* waiting : all_ended) waiting->cancel();
    if (whole) whole->OnEnded();
  }

  void OnFailed(const char* name, const std::exception_ptr& failure) const {
    const bool is_cancellation = IsCancellation(failure);
    if (is_stopping() && is_cancellation) return;
    if (!on_failure || is_stopping() || is_cancellation) return ReportFailure(name, failure);
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& exception) {
      on_failure(name, exception);
    } catch (...) {
      on_failure(name, std::runtime_error("not a std::exception"));
    }
  }

  asio::any_io_executor executor;
  /// Set for a part of a group: its tasks are in both lists.
  const std::shared_ptr<State> whole;
  const OnFailure on_failure;
  Running running;
  // Conditions: cancelled when `running` becomes empty. Each lies in the coroutine that waits,
  // since the group may outlive the io_context.
  std::vector<Timer*> all_ended;
  bool is_cancelled = false;
};

namespace {

/// A task's place in the list, for as long as Asio keeps its handler: until the task has
/// ended, or its io_context has died under it. Then nothing of it may be cancelled any more.
template <typename State>
class Place {
 public:
  Place(std::shared_ptr<State> state, std::shared_ptr<typename State::Entry> entry)
      : state_(std::move(state)), place_(state_->running.insert(state_->running.end(), entry)) {
    if (state_->whole) in_whole_ = std::make_unique<Place>(state_->whole, std::move(entry));
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { state_->running.erase(place_); }

 private:
  const std::shared_ptr<State> state_;
  const typename State::Running::iterator place_;
  /// Set for a part's task.
  std::unique_ptr<Place> in_whole_;
};

/// Called when a task has ended. A type with a slot and without an executor: Asio hands a cancellation on to
/// the task within the call then. Else it would post it where the loop does not run, to a task that may be
/// gone when it comes.
template <typename State>
struct Ended {
  using cancellation_slot_type = asio::cancellation_slot;
  cancellation_slot_type get_cancellation_slot() const noexcept { return entry->signal.slot(); }

  void operator()(const std::exception_ptr& failure) {
    place.reset();
    state->OnEnded();
    if (failure) state->OnFailed(name, failure);
  }

  // The signal lives as long as the handler, which Asio keeps until the task is gone.
  std::shared_ptr<typename State::Entry> entry;
  std::unique_ptr<Place<State>> place;
  std::shared_ptr<State> state;
  const char* name;
};

template <typename State>
Task<void> Begin(std::shared_ptr<State> state, std::shared_ptr<typename State::Entry> entry,
                 Task<void> task) {
  if (state->is_stopping()) co_return;
  entry->has_begun = true;
  std::exception_ptr failure;
  try {
    co_await std::move(task);
  } catch (...) {
    failure = std::current_exception();
  }
  // Asio waits once more itself where the task has not waited for anything, and has nobody to tell that this
  // is cancelled.
  co_await asio::this_coro::throw_if_cancelled(false);
  if (failure) std::rethrow_exception(failure);
}

// So many handlers are run for tasks to end in a group's destructor.
constexpr int kMaxLastTurns = 100'000;

}  // namespace

TaskGroup::TaskGroup(asio::any_io_executor executor)
    : TaskGroup(std::make_shared<State>(std::move(executor), nullptr, nullptr)) {}

TaskGroup::TaskGroup(std::shared_ptr<State> state) : state_(std::move(state)) {}

TaskGroup::~TaskGroup() {
  // A part may die within one of its tasks, or with the io_context.
  if (state_->whole) return;
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
  if (state_->is_stopping()) return;
  auto entry = std::make_shared<State::Entry>();
  auto place = std::make_unique<Place<State>>(state_, entry);
  asio::co_spawn(state_->executor, Begin(state_, entry, std::move(task)),
                 Ended<State>{entry, std::move(place), state_, name});
}

void TaskGroup::Cancel() { state_->CancelAll(); }

std::unique_ptr<TaskGroup> TaskGroup::MakePart(OnFailure on_failure) const {
  return std::unique_ptr<TaskGroup>(
      new TaskGroup(std::make_shared<State>(state_->executor, state_, std::move(on_failure))));
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

void ThrowIfCancelled(const asio::cancellation_state& state) {
  if (state.cancelled() != asio::cancellation_type::none)
    throw boost::system::system_error(asio::error::operation_aborted);
}

Task<void> Sleep(std::chrono::milliseconds duration) {
  Timer timer(co_await asio::this_coro::executor);
  timer.expires_after(duration);
  co_await timer.async_wait(asio::use_awaitable);
  ThrowIfCancelled(co_await asio::this_coro::cancellation_state);
}

Task<void> Yield() {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  ThrowIfCancelled(co_await asio::this_coro::cancellation_state);
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
