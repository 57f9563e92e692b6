#include "kafka.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <deque>
#include <utility>

#include "rookery/base/check.h"
#include "rookery/kafka/refusal.h"
#include "rookery/runtime/event.h"

namespace rookery::simulation {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr milliseconds kTick{100};
constexpr seconds kSessionTimeout{6};
constexpr seconds kReleaseTimeout{5};
constexpr milliseconds kRetry{200};
constexpr seconds kCallTimeout{10};
constexpr std::size_t kBatchRecords = 500;
constexpr std::size_t kFetchRecords = 64;

}  // namespace

// ---- groups -----------------------------------------------------------------

struct Kafka::Member {
  SimulatedConsumer* consumer = nullptr;  // null: its process is dead, the coordinator does not know yet
  Process* process = nullptr;
  std::uint64_t number = 0;
  SteadyTime last_heartbeat;
  std::set<std::int32_t> owned;
  std::map<std::int32_t, SteadyTime> revoking;  // until when it may take its time
};

struct Kafka::Group {
  std::string name;
  std::string topic;
  std::vector<std::shared_ptr<Member>> members;
  std::map<std::int32_t, std::int64_t> committed;
  std::optional<SteadyTime> rebalance_at;
  SteadyTime settled_at = SteadyTime::min();
  bool is_shaken = false;

  bool is_rebalancing() const {
    if (rebalance_at) return true;
    return std::any_of(members.begin(), members.end(), [](const auto& m) { return !m->revoking.empty(); });
  }
};

class SimulatedConsumer final : public kafka::Consumer {
 public:
  SimulatedConsumer(Kafka& kafka, Process& process, std::string topic, std::string group,
                    kafka::ConsumerHandler& handler)
      : kafka_(kafka),
        world_(kafka.world_),
        process_(process),
        life_(process.life()),
        topic_(std::move(topic)),
        group_(std::move(group)),
        handler_(handler),
        closed_(process.io().get_executor()),
        last_contact_(world_.now()) {
    kafka_.consumers_.push_back(this);
    auto& state = kafka_.groups_[group_];
    if (state == nullptr) {
      state = std::make_unique<Kafka::Group>();
      state->name = group_;
      state->topic = topic_;
    }
  }
  ~SimulatedConsumer() override {
    std::erase(kafka_.consumers_, this);
    if (member_ != nullptr) member_->consumer = nullptr;
  }

  void Seek(std::int32_t partition, std::int64_t offset) override {
    Place& place = places_[partition];
    // Beyond the end of the log it stays until the broker says so (Fetch).
    place.position = std::max(offset, kafka_.partition(topic_, partition).beginning);
    place.seeks = ++last_seek_;
    FetchSoon(partition);
  }
  void Pause(std::int32_t partition) override { places_[partition].is_paused = true; }
  void Resume(std::int32_t partition) override {
    places_[partition].is_paused = false;
    FetchSoon(partition);
  }

