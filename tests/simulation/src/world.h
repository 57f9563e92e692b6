#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "random.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/task.h"
#include "rookery/testing/virtual_time.h"
#include "trace.h"

namespace rookery::simulation {

using Duration = std::chrono::nanoseconds;
using Action = absl::AnyInvocable<void()>;

class World;

/// One process of the cluster, or a backend: an event loop of its own, run only by the World, so
/// that it can be frozen (its loop does not turn) and killed (its loop and everything on it goes,
/// and nothing that it still says is heard).
class Process {
 public:
  Process(World& world, std::string name);
  virtual ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const std::string& name() const { return name_; }
  World& world() const { return world_; }
  asio::io_context& io() { return *io_; }
  bool is_alive() const { return alive_; }
  bool is_frozen() const { return frozen_; }
  /// Neither dead nor frozen.
  bool is_running() const { return alive_ && !frozen_; }
  /// Counts its starts: what was meant for an earlier life is not for this one.
  std::uint64_t life() const { return life_; }

  void Start();
  /// kill -9.
  void Kill();
  /// SIGTERM: `Drain`, then the end.
  void Stop();
  /// It ends itself, after the turn of its loop that runs now.
  void EndSoon();
  void Freeze();
  void Thaw();

 protected:
  virtual void Boot() {}
  /// The life is over already: is_alive() is false.
  virtual void Unmake() {}
  virtual Task<void> Drain() { co_return; }

 private:
  friend class World;
  World& world_;
  const std::string name_;
  std::unique_ptr<asio::io_context> io_;
  std::map<std::uint64_t, std::shared_ptr<void>> calls_;  // promises that wait for an answer
  bool alive_ = false;
  bool frozen_ = false;
  bool draining_ = false;
  std::uint64_t life_ = 0;
  bool is_due_ = false;  // something was posted
  SteadyTime earliest_ = SteadyTime::max();
};

/// Everything there is: time, chance, processes and the network between them. One thread. All that
/// happens follows from the seed.
class World {
 public:
  World(std::uint64_t seed, bool keep_trace);
  ~World();

  SteadyTime now() const { return time_.Now(); }
  std::int64_t now_us() const;
  Random& random() { return random_; }
  const Trace& trace() const { return trace_; }
  void Note(std::string_view lane, std::string_view what, std::string_view text) {
    trace_.Add(now_us(), lane, what, text);
  }

  /// Outside of every process.
  void At(SteadyTime when, Action action);
  void After(Duration delay, Action action) { At(now() + delay, std::move(action)); }
  /// On the process's loop, at once or when it thaws; never if that life is over.
  void Post(Process& to, std::uint64_t life, Action action);

  void RunUntil(SteadyTime end);
  void RunFor(Duration duration) { RunUntil(now() + duration); }

  // ---- the network ----
  /// Cuts the way from `from` to `to`: nothing that is sent there arrives.
  void Cut(const Process& from, const Process& to);
  void Heal(const Process& from, const Process& to);
  void HealAll();
  bool Passes(const Process& from, const Process& to) const { return !cuts_.contains({&from, &to}); }
  bool AreJoined(const Process& a, const Process& b) const { return Passes(a, b) && Passes(b, a); }
  /// How long a packet takes: mostly well under a millisecond, now and then much longer.
  Duration Latency();
  /// 1 is normal; slows a process's answers down.
  void SetSlowness(const Process& process, double factor);

  /// Called after a cut, a healing, a freeze, a thaw, a death or a start.
  void OnChange(std::function<void()> listener) { listeners_.push_back(std::move(listener)); }
  void OnDeath(std::function<void(Process&)> listener) { death_listeners_.push_back(std::move(listener)); }
  void NoteChange();

  /// A remote call: `handle` runs on `to`'s loop. Lost requests and answers end in
  /// DEADLINE_EXCEEDED after `limit`; a dead callee in UNAVAILABLE. The callee may have done it
  /// nevertheless. T is absl::Status or absl::StatusOr; `handle` gives a T, or a Task<T> where it takes time.
  template <typename T, typename Handle>
  Task<T> Call(Process& from, Process& to, Duration limit, Handle handle);
  /// This part of the calls to the process is done and answered with an error.
  void SetAmbiguity(const Process& to, double part) { ambiguity_[&to] = part; }

