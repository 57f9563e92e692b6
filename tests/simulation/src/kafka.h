#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/kafka/consumer.h"
#include "rookery/kafka/producer.h"
#include "world.h"

namespace rookery::simulation {

/// A Kafka cluster as our libraries see it through kafka::Producer and kafka::Consumer: topics whose
/// partitions keep order, idempotent producers that try until the broker answers, and consumer
/// groups with heartbeats, session time-outs and cooperative rebalances. Its state survives
/// its process, as a broker's disk does.
class Kafka {
 public:
  Kafka(World& world, Process& broker);
  ~Kafka();

  struct Record {
    std::int64_t timestamp_ms;
    std::string key;
    std::string value;
  };
  struct Partition {
    std::vector<Record> records;
    std::int64_t beginning = 0;
    bool is_away = false;  // no leader
    std::uint64_t cuts = 0;
    std::int64_t cut_at = 0;  // the last time
    std::int64_t end() const { return beginning + static_cast<std::int64_t>(records.size()); }
  };

  void CreateTopic(const std::string& name, std::uint32_t partitions);
  Partition& partition(const std::string& topic, std::int32_t number) {
    return topics_[topic][static_cast<std::size_t>(number)];
  }
  std::int64_t CommittedOf(const std::string& group, std::int32_t partition) const;
  std::uint64_t appended() const { return appended_; }

  std::unique_ptr<kafka::Producer> MakeProducer(Process& process);
  std::unique_ptr<kafka::Consumer> MakeConsumer(Process& process, std::string topic, std::string group,
                                                kafka::ConsumerHandler& handler);

  // ---- faults ----
  void SetAway(const std::string& topic, std::int32_t partition, bool is_away);
  /// Makes every member join again, with some partitions moved.
  void Shake();
  /// A broker that came back without the newest records.
  void Truncate(const std::string& topic, std::int32_t partition, std::int64_t records);
  /// Forgets offsets, as a broker does those of groups that have had no member for days.
  void ForgetOffsets(std::string_view topic);
  /// This part of what producers append is refused for good.
  void set_refusals(double part) { refusals_ = part; }
  static constexpr std::size_t kMaxRecordBytes = 1'000'000;

  /// Change what passes; empty unless a mutation wants it.
  struct Hooks {
    bool confirms_early = false;
    /// Returns what is committed in place of `offset`; `end` is the end of the partition.
    std::function<std::int64_t(std::int64_t offset, std::int64_t end)> commit;
    /// Whether these records, which follow each other in a producer's batch, change places.
    std::function<bool(const std::string& first, const std::string& second)> is_swapped;
    std::function<void(const std::string& topic, std::string& value)> read;
    /// False: it is not appended, and nobody is told.
    std::function<bool(const std::string& topic, const std::string& value)> append;
  } hooks;

  /// Whoever wants to know what the log holds.
  std::function<void(std::string_view topic, std::int32_t partition, std::int64_t offset,
                     std::string_view value)>
      on_append;
  /// And what it held, and has lost.
  std::function<void(std::string_view topic, std::string_view value)> on_lost;
  /// Told what it refuses for good.
  std::function<void(std::string_view topic, std::string_view value)> on_refused;

 private:
  friend class SimulatedProducer;
  friend class SimulatedConsumer;
  struct Member;
  struct Group;

  bool IsUp() const { return broker_.is_running(); }
  bool Has(const class SimulatedConsumer* consumer) const {
    return std::find(consumers_.begin(), consumers_.end(), consumer) != consumers_.end();
  }
  bool Reaches(const Process& process) const { return IsUp() && world_.AreJoined(process, broker_); }
  std::int64_t Append(const std::string& topic, std::int32_t partition, std::string key, std::string value);
  void Tick();
  void TickGroup(Group& group);
  void Rebalance(Group& group);
  void GiveFree(Group& group);

  World& world_;
  Process& broker_;
  std::map<std::string, std::vector<Partition>> topics_;
  std::map<std::string, std::unique_ptr<Group>> groups_;
  std::vector<class SimulatedConsumer*> consumers_;  // in the order of their making
  double refusals_ = 0;
  std::uint64_t appended_ = 0;
};

}  // namespace rookery::simulation