  Task<absl::StatusOr<std::int64_t>> Committed(std::int32_t partition) override {
    return Ask<absl::StatusOr<std::int64_t>>([group = kafka_.groups_[group_].get(), partition] {
      const auto it = group->committed.find(partition);
      return absl::StatusOr<std::int64_t>(it == group->committed.end() ? -1 : it->second);
    });
  }
  Task<absl::StatusOr<std::int64_t>> OffsetForTime(std::int32_t partition,
                                                   std::int64_t unix_millis) override {
    return Ask<absl::StatusOr<std::int64_t>>([&kafka = kafka_, topic = topic_, partition, unix_millis] {
      const Kafka::Partition& log = kafka.partition(topic, partition);
      const auto first = std::partition_point(
          log.records.begin(), log.records.end(),
          [unix_millis](const Kafka::Record& record) { return record.timestamp_ms < unix_millis; });
      return absl::StatusOr<std::int64_t>(log.beginning + (first - log.records.begin()));
    });
  }
  Task<absl::StatusOr<std::pair<std::int64_t, std::int64_t>>> Watermarks(std::int32_t partition) override {
    using Result = absl::StatusOr<std::pair<std::int64_t, std::int64_t>>;
    return Ask<Result>([&kafka = kafka_, topic = topic_, partition] {
      const Kafka::Partition& log = kafka.partition(topic, partition);
      return Result(std::pair(log.beginning, log.end()));
    });
  }
  Task<absl::Status> Commit(std::vector<Position> positions) override {
    return Ask<absl::Status>([&kafka = kafka_, group = kafka_.groups_[group_].get(), member = member_,
                              positions = std::move(positions)] {
      if (member == nullptr ||
          std::find(group->members.begin(), group->members.end(), member) == group->members.end())
        return absl::FailedPreconditionError("no member of the group");
      // A rebalance refuses some commits: the generation has changed under them.
      if (group->is_rebalancing() && kafka.world_.random().Chance(0.3))
        return absl::AbortedError("a rebalance runs");
      for (const Position& position : positions) {
        if (!member->owned.contains(position.partition)) return absl::FailedPreconditionError("not ours");
        const std::int64_t end = kafka.partition(group->topic, position.partition).end();
        group->committed[position.partition] =
            kafka.hooks.commit ? kafka.hooks.commit(position.offset, end) : position.offset;
      }
      return absl::OkStatus();
    });
  }
  void ReleaseDone(std::int32_t partition) override {
    Forget(partition);
    if (member_ == nullptr) return;
    const auto member = member_;
    world_.After(world_.Latency(), [&kafka = kafka_, group = group_, member, partition] {
      Kafka::Group& state = *kafka.groups_[group];
      if (member->revoking.erase(partition) > 0) {
        member->owned.erase(partition);
        kafka.GiveFree(state);
      }
    });
  }
  Task<void> Close(std::chrono::milliseconds timeout) override {
    is_closing_ = true;
    const Deadline deadline = Deadline::After(timeout);
    const auto member = member_;
    if (member == nullptr) co_return;
    std::vector<std::int32_t> all;
    for (const auto& [partition, place] : places_) all.push_back(partition);
    for (const std::int32_t partition : all) {
      member->revoking[partition] = world_.now() + timeout;
      handler_.OnRevoking(partition);
    }
    while (!places_.empty()) {
      const bool is_told = co_await closed_.Wait(deadline);
      if (!is_told) break;
    }
    Kafka::Group& group = *kafka_.groups_[group_];
    std::erase(group.members, member);
    member_ = nullptr;
    group.rebalance_at = world_.now() + world_.random().Between(milliseconds(100), milliseconds(500));
  }

  // ---- for the coordinator, outside of the process ----
  struct Place {
    std::int64_t position = -1;
    std::uint64_t seeks = 0;
    bool is_paused = false;
    bool is_fetching = false;
  };

  void Assign(std::int32_t partition) {
    world_.Post(process_, life_, [this, partition] {
      places_.try_emplace(partition);
      world_.Note(process_.name(), "assigned", std::to_string(partition));
      handler_.OnAssigned(partition);
    });
  }
  void Revoke(std::int32_t partition) {
    world_.Post(process_, life_, [this, partition] {
      if (!places_.contains(partition)) return ReleaseDone(partition);
      if (is_closing_) return;  // told already
      world_.Note(process_.name(), "revoking", std::to_string(partition));
      places_[partition].is_paused = true;
      handler_.OnRevoking(partition);
    });
  }
  void Lose(std::int32_t partition) {
    world_.Post(process_, life_, [this, partition] {
      if (!places_.contains(partition)) return;
      world_.Note(process_.name(), "lost", std::to_string(partition));
      Forget(partition);
      handler_.OnLost(partition);
    });
  }
  /// The group has given up on us, or we on it.
  void LoseAll() {
    // It joins anew, and nobody sends heartbeats for the member that it was.
    if (member_ != nullptr) member_->consumer = nullptr;
    member_ = nullptr;
    world_.Post(process_, life_, [this] {
      std::vector<std::int32_t> all;
      for (const auto& [partition, place] : places_) all.push_back(partition);
      for (const std::int32_t partition : all) Lose(partition);
    });
  }
  void FetchSoon(std::int32_t partition) {
    const auto it = places_.find(partition);
    if (it == places_.end() || it->second.is_fetching || it->second.is_paused || it->second.position < 0)
      return;
    if (it->second.position == kafka_.partition(topic_, partition).end()) return;
    it->second.is_fetching = true;
    world_.After(world_.Latency(), [&kafka = kafka_, self = this, partition] {
      if (kafka.Has(self)) self->Fetch(partition);
    });
  }

