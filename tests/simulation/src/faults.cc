#include "faults.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rookery/base/check.h"
#include "simulation.h"

namespace rookery::simulation {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {
/// The aftermath of one misfortune is over by then, when the next one waits for that.
constexpr seconds kRecovery{15};
constexpr const char* kLongAway =
    "errors for what is refused in so long a time often go to sessions that are over by then, and many "
    "sessions come back late";
}  // namespace

const std::vector<FaultKind>& AllFaults() {
  static const std::vector<FaultKind> kAll{
      {"kill-gateway", "kill -9 of a gateway", ""},
      {"kill-manager", "kill -9 of a session-manager", ""},
      {"kill-roster", "kill -9 of a roster", ""},
      {"kill-member", "kill -9 of a muc or a search", ""},
      {"drain-member", "SIGTERM to a muc or a search, and a new one after it", ""},
      {"drain-gateway", "SIGTERM to a gateway, and a new one after it", ""},
      {"drain-manager", "SIGTERM to a session-manager, and a new one after it", ""},
      {"die-unheard", "kill -9 of a session-manager that gateways have not heard for 0.1 to 4 s", ""},
      {"move-unheard",
       "shards move and move on while gateways do not hear a session-manager for 0.5 to 4.5 s", ""},
      {"freeze-short", "a process stands still for 0.1 to 4 s", ""},
      {"freeze-long", "a process stands still for 4 to 60 s", ""},
      {"freeze-minutes", "a process stands still for 1 to 5 min", ""},
      {"cut", "no packet passes between two processes, none of them the broker, for 0.1 to 60 s", ""},
      {"cut-one-way", "packets pass in one direction only, for 0.1 to 60 s", ""},
      {"cut-link-minutes", "a gateway and a session-manager do not reach each other for 1 to 10 min", ""},
      {"redis-emptied", "Redis loses everything", ""},
      {"redis-away", "Redis does not answer for 1 to 60 s", ""},
      {"postgres-away", "PostgreSQL does not answer for 1 to 60 s", ""},
      {"postgres-slow", "PostgreSQL answers a hundred times slower for 10 to 60 s", ""},
      {"postgres-late",
       "PostgreSQL does statements that their callers have given up, seconds later, for 10 to 60 s", ""},
      {"postgres-ambiguous", "a tenth of the statements is done and answered with an error, for 10 to 60 s",
       ""},
      {"cut-broker", "a process does not reach the broker, or is not reached, for 0.1 to 60 s", ""},
      {"broker-restart", "the broker is away for 1 to 20 s and comes back with its log", ""},
      {"partition-away", "one partition of users or of rooms has no leader for 1 to 30 s", ""},
      {"rebalance", "the consumer group rebalances, some partitions move", ""},
      {"rebalance-storm", "ten rebalances within some seconds", ""},
      {"refused-appends", "one record in fifty is refused for good, for 5 to 30 s", ""},
      {"broker-away-minutes", "the broker is away for 1 to 20 min", kLongAway},
      {"postgres-away-minutes", "PostgreSQL does not answer for 1 to 20 min", kLongAway},
      {"rosters-away-minutes", "all rosters are stopped for 1 to 20 min", kLongAway},
      {"truncated-log", "a partition of users loses its newest records",
       "the last minutes of such a log are applied again, and what is stored under lost offsets hides what "
       "gets them next"},
      {"lost-offsets",
       "all session-managers or all mucs are stopped, and Kafka forgets the offsets of their group",
       "who is connected while a whole service is off is promised less, and not asked for it from then on"},
      {kSecondDevices.data(), "a third of the users have two devices", ""},
      {kPairs.data(), "in one seed of three misfortunes come in twos, the second while the first goes on",
       ""},
      {kTogether.data(), "in one seed of three misfortunes do not wait for the end of the ones before",
       "in one of four such seeds a promise is broken, most often since a session that an owner has gone on "
       "without is not told what became of its roster meanwhile"},
      {kLittleRoom.data(), "64 rows of a shard may wait for PostgreSQL, 8 for one recipient, 4 of one sender",
       "most messages for the absent are refused then while PostgreSQL is away, and what is done with those "
       "that wait "
       "is seen less"},
  };
  return kAll;
}

Faults::Faults(Simulation& simulation)
    : simulation_(simulation), world_(simulation.world_), random_(simulation.random_.Fork()) {
  // In the table's order, so that a set's order does not matter.
  for (const FaultKind& kind : AllFaults())
    if (simulation_.options_.faults.contains(kind.name) && kind.name != kSecondDevices &&
        kind.name != kPairs && kind.name != kTogether && kind.name != kLittleRoom)
      enabled_.emplace_back(kind.name);
  const bool is_drawn = random_.Chance(1.0 / 3);
  is_together_ = is_drawn && simulation_.options_.faults.contains(std::string(kTogether));
  is_paired_ = is_drawn && !is_together_ && simulation_.options_.faults.contains(std::string(kPairs));
}

void Faults::Begin(SteadyTime end) {
  end_ = end;
  if (!enabled_.empty()) DrawNext();
}

void Faults::DrawNext() {
  world_.After(random_.Exponential(seconds(12)), [this] {
    if (is_over_ || world_.now() >= end_) return;
    if (!is_together_ && (open_ > 0 || world_.now() < calm_at_)) return DrawNext();
    // Now and then a second one at the same moment.
    const int together = is_together_ && random_.Chance(0.25) ? 2 : 1;
    if (together > 1 || open_ > 0 || world_.now() < calm_at_) simulation_.ledger_.SeveralAtOnce();
    for (int i = 0; i < together; ++i) DoAny();
    if (is_paired_) {
      simulation_.ledger_.SeveralAtOnce();
      const bool is_at_once = random_.Chance(0.25);
      // Open until then: the next two wait for both.
      UndoLater(is_at_once ? Duration::zero() : random_.Exponential(seconds(5)), [this] { DoAny(); });
    }
    DrawNext();
  });
}

void Faults::DoAny() {
  ++count_;
  Do(random_.Pick(enabled_));
  calm_at_ = world_.now() + kRecovery;
}

Process& Faults::Victim(bool stores) {
  std::vector<Process*> all;
  for (const auto& p : simulation_.managers_) all.push_back(p.get());
  for (const auto& p : simulation_.gateways_) all.push_back(p.get());
  for (const auto& p : simulation_.rosters_) all.push_back(p.get());
  for (const auto& p : simulation_.members_) all.push_back(p.get());
  if (stores) {
    all.push_back(&simulation_.redis_);
    all.push_back(&simulation_.postgres_);
  }
  return *random_.Pick(all);
}

void Faults::UndoLater(Duration after, std::function<void()> undo) {
  ++open_;
  world_.After(after, [this, undo = std::move(undo)] {
    if (is_over_) return;
    undo();
    --open_;
    calm_at_ = world_.now() + kRecovery;
  });
}

void Faults::ReviveLater(Process& process, Duration after) {
  UndoLater(after, [&process] {
    if (!process.is_alive()) process.Start();
  });
}

void Faults::Do(const std::string& name) {
  Simulation& s = simulation_;
  world_.Note("world", "fault", name);
  const auto pick = [this](auto& processes) -> Process& {
    return *processes[random_.Below(processes.size())];
  };
  const auto freeze = [this](Process& process, Duration time) {
    process.Freeze();
    UndoLater(time, [&process] { process.Thaw(); });
  };
  // Its own words hang in the network, while those to it arrive.
  const auto unhear = [this, &s](Process& manager, bool is_heard) {
    for (const auto& gateway : s.gateways_)
      is_heard ? world_.Heal(manager, *gateway) : world_.Cut(manager, *gateway);
  };
  if (name == "die-unheard") {
    Process& manager = pick(s.managers_);
    unhear(manager, false);
    UndoLater(random_.LogBetween(milliseconds(100), seconds(4)), [this, unhear, &manager] {
      manager.Kill();
      // Its last words arrive, or are lost with their connection.
      UndoLater(random_.Between(seconds(0), seconds(10)), [unhear, &manager] { unhear(manager, true); });
      ReviveLater(manager, random_.LogBetween(milliseconds(100), seconds(30)));
    });
  } else if (name == "move-unheard") {
    Process& manager = pick(s.managers_);
    unhear(manager, false);
    for (const auto after : {milliseconds(0), milliseconds(1'000), milliseconds(2'000), milliseconds(3'000)})
      world_.After(after, [this, &s] {
        if (!is_over_) s.kafka_.Shake();
      });
    UndoLater(random_.Between(milliseconds(500), milliseconds(4'500)),
              [unhear, &manager] { unhear(manager, true); });
  } else if (name == "kill-gateway" || name == "kill-manager" || name == "kill-roster" ||
             name == "kill-member") {
    Process& process = name == "kill-gateway"   ? pick(s.gateways_)
                       : name == "kill-manager" ? pick(s.managers_)
                       : name == "kill-roster"  ? pick(s.rosters_)
                                                : pick(s.members_);
    process.Kill();
    ReviveLater(process, random_.LogBetween(milliseconds(100), seconds(30)));
  } else if (name == "drain-gateway" || name == "drain-manager" || name == "drain-member") {
    Process& process = name == "drain-gateway"   ? pick(s.gateways_)
                       : name == "drain-manager" ? pick(s.managers_)
                                                 : pick(s.members_);
    process.Stop();
    const Duration rest = random_.LogBetween(milliseconds(100), seconds(10));
    UndoLater(seconds(25), [this, &process, rest, life = process.life()] {
      if (process.is_alive() && process.life() == life) process.Kill();  // what the grace period's end does
      ReviveLater(process, rest);
    });
  } else if (name == "freeze-short") {
    freeze(Victim(), random_.LogBetween(milliseconds(100), seconds(4)));
  } else if (name == "freeze-long") {
    freeze(Victim(), random_.LogBetween(seconds(4), seconds(60)));
  } else if (name == "freeze-minutes") {
    freeze(Victim(), random_.LogBetween(minutes(1), minutes(5)));
  } else if (name == "cut" || name == "cut-one-way" || name == "cut-broker") {
    Process& a = Victim();
    Process& b = name == "cut-broker" ? s.broker_ : Victim(true);
    if (&a == &b) return;
    const bool is_one_way = name == "cut-one-way" || (name == "cut-broker" && random_.Chance(0.5));
    const bool is_inbound = is_one_way && random_.Chance(0.5);
    if (!is_inbound) world_.Cut(a, b);
    if (!is_one_way || is_inbound) world_.Cut(b, a);
    UndoLater(random_.LogBetween(milliseconds(100), seconds(60)), [this, &a, &b] {
      world_.Heal(a, b);
      world_.Heal(b, a);
    });
  } else if (name == "cut-link-minutes") {
    Process& gateway = pick(s.gateways_);
    Process& manager = pick(s.managers_);
    world_.Cut(gateway, manager);
    world_.Cut(manager, gateway);
    UndoLater(random_.LogBetween(minutes(1), minutes(10)), [this, &gateway, &manager] {
      world_.Heal(gateway, manager);
      world_.Heal(manager, gateway);
    });
  } else if (name == "redis-emptied") {
    s.redis_data_.Clear();
  } else if (name == "redis-away") {
    freeze(s.redis_, random_.LogBetween(seconds(1), seconds(60)));
  } else if (name == "postgres-away") {
    freeze(s.postgres_, random_.LogBetween(seconds(1), seconds(60)));
  } else if (name == "postgres-slow" || name == "postgres-late") {
    // A statement takes 5 s at most, unless it is late.
    world_.SetSlowness(s.postgres_, name == "postgres-slow" ? 100 : 1'000);
    UndoLater(random_.Between(seconds(10), seconds(60)), [this, &s] { world_.SetSlowness(s.postgres_, 1); });
  } else if (name == "postgres-ambiguous") {
    world_.SetAmbiguity(s.postgres_, 0.1);
    UndoLater(random_.Between(seconds(10), seconds(60)), [this, &s] { world_.SetAmbiguity(s.postgres_, 0); });
  } else if (name == "broker-restart") {
    freeze(s.broker_, random_.LogBetween(seconds(1), seconds(20)));
  } else if (name == "partition-away") {
    const auto partition = static_cast<std::int32_t>(random_.Below(s.environment_.shards));
    const char* const topic = random_.Chance(0.6) ? "users" : "rooms";
    s.kafka_.SetAway(topic, partition, true);
    UndoLater(random_.LogBetween(seconds(1), seconds(30)),
              [&s, topic, partition] { s.kafka_.SetAway(topic, partition, false); });
  } else if (name == "rebalance") {
    s.kafka_.Shake();
  } else if (name == "rebalance-storm") {
    for (int i = 0; i < 10; ++i)
      UndoLater(random_.Between(milliseconds(0), seconds(8)), [&s] { s.kafka_.Shake(); });
  } else if (name == "refused-appends") {
    s.kafka_.set_refusals(0.02);
    UndoLater(random_.Between(seconds(5), seconds(30)), [&s] { s.kafka_.set_refusals(0); });
  } else if (name == "lost-offsets") {
    s.ledger_.SeveralAtOnce();
    std::vector<Process*> all;
    const bool is_rooms = random_.Chance(0.5);
    if (!is_rooms)
      for (const auto& p : s.managers_) all.push_back(p.get());
    for (const auto& p : s.members_)
      if (is_rooms && p->name().starts_with("muc-")) all.push_back(p.get());
    for (Process* process : all) process->Stop();
    UndoLater(seconds(20), [&s, all, is_rooms] {
      for (Process* process : all)
        if (process->is_alive()) process->Kill();
      s.kafka_.ForgetOffsets(is_rooms ? "rooms" : "users");
      for (Process* process : all) process->Start();
    });
  } else if (name == "broker-away-minutes") {
    freeze(s.broker_, random_.LogBetween(minutes(1), minutes(20)));
  } else if (name == "postgres-away-minutes") {
    freeze(s.postgres_, random_.LogBetween(minutes(1), minutes(20)));
  } else if (name == "rosters-away-minutes") {
    const Duration time = random_.LogBetween(minutes(1), minutes(20));
    for (const auto& roster : s.rosters_) {
      roster->Kill();
      ReviveLater(*roster, time);
    }
  } else if (name == "truncated-log") {
    s.kafka_.Truncate("users", static_cast<std::int32_t>(random_.Below(s.environment_.shards)),
                      static_cast<std::int64_t>(1 + random_.Below(20)));
  } else {
    ROOKERY_CHECK(false);
  }
}

void Faults::UndoAll() {
  is_over_ = true;
  Simulation& s = simulation_;
  world_.HealAll();
  s.kafka_.set_refusals(0);
  for (const char* topic : {"users", "rooms"})
    for (std::uint32_t i = 0; i < s.environment_.shards; ++i)
      if (s.kafka_.partition(topic, static_cast<std::int32_t>(i)).is_away)
        s.kafka_.SetAway(topic, static_cast<std::int32_t>(i), false);
  std::vector<Process*> all{&s.redis_, &s.postgres_, &s.broker_};
  for (const auto& p : s.managers_) all.push_back(p.get());
  for (const auto& p : s.gateways_) all.push_back(p.get());
  for (const auto& p : s.rosters_) all.push_back(p.get());
  for (const auto& p : s.members_) all.push_back(p.get());
  for (Process* process : all) {
    process->Thaw();
    if (!process->is_alive()) process->Start();
  }
  // One that is being drained ends by itself; somebody starts it again.
  world_.After(seconds(30), [all] {
    for (Process* process : all)
      if (!process->is_alive()) process->Start();
  });
}

}  // namespace rookery::simulation