 private:
  friend class Process;
  /// Small, since a heap moves it about: what is to be done lies still in `actions_`.
  struct Event {
    SteadyTime at;
    std::uint64_t number;
    std::size_t action;
    friend bool operator<(const Event& a, const Event& b) {  // the earliest on top of a heap
      return a.at != b.at ? a.at > b.at : a.number > b.number;
    }
  };
  struct OpenCall {
    Process* from;
    Process* to;
    std::uint64_t caller_life;
    void (*fail)(World&, std::uint64_t number, absl::Status);
  };
  bool RunEvents();
  /// The called process says it, and the network carries it back.
  template <typename T>
  void Reply(Process& from, Process& to, std::uint64_t number, T value);
  /// The caller of an open call learns its result.
  template <typename T>
  void Answer(std::uint64_t number, T value);
  /// The same with an error, unless the call is over.
  void Fail(std::uint64_t number, absl::Status status);
  bool RunProcesses();
  void FailCalls(const Process& to);
  Duration DelayOf(const Process& process);

  testing::VirtualTime time_;
  const SteadyTime begun_;
  Random random_;
  Trace trace_;
  std::vector<Event> events_;
  std::vector<Action> actions_;
  std::vector<std::size_t> free_actions_;
  std::uint64_t event_count_ = 0;
  std::vector<Process*> processes_;
  std::set<std::pair<const Process*, const Process*>> cuts_;
  std::map<const Process*, double> slowness_;
  std::map<const Process*, double> ambiguity_;
  std::map<std::uint64_t, OpenCall> open_calls_;
  std::uint64_t call_count_ = 0;
  std::vector<std::function<void()>> listeners_;
  std::vector<std::function<void(Process&)>> death_listeners_;
};

template <typename T, typename Handle>
Task<T> World::Call(Process& from, Process& to, Duration limit, Handle handle) {
  const std::uint64_t number = ++call_count_;
  // The caller's process owns the promise, since it hangs on its loop and must die with it.
  const auto promise = std::make_shared<runtime::Promise<T>>(from.io().get_executor());
  from.calls_[number] = promise;
  open_calls_[number] = {&from, &to, from.life(), [](World& world, std::uint64_t call, absl::Status status) {
                           world.Answer(call, T(std::move(status)));
                         }};
  After(limit, [this, number] { Fail(number, absl::DeadlineExceededError("no answer in time")); });
  // A request that left before its sender was killed arrives nevertheless.
  After(DelayOf(to), [this, &from, &to, number, h = std::move(handle)]() mutable {
    if (!to.is_alive()) {
      if (AreJoined(from, to)) Fail(number, absl::UnavailableError("nobody listens"));
      return;
    }
    if (!Passes(from, to)) return;
    Post(to, to.life(), [this, &from, &to, number, handler = std::move(h)]() mutable {
      if constexpr (std::is_same_v<std::invoke_result_t<Handle&>, T>) {
        Reply(from, to, number, handler());
      } else {
        const auto run = [](Handle handler_) -> Task<T> { co_return co_await handler_(); };
        asio::co_spawn(to.io(), run(std::move(handler)),
                       [this, &from, &to, number](std::exception_ptr failure, T value) {
                         if (!failure) Reply(from, to, number, std::move(value));
                       });
      }
    });
  });
  T result = co_await promise->Get();
  co_return result;
}

template <typename T>
void World::Reply(Process& from, Process& to, std::uint64_t number, T value) {
  const bool is_lost = random_.Chance(ambiguity_[&to]);
  After(DelayOf(to), [this, &from, &to, number, is_lost, v = std::move(value)]() mutable {
    if (!Passes(to, from) || !open_calls_.contains(number)) return;
    Answer(number, is_lost ? T(absl::UnavailableError("the connection broke")) : std::move(v));
  });
}

template <typename T>
void World::Answer(std::uint64_t number, T value) {
  const OpenCall call = open_calls_.extract(number).mapped();
  Post(*call.from, call.caller_life, [from = call.from, number, v = std::move(value)]() mutable {
    const auto promise = from->calls_.extract(number);
    static_cast<runtime::Promise<T>*>(promise.mapped().get())->Set(std::move(v));
  });
}

}  // namespace rookery::simulation