  World& world() { return world_; }
  Process& process() { return process_; }
  std::uint64_t life() const { return life_; }
  const std::string& topic() const { return topic_; }
  const std::string& group() const { return group_; }
  bool is_closing() const { return is_closing_; }
  std::map<std::int32_t, Place>& places() { return places_; }

  std::shared_ptr<Kafka::Member> member_;
  SteadyTime last_contact() const { return last_contact_; }
  void Contact() { last_contact_ = world_.now(); }

 private:
  void Forget(std::int32_t partition) {
    places_.erase(partition);
    closed_.Notify();
  }

  void Fetch(std::int32_t partition) {
    const auto it = places_.find(partition);
    if (it == places_.end()) return;
    Place& place = it->second;
    if (place.position < 0) {
      place.is_fetching = false;
      return;
    }
    const Kafka::Partition& log = kafka_.partition(topic_, partition);
    if (!kafka_.Reaches(process_) || log.is_away || process_.is_frozen()) {
      world_.After(kRetry, [&kafka = kafka_, self = this, partition] {
        if (kafka.Has(self)) self->Fetch(partition);
      });
      return;
    }
    if (place.position > log.end()) {
      // Told to the process, which may have sought elsewhere until it hears that.
      world_.After(world_.Latency(), [&kafka = kafka_, self = this, partition, wanted = place.position,
                                      first = log.beginning, end = log.end(), seeks = place.seeks] {
        if (!kafka.Has(self)) return;
        self->world_.Post(self->process_, self->life_, [self, partition, wanted, first, end, seeks] {
          self->Miss(partition, seeks, wanted, first, end);
        });
      });
      return;
    }
    const std::size_t count = 1 + world_.random().Below(kFetchRecords);
    auto batch = std::make_shared<std::vector<std::pair<std::int64_t, Kafka::Record>>>();
    for (std::int64_t offset = std::max(place.position, log.beginning);
         offset < log.end() && batch->size() < count; ++offset)
      batch->emplace_back(offset, log.records[static_cast<std::size_t>(offset - log.beginning)]);
    if (kafka_.hooks.read)
      for (auto& [offset, record] : *batch) kafka_.hooks.read(topic_, record.value);
    const std::uint64_t seeks = place.seeks;
    world_.After(world_.Latency(), [&kafka = kafka_, self = this, partition, seeks, batch] {
      if (!kafka.Has(self)) return;
      self->world_.Post(self->process_, self->life_,
                        [self, partition, seeks, batch] { self->Give(partition, seeks, *batch); });
    });
  }

  void Miss(std::int32_t partition, std::uint64_t seeks, std::int64_t wanted, std::int64_t first,
            std::int64_t end) {
    const auto it = places_.find(partition);
    if (it == places_.end()) return;
    it->second.is_fetching = false;
    if (it->second.seeks != seeks) return FetchSoon(partition);
    world_.Note(process_.name(), "offset-gone", std::to_string(partition));
    it->second.position = end;
    handler_.OnOffsetMissing(partition, wanted, first, end);
    FetchSoon(partition);
  }

  void Give(std::int32_t partition, std::uint64_t seeks,
            const std::vector<std::pair<std::int64_t, Kafka::Record>>& batch) {
    if (const auto it = places_.find(partition); it != places_.end()) it->second.is_fetching = false;
    for (const auto& [offset, record] : batch) {
      const auto it = places_.find(partition);
      if (it == places_.end() || it->second.seeks != seeks || it->second.is_paused) break;
      // A fetch of an earlier assignment may still have been under way.
      if (offset < it->second.position) continue;
      it->second.position = offset + 1;
      handler_.OnRecord({partition, offset, record.timestamp_ms, record.key, record.value});
    }
    FetchSoon(partition);
  }

  template <typename T, typename Handle>
  Task<T> Ask(Handle handle) {
    return world_.Call<T>(process_, kafka_.broker_, kCallTimeout, std::move(handle));
  }

