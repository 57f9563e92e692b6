#include "world.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "rookery/base/check.h"
#include "rookery/base/random.h"

namespace rookery::simulation {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {
// A simulation that does so much without time passing goes round in circles.
constexpr std::uint64_t kMaxTurnsAtOnce = 1'000'000;
}  // namespace

// ---- Process ----------------------------------------------------------------

Process::Process(World& world, std::string name) : world_(world), name_(std::move(name)) {
  world_.processes_.push_back(this);
}

Process::~Process() { std::erase(world_.processes_, this); }

void Process::Start() {
  ROOKERY_CHECK(!alive_);
  io_ = std::make_unique<asio::io_context>(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);  // one thread: no locks
  alive_ = true;
  frozen_ = draining_ = false;
  ++life_;
  is_due_ = true;
  earliest_ = SteadyTime::max();
  world_.Note(name_, "start", "");
  Boot();
  world_.NoteChange();
}

void Process::Kill() {
  if (!alive_) return;
  world_.Note(name_, "kill", "");
  alive_ = false;
  frozen_ = false;
  for (const auto& listener : world_.death_listeners_) listener(*this);
  world_.FailCalls(*this);
  Unmake();
  calls_.clear();
  io_.reset();
  world_.NoteChange();
}

void Process::Stop() {
  if (!alive_ || draining_) return;
  world_.Note(name_, "drain", "");
  draining_ = true;
  world_.Post(*this, life_, [this, life = life_] {
    asio::co_spawn(*io_, Drain(), [this, life](std::exception_ptr) {
      if (alive_ && life_ == life) EndSoon();
    });
  });
}

void Process::EndSoon() {
  world_.After(Duration::zero(), [this, life = life_] {
    if (alive_ && life_ == life) Kill();
  });
}

void Process::Freeze() {
  if (!alive_ || frozen_) return;
  world_.Note(name_, "freeze", "");
  frozen_ = true;
  world_.NoteChange();
}

void Process::Thaw() {
  if (!alive_ || !frozen_) return;
  world_.Note(name_, "thaw", "");
  frozen_ = false;
  is_due_ = true;
  world_.NoteChange();
}

// ---- World ------------------------------------------------------------------

World::World(std::uint64_t seed, bool keep_trace) : begun_(time_.Now()), random_(seed), trace_(keep_trace) {
  SeedRandomForTest(random_.Next());
}

World::~World() { SeedRandomForTest(std::nullopt); }

std::int64_t World::now_us() const {
  return std::chrono::duration_cast<microseconds>(now() - begun_).count();
}

void World::At(SteadyTime when, Action action) {
  std::size_t place = actions_.size();
  if (free_actions_.empty()) {
    actions_.push_back(std::move(action));
  } else {
    place = free_actions_.back();
    free_actions_.pop_back();
    actions_[place] = std::move(action);
  }
  events_.push_back({std::max(when, now()), ++event_count_, place});
  std::push_heap(events_.begin(), events_.end());
}

void World::Post(Process& to, std::uint64_t life, Action action) {
  if (!to.alive_ || to.life_ != life) return;
  to.is_due_ = true;
  asio::post(*to.io_, [&to, life, run = std::move(action)]() mutable {
    if (to.alive_ && to.life_ == life) run();
  });
}

bool World::RunEvents() {
  bool any = false;
  while (!events_.empty() && events_.front().at <= now()) {
    std::pop_heap(events_.begin(), events_.end());
    const std::size_t place = events_.back().action;
    events_.pop_back();
    // It may add others, so that its place has to be free.
    Action action = std::move(actions_[place]);
    free_actions_.push_back(place);
    action();
    any = true;
  }
  return any;
}

bool World::RunProcesses() {
  bool any = false;
  const SteadyTime at = now();
  for (std::size_t i = 0; i < processes_.size(); ++i) {
    Process& process = *processes_[i];
    if (!process.is_running() || (!process.is_due_ && process.earliest_ > at)) continue;
    process.is_due_ = false;
    process.earliest_ = time_.Settle(*process.io_);
    any = true;
  }
  return any;
}

void World::RunUntil(SteadyTime end) {
  std::uint64_t turns = 0;
  for (;;) {
    const bool events_ran = RunEvents();
    const bool processes_ran = RunProcesses();
    if (events_ran || processes_ran) {
      ROOKERY_CHECK(++turns < kMaxTurnsAtOnce);
      continue;
    }
    turns = 0;
    SteadyTime next = events_.empty() ? SteadyTime::max() : events_.front().at;
    for (const Process* process : processes_)
      if (process->is_running()) next = std::min(next, process->earliest_);
    if (next > end) break;
    time_.JumpTo(std::max(next, now()));
  }
  time_.JumpTo(std::max(end, now()));
}

void World::Cut(const Process& from, const Process& to) {
  if (!cuts_.insert({&from, &to}).second) return;
  Note("world", "cut", from.name() + " > " + to.name());
  NoteChange();
}

void World::Heal(const Process& from, const Process& to) {
  if (cuts_.erase({&from, &to}) == 0) return;
  Note("world", "heal", from.name() + " > " + to.name());
  NoteChange();
}

void World::HealAll() {
  cuts_.clear();
  slowness_.clear();
  ambiguity_.clear();
  NoteChange();
}

Duration World::Latency() {
  if (random_.Chance(0.01)) return random_.Between(milliseconds(1), milliseconds(40));
  return random_.Between(microseconds(50), microseconds(600));
}

void World::SetSlowness(const Process& process, double factor) { slowness_[&process] = factor; }

Duration World::DelayOf(const Process& process) {
  const auto slow = slowness_.find(&process);
  const Duration latency = Latency();
  return slow == slowness_.end()
             ? latency
             : Duration(static_cast<std::int64_t>(static_cast<double>(latency.count()) * slow->second));
}

void World::NoteChange() {
  for (const auto& listener : listeners_) listener();
}

void World::FailCalls(const Process& to) {
  std::vector<std::uint64_t> broken;
  for (const auto& [number, call] : open_calls_)
    if (call.to == &to) broken.push_back(number);
  for (const std::uint64_t number : broken) {
    After(Latency(), [this, number] {
      const auto call = open_calls_.find(number);
      if (call == open_calls_.end() || !AreJoined(*call->second.from, *call->second.to)) return;
      Fail(number, absl::UnavailableError("the connection broke"));
    });
  }
}

void World::Fail(std::uint64_t number, absl::Status status) {
  const auto call = open_calls_.find(number);
  if (call == open_calls_.end()) return;
  const auto fail = call->second.fail;  // it erases the entry
  fail(*this, number, std::move(status));
}

}  // namespace rookery::simulation
