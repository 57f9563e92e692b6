#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "edge.h"
#include "environment.h"
#include "ledger.h"
#include "protocols/xmpp/xmpp_settings.h"

namespace rookery::fuzz {

/// The smallest cluster that has everything, with accounts of Ann and Bob, who see each other, and of Cyd, a
/// stranger to both.
class SmallCluster {
 public:
  /// `key`: of its ledger; `settings`: of its gateway's streams.
  SmallCluster(std::uint64_t key, const gateway::XmppSettings& settings);
  ~SmallCluster();

  void RunFor(std::chrono::milliseconds duration) { world.RunFor(duration); }
  /// False: not within `limit`.
  template <typename Condition>
  bool RunUntil(Condition condition, std::chrono::milliseconds limit,
                std::chrono::milliseconds step = std::chrono::milliseconds(10)) {
    for (std::chrono::milliseconds passed{0}; passed < limit; passed += step) {
      if (condition()) return true;
      world.RunFor(step);
    }
    return condition();
  }

  /// When everybody has gone for good.
  void RequireSilence();
  simulation::Kafka& kafka() { return kafka_; }

 private:
  std::vector<simulation::Process*> Processes();
  bool IsLive();
  bool IsSilent();

 public:
  Ledger ledger;
  simulation::World world{1, false};

 private:
  static constexpr std::uint32_t kShards = 2;
  static constexpr std::chrono::seconds kResumeTimeout{2};

  simulation::Process redis_{world, "redis"};
  simulation::Process postgres_{world, "postgres"};
  simulation::Process broker_{world, "broker"};
  simulation::RedisData redis_data_;
  std::unique_ptr<simulation::Database> database_ = simulation::MakeDatabase();
  std::unique_ptr<simulation::RosterDatabase> rosters_ = simulation::MakeRosterDatabase();
  std::unique_ptr<simulation::RoomDatabase> rooms_ = simulation::MakeRoomDatabase();
  simulation::Kafka kafka_{world, broker_};
  simulation::Links links_{world};
  simulation::Environment environment_{world,      kafka_, links_, redis_,  redis_data_,    postgres_,
                                       *database_, {},     {},     kShards, kResumeTimeout, {}};
  std::unique_ptr<simulation::RosterProcess> roster_;
  std::vector<std::unique_ptr<simulation::MemberProcess>> members_;
  std::unique_ptr<simulation::SessionManagerProcess> manager_;

 public:
  std::unique_ptr<Edge> edge;
};

}  // namespace rookery::fuzz