  Kafka& kafka_;
  World& world_;
  Process& process_;
  const std::uint64_t life_;
  /// The number of the last seek in all partitions: a fetch for an earlier assignment is not taken for one of
  /// this.
  std::uint64_t last_seek_ = 0;
  const std::string topic_;
  const std::string group_;
  kafka::ConsumerHandler& handler_;
  std::map<std::int32_t, Place> places_;
  runtime::Event closed_;
  bool is_closing_ = false;
  SteadyTime last_contact_;
};

// ---- producer ---------------------------------------------------------------

class SimulatedProducer final : public kafka::Producer {
 public:
  SimulatedProducer(Kafka& kafka, Process& process)
      : state_(std::make_shared<State>(kafka, process)),
        idle_(std::make_shared<runtime::Event>(process.io().get_executor())) {
    state_->idle = idle_;
  }
  ~SimulatedProducer() override { (void)GiveUp(); }

  void Append(std::string_view topic, std::int32_t partition, std::string_view key, std::string_view value,
              OnAppended on_appended) override {
    if (!state_->process.is_alive() || state_->process.life() != state_->life) return;
    const Place place{std::string(topic), partition};
    if (state_->kafka.hooks.confirms_early && on_appended) {
      const std::int64_t offset = state_->kafka.partition(place.first, place.second).end();
      asio::post(state_->process.io(),
                 [tell = std::exchange(on_appended, nullptr), offset] { tell(offset); });
    }
    Lane& lane = state_->lanes[place];
    state_->in_flight.Add(lane.in_flight, value.size());
    lane.waiting.push_back({std::string(key), std::string(value), std::move(on_appended)});
    if (std::exchange(lane.is_busy, true)) return;
    // Records of one turn of the loop go together.
    state_->kafka.world_.After(Duration::zero(), [state = state_, place] { Begin(state, place); });
  }
  const kafka::InFlight& in_flight() const override { return state_->in_flight; }
  void Purge() override {
    if (state_->in_flight.records() == 0 && !state_->is_broken) return;
    std::vector<OnAppended> dropped = GiveUp();
    auto on_broken = state_->on_broken;  // its call may be going on
    state_ = std::make_shared<State>(state_->kafka, state_->process);
    state_->idle = idle_;
    state_->on_broken = std::move(on_broken);
    asio::post(state_->process.io(), [state = state_, dropped = std::move(dropped)] {
      for (const OnAppended& tell : dropped) {
        if (state->is_over()) return;
        if (tell) tell(absl::AbortedError("given up"));
      }
      state->NoteIdle();
    });
  }
  void OnBroken(std::function<void()> on_broken) override { state_->on_broken = std::move(on_broken); }
  Task<absl::Status> Flush(std::chrono::milliseconds timeout) override {
    const Deadline deadline = Deadline::After(timeout);
    while (state_->in_flight.records() > 0) {
      const bool is_told = co_await idle_->Wait(deadline);
      if (!is_told) co_return absl::DeadlineExceededError("records are still in flight");
    }
    co_return absl::OkStatus();
  }

 private:
  struct Sent {
    std::string key;
    std::string value;
    OnAppended on_appended;
  };
  using Place = std::pair<std::string, std::int32_t>;
  struct Lane {
    std::deque<Sent> waiting;
    kafka::InFlight::Lane in_flight;
    std::size_t batch = 0;  // of `waiting`: is under way
    bool is_busy = false;
    bool is_appended = false;  // the broker has the batch; its answer has not come
    std::vector<absl::StatusOr<std::int64_t>> offsets;
    std::int64_t end = 0;    // behind the last record that the broker has said it has
    std::uint64_t cuts = 0;  // of the partition, by then
  };
  struct State {
    State(Kafka& k, Process& p) : kafka(k), process(p), life(p.life()) {}
    bool is_over() const { return is_gone || !process.is_alive() || process.life() != life; }
    void NoteIdle() const {
      const auto event = idle.lock();
      if (in_flight.records() == 0 && event != nullptr) event->Notify();
    }
    Kafka& kafka;
    Process& process;
    const std::uint64_t life;
    std::map<Place, Lane> lanes;
    kafka::InFlight in_flight;
    std::weak_ptr<runtime::Event> idle;
    bool is_gone = false;
    std::function<void()> on_broken;
    bool is_broken = false;
  };

