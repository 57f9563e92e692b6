#include "rookery/routing/registry.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "instance_table.h"
#include "rookery/base/check.h"
#include "rookery/base/random.h"
#include "rookery/base/status.h"
#include "rookery/runtime/timer.h"
#include "rookery/telemetry/log.h"
#include "scripts.h"

namespace rookery::routing {
namespace {

constexpr std::chrono::milliseconds kPeriod{1'000};
// A process that has just started is not connected yet.
constexpr std::chrono::milliseconds kPeriodWhileAway{100};
// A process starts before its connection to Redis is there: no reason for a warning.
constexpr std::chrono::milliseconds kFirstContact{3'000};
// A script's arguments are bounded by Lua's stack.
constexpr std::size_t kShardsPerCall = 1'000;

std::string InstancesKey(const std::string& service) { return absl::StrCat("rookery:instances:", service); }
std::string ShardsKey(const std::string& service) { return absl::StrCat("rookery:shards:", service); }

template <typename T>
bool TakeNumber(std::string_view text, T* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

/// `<epoch> <id> <address>`
bool ParseOwner(std::string_view text, OwnerEntry* owner) {
  const std::size_t first = text.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : text.find(' ', first + 1);
  if (second == std::string_view::npos || !TakeNumber(text.substr(0, first), &owner->epoch)) return false;
  owner->instance = text.substr(first + 1, second - first - 1);
  owner->address = text.substr(second + 1);
  return true;
}

/// The registry's state, kept alive by its own coroutines.
struct State {
  struct Watched {
    InstanceTable table;
    std::vector<std::function<void(const std::vector<Instance>&)>> on_change;
  };

  State(asio::io_context& io, redis::Client& client)
      : redis(client), kick(io), incarnation{UnixMillis(), RandomU64()} {}

  redis::Client& redis;
  runtime::Timer kick;  // a condition: something to say at once
  bool is_kicked = false;
  bool is_stopped = false;
  std::string service;
  std::optional<Instance> self;
  Incarnation incarnation;
  bool has_name = false;  // as the first announcement that was answered said
  std::function<void(const absl::Status&)> on_replaced;
  std::map<std::uint32_t, std::int64_t> shards;
  std::map<std::string, Watched, std::less<>> watched;
  bool is_away = false;
  bool was_there = false;
  const SteadyTime begun = Clock::System().Now();

  void Kick() {
    is_kicked = true;
    kick.cancel();
  }
};

void NoteAway(State& state, const absl::Status& status) {
  state.was_there = state.was_there || status.ok();
  if (!state.was_there && Clock::System().Now() - state.begun < kFirstContact) return;
  if (status.ok() != state.is_away) return;
  state.is_away = !status.ok();
  if (state.is_away) {
    telemetry::LogWarn("routing.redis_away", {{"reason", std::string(status.message())}});
  } else {
    telemetry::LogInfo("routing.redis_back");
  }
}

/// Returns the arguments of the scripts that write about this process.
std::vector<std::string> Arguments(const Instance& self, const Incarnation& incarnation) {
  return {absl::StrCat(self.id, " ", self.address), self.id, absl::StrCat(kTimeToLiveMs),
          absl::StrCat(incarnation.started_at_ms), RandomPart(incarnation)};
}

/// Takes in who has our name. False: a newer process has it.
bool KeepsName(State& state, const redis::Reply& announced) {
  if (announced.array.size() != 2) return true;  // no answer of our script
  const auto holder = ParseIncarnation(announced.array[0].text, announced.array[1].text);
  if (!holder) return true;
  if (holder->random == state.incarnation.random) {
    state.incarnation = *holder;
    state.has_name = true;
    return true;
  }
  const absl::Status why = absl::AbortedError(absl::StrCat(
      "a newer process has the name `", state.self->id, "` of ", state.service, " (it is ", ToText(*holder),
      ", this is ", ToText(state.incarnation), "): each needs its own `instance`"));
  state.self.reset();
  state.shards.clear();
  if (const auto on_replaced = std::exchange(state.on_replaced, nullptr)) on_replaced(why);
  return false;
}

Task<void> Announce(std::shared_ptr<State> state) {
  if (!state->self) co_return;
  std::vector<std::string> arguments = Arguments(*state->self, state->incarnation);
  const std::string member = arguments.front();
  arguments.push_back(state->has_name ? "0" : "1");
  const absl::StatusOr<redis::Reply> announced =
      co_await state->redis.Eval(kAnnounceScript, InstancesKey(state->service), std::move(arguments));
  if (state->is_stopped) co_return;
  NoteAway(*state, announced.status());
  if (!state->self || (announced.ok() && !KeepsName(*state, *announced))) co_return;

  std::vector<std::vector<std::string>> calls;
  for (const auto& [shard, epoch] : state->shards) {
    if (calls.empty() || calls.back().size() > 2 * kShardsPerCall) calls.push_back({member});
    calls.back().push_back(absl::StrCat(shard));
    calls.back().push_back(absl::StrCat(epoch));
  }
  for (std::vector<std::string>& call : calls) {
    const absl::StatusOr<redis::Reply> published =
        co_await state->redis.Eval(kPublishScript, ShardsKey(state->service), std::move(call));
    if (state->is_stopped) co_return;
    NoteAway(*state, published.status());
  }
}

Task<void> Read(std::shared_ptr<State> state) {
  std::vector<std::string> services;
  for (const auto& [service, watched] : state->watched) services.push_back(service);
  for (const std::string& service : services) {
    std::vector<std::string> none;
    const absl::StatusOr<redis::Reply> reply =
        co_await state->redis.Eval(kReadScript, InstancesKey(service), std::move(none));
    if (state->is_stopped) co_return;
    NoteAway(*state, reply.status());
    State::Watched& watched = state->watched.find(service)->second;
    if (!reply.ok()) {
      watched.table.Miss();
    } else if (watched.table.Apply(*reply, Clock::System().Now())) {
      // A copy: the callback may watch something else.
      const auto on_change = watched.on_change;
      const std::vector<Instance> instances = watched.table.instances();
      for (const auto& call : on_change) call(instances);
    }
  }
}

Task<void> Run(std::shared_ptr<State> state) {
  while (!state->is_stopped) {
    state->is_kicked = false;
    const SteadyTime begun = Clock::System().Now();
    co_await Announce(state);
    if (state->is_stopped) co_return;
    co_await Read(state);
    if (state->is_stopped) co_return;
    if (state->is_kicked) continue;
    state->kick.expires_at(begun + (state->is_away ? kPeriodWhileAway : kPeriod));
    co_await state->kick.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

class RedisRegistry final : public Registry {
 public:
  RedisRegistry(asio::io_context& io, redis::Client& redis)
      : io_(io),
        state_(std::make_shared<State>(io, redis)),
        tasks_(std::make_unique<runtime::TaskGroup>(io.get_executor())) {
    tasks_->Spawn("registry", Run(state_));
  }

  ~RedisRegistry() override {
    state_->is_stopped = true;
    state_->kick.cancel();
    // Ended on the loop: Asio forwards a cancellation to a coroutine by reference, and
    // from outside the loop it may come after the coroutine's end.
    asio::post(io_, [tasks = std::move(tasks_)] {});
  }

  void Announce(std::string service, Instance self,
                std::function<void(const absl::Status&)> on_replaced) override {
    // The entries are `<id> <address>` and `<id>@<incarnation>`, a tombstone `-<id>`.
    ROOKERY_CHECK(!self.id.empty() && self.id[0] != '-' && self.id.find_first_of(" @") == std::string::npos);
    state_->on_replaced = std::move(on_replaced);
    state_->service = std::move(service);
    state_->self = std::move(self);
    state_->Kick();
  }

  bool is_announced() const override { return state_->has_name; }

  const Incarnation& incarnation() const override { return state_->incarnation; }

  Task<void> Withdraw() override {
    const std::shared_ptr<State> state = state_;
    if (!state->self) co_return;
    const Instance self = *std::exchange(state->self, std::nullopt);
    state->shards.clear();
    std::vector<std::string> arguments = Arguments(self, state->incarnation);
    const absl::StatusOr<redis::Reply> reply =
        co_await state->redis.Eval(kWithdrawScript, InstancesKey(state->service), std::move(arguments));
    NoteAway(*state, reply.status());
  }

  void Watch(std::string service, std::function<void(const std::vector<Instance>&)> on_change) override {
    state_->watched[std::move(service)].on_change.push_back(std::move(on_change));
    state_->Kick();
  }

  const std::vector<Instance>& Instances(std::string_view service) const override {
    static const std::vector<Instance> kNone;
    const auto found = state_->watched.find(service);
    return found == state_->watched.end() ? kNone : found->second.table.instances();
  }

  bool is_complete(std::string_view service) const override {
    const auto found = state_->watched.find(service);
    return found != state_->watched.end() && found->second.table.is_known() &&
           Clock::System().Now() - found->second.table.known_since() >= 2 * kPeriod;
  }

  void PublishShards(std::map<std::uint32_t, std::int64_t> epochs) override {
    state_->shards = std::move(epochs);
    state_->Kick();
  }

  Task<absl::StatusOr<std::vector<OwnerEntry>>> ReadShards(std::string service) override {
    const std::string key = ShardsKey(service);
    std::vector<std::string> command{"HGETALL", key};
    absl::StatusOr<redis::Reply> reply = co_await state_->redis.Command(key, std::move(command));
    if (!reply.ok()) co_return reply.status();
    std::vector<OwnerEntry> owners;
    for (std::size_t i = 0; i + 1 < reply->array.size(); i += 2) {
      OwnerEntry owner{};
      // An entry that somebody else wrote there is not ours to judge.
      if (TakeNumber(std::string_view(reply->array[i].text), &owner.shard) &&
          ParseOwner(reply->array[i + 1].text, &owner)) {
        owners.push_back(std::move(owner));
      }
    }
    co_return owners;
  }

 private:
  asio::io_context& io_;
  std::shared_ptr<State> state_;
  std::unique_ptr<runtime::TaskGroup> tasks_;
};

}  // namespace

std::unique_ptr<Registry> Registry::Create(asio::io_context& io, redis::Client& redis) {
  return std::make_unique<RedisRegistry>(io, redis);
}

}  // namespace rookery::routing