  /// Does what a broker and librdkafka do when records follow on others that the broker has lost.
  static void Break(const std::shared_ptr<State>& state) {
    state->is_broken = true;
    state->kafka.world_.Note(state->process.name(), "broken",
                             "its records follow on what a partition has lost");
    state->kafka.world_.Post(state->process, state->life, [state] {
      if (!state->is_over() && state->on_broken) state->on_broken();
    });
  }

  /// Nobody is told any more. What is on the wire may arrive.
  std::vector<OnAppended> GiveUp() {
    state_->is_gone = true;
    std::vector<OnAppended> dropped;
    for (auto& [place, lane] : state_->lanes)
      for (Sent& sent : lane.waiting) dropped.push_back(std::exchange(sent.on_appended, nullptr));
    return dropped;
  }

  static void Begin(const std::shared_ptr<State>& state, const Place& place) {
    Lane& lane = state->lanes[place];
    if (state->is_over()) return;
    if (lane.waiting.empty()) {
      lane.is_busy = false;
      return;
    }
    lane.batch = std::min(lane.waiting.size(), kBatchRecords);
    lane.is_appended = false;
    lane.offsets.clear();
    World& world = state->kafka.world_;
    world.After(world.Latency(), [state, place] { Arrive(state, place, true); });
  }

  static void Retry(const std::shared_ptr<State>& state, const Place& place) {
    if (state->is_over()) return;
    state->kafka.world_.After(kRetry, [state, place] { Arrive(state, place, false); });
  }

  static void Arrive(const std::shared_ptr<State>& state, const Place& place, bool is_on_the_wire) {
    Lane& lane = state->lanes[place];
    Kafka& kafka = state->kafka;
    // A record that was sent before a death may have left the machine or not.
    if (state->is_over() && (!is_on_the_wire || kafka.world_.random().Chance(0.5))) return;
    if (state->is_broken) return;
    if (!is_on_the_wire && state->process.is_frozen()) return Retry(state, place);
    if (!kafka.IsUp() || !kafka.world_.Passes(state->process, kafka.broker_) ||
        kafka.partition(place.first, place.second).is_away)
      return Retry(state, place);
    const Kafka::Partition& log = kafka.partition(place.first, place.second);
    if (!lane.is_appended && lane.cuts != log.cuts && lane.end > log.cut_at) {
      if (!state->is_over()) Break(state);
      return;
    }
    if (!std::exchange(lane.is_appended, true)) {
      for (std::size_t i = 0; kafka.hooks.is_swapped && i + 1 < lane.batch; i += 2)
        if (kafka.hooks.is_swapped(lane.waiting[i].value, lane.waiting[i + 1].value))
          std::swap(lane.waiting[i], lane.waiting[i + 1]);
      for (std::size_t i = 0; i < lane.batch; ++i) {
        Sent& sent = lane.waiting[i];
        if (sent.value.size() > Kafka::kMaxRecordBytes) {
          lane.offsets.emplace_back(
              kafka::Refused(absl::InvalidArgumentError("message.max.bytes"), sent.key, sent.value));
        } else if (kafka.world_.random().Chance(kafka.refusals_)) {
          kafka.world_.Note(state->process.name(), "refused", place.first);
          if (kafka.on_refused) kafka.on_refused(place.first, sent.value);
          lane.offsets.emplace_back(
              kafka::Refused(absl::PermissionDeniedError("not authorised"), sent.key, sent.value));
        } else {
          lane.offsets.emplace_back(kafka.Append(place.first, place.second, sent.key, sent.value));
        }
      }
    }
    if (state->is_over()) return;
    // An answer that is lost is asked for again, and an idempotent producer's repetition is known.
    if (!kafka.world_.Passes(kafka.broker_, state->process)) return Retry(state, place);
    kafka.world_.After(kafka.world_.Latency(), [state, place] {
      if (state->is_over()) return;
      state->kafka.world_.Post(state->process, state->life, [state, place] { Answer(state, place); });
    });
  }

  static void Answer(const std::shared_ptr<State>& state, const Place& place) {
    if (state->is_over()) return;
    Lane& lane = state->lanes[place];
    std::vector<std::pair<OnAppended, absl::StatusOr<std::int64_t>>> answers;
    for (std::size_t i = 0; i < lane.batch; ++i) {
      state->in_flight.Remove(lane.in_flight, lane.waiting.front().value.size());
      answers.emplace_back(std::move(lane.waiting.front().on_appended), lane.offsets[i]);
      lane.waiting.pop_front();
    }
    lane.batch = 0;
    for (const auto& [tell, offset] : answers)
      if (offset.ok()) lane.end = *offset + 1;
    lane.cuts = state->kafka.partition(place.first, place.second).cuts;
    for (auto& [tell, offset] : answers) {
      if (state->is_over()) return;
      if (tell) tell(offset);
    }
    if (state->is_over()) return;
    state->NoteIdle();
    Begin(state, place);
  }

  std::shared_ptr<State> state_;
  const std::shared_ptr<runtime::Event> idle_;
};

// ---- Kafka ------------------------------------------------------------------

Kafka::Kafka(World& world, Process& broker) : world_(world), broker_(broker) {
  world_.After(kTick, [this] { Tick(); });
}

Kafka::~Kafka() = default;

void Kafka::CreateTopic(const std::string& name, std::uint32_t partitions) {
  topics_[name].resize(partitions);
}

std::int64_t Kafka::CommittedOf(const std::string& group, std::int32_t partition) const {
  const auto it = groups_.find(group);
  if (it == groups_.end()) return -1;
  const auto found = it->second->committed.find(partition);
  return found == it->second->committed.end() ? -1 : found->second;
}

void Kafka::ForgetOffsets(std::string_view topic) {
  for (const auto& [name, group] : groups_)
    if (group->topic == topic) group->committed.clear();
}

std::unique_ptr<kafka::Producer> Kafka::MakeProducer(Process& process) {
  return std::make_unique<SimulatedProducer>(*this, process);
}

std::unique_ptr<kafka::Consumer> Kafka::MakeConsumer(Process& process, std::string topic, std::string group,
                                                     kafka::ConsumerHandler& handler) {
  return std::make_unique<SimulatedConsumer>(*this, process, std::move(topic), std::move(group), handler);
}

std::int64_t Kafka::Append(const std::string& topic, std::int32_t number, std::string key,
                           std::string value) {
  Partition& log = partition(topic, number);
  const std::int64_t offset = log.end();
  if (hooks.append && !hooks.append(topic, value)) return offset;
  ++appended_;
  if (on_append) on_append(topic, number, offset, value);
  log.records.push_back({UnixMillis(), std::move(key), std::move(value)});
  for (SimulatedConsumer* consumer : consumers_)
    if (consumer->topic() == topic) consumer->FetchSoon(number);
  return offset;
}

void Kafka::SetAway(const std::string& topic, std::int32_t number, bool is_away) {
  partition(topic, number).is_away = is_away;
  world_.Note("kafka", is_away ? "partition-away" : "partition-back", topic + " " + std::to_string(number));
}

void Kafka::Shake() {
  for (const auto& [name, group] : groups_) {
    group->is_shaken = true;
    group->rebalance_at = world_.now();
  }
}

void Kafka::Truncate(const std::string& topic, std::int32_t number, std::int64_t records) {
  Partition& log = partition(topic, number);
  world_.Note("kafka", "truncated", topic + " " + std::to_string(number) + " by " + std::to_string(records));
  for (; records > 0 && !log.records.empty(); --records) {
    if (on_lost) on_lost(topic, log.records.back().value);
    log.records.pop_back();
  }
  ++log.cuts;
  log.cut_at = log.end();
  // Whoever waits for the next record asks the new leader for it.
  for (SimulatedConsumer* consumer : consumers_)
    if (consumer->topic() == topic) consumer->FetchSoon(number);
}

void Kafka::Tick() {
  for (const auto& [name, group] : groups_) TickGroup(*group);
  world_.After(kTick, [this] { Tick(); });
}

void Kafka::TickGroup(Group& group) {
  // The coordinator's view.
  if (!IsUp()) {
    for (const auto& member : group.members) member->last_heartbeat = world_.now();
  } else {
    std::vector<std::shared_ptr<Member>> gone;
    for (const auto& member : group.members) {
      if (member->consumer != nullptr && member->process->is_running() && Reaches(*member->process))
        member->last_heartbeat = world_.now();
      if (world_.now() - member->last_heartbeat > kSessionTimeout) gone.push_back(member);
    }
    for (const auto& member : gone) {
      world_.Note("kafka", "evicted", member->process->name());
      std::erase(group.members, member);
      if (!group.rebalance_at)
        group.rebalance_at = world_.now() + world_.random().Between(milliseconds(50), seconds(1));
    }
    for (const auto& member : group.members) {
      std::vector<std::int32_t> overdue;
      for (const auto& [partition, until] : member->revoking)
        if (world_.now() >= until) overdue.push_back(partition);
      for (const std::int32_t partition : overdue) {
        member->revoking.erase(partition);
        member->owned.erase(partition);
        if (member->consumer != nullptr) member->consumer->Lose(partition);
      }
      if (!overdue.empty()) GiveFree(group);
    }
    if (group.rebalance_at && world_.now() >= *group.rebalance_at) Rebalance(group);
  }
  // Each consumer's view.
  for (SimulatedConsumer* consumer : consumers_) {
    if (consumer->group() != group.name || consumer->is_closing() || !consumer->process().is_running())
      continue;
    const bool is_reached = Reaches(consumer->process());
    const auto& member = consumer->member_;
    const bool is_member = member != nullptr && std::find(group.members.begin(), group.members.end(),
                                                          member) != group.members.end();
    if (member != nullptr &&
        ((is_reached && !is_member) || world_.now() - consumer->last_contact() > kSessionTimeout)) {
      // Noticed by librdkafka's threads some time after the fact.
      if (world_.random().Chance(0.3)) consumer->LoseAll();
      continue;
    }
    if (!is_reached) continue;
    consumer->Contact();
    if (member == nullptr && consumer->places().empty() && world_.random().Chance(0.3)) {
      auto joined = std::make_shared<Member>();
      joined->consumer = consumer;
      joined->process = &consumer->process();
      joined->last_heartbeat = world_.now();
      consumer->member_ = joined;
      group.members.push_back(joined);
      group.rebalance_at = world_.now() + world_.random().Between(milliseconds(100), milliseconds(1'500));
    }
  }
}

// Cooperative and sticky: who has more than its share gives up the surplus first, and only then
// is it given to others.
void Kafka::Rebalance(Group& group) {
  group.rebalance_at.reset();
  if (group.members.empty()) return;
  const std::size_t partitions = topics_[group.topic].size();
  const std::size_t share = (partitions + group.members.size() - 1) / group.members.size();
  const bool is_shaken = std::exchange(group.is_shaken, false);
  for (const auto& member : group.members) {
    std::size_t keeps = share;
    if (is_shaken && member->owned.size() > 1 && world_.random().Chance(0.5))
      keeps = std::min(keeps, member->owned.size() - 1);
    while (member->owned.size() - member->revoking.size() > keeps) {
      std::vector<std::int32_t> candidates;
      for (const std::int32_t partition : member->owned)
        if (!member->revoking.contains(partition)) candidates.push_back(partition);
      const std::int32_t partition = world_.random().Pick(candidates);
      member->revoking[partition] = world_.now() + kReleaseTimeout;
      if (member->consumer != nullptr) member->consumer->Revoke(partition);
    }
  }
  GiveFree(group);
}

void Kafka::GiveFree(Group& group) {
  std::set<std::int32_t> taken;
  for (const auto& member : group.members) taken.insert(member->owned.begin(), member->owned.end());
  for (std::int32_t partition = 0; partition < static_cast<std::int32_t>(topics_[group.topic].size());
       ++partition) {
    if (taken.contains(partition)) continue;
    Member* least = nullptr;
    for (const auto& member : group.members)
      if (member->consumer != nullptr && !member->consumer->is_closing() &&
          (least == nullptr || member->owned.size() < least->owned.size()))
        least = member.get();
    if (least == nullptr) return;
    least->owned.insert(partition);
    least->consumer->Assign(partition);
  }
}

}  // namespace rookery::simulation
