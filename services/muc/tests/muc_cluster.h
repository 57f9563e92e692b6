#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "domain/metrics.h"
#include "domain/records/room_shards.h"
#include "domain/service/service_desk.h"
#include "memory_room_store.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/sharding/duplicate_filter.h"
#include "rookery/sharding/shard_owner.h"
#include "rookery/telemetry/metrics.h"
#include "rookery/testing/fake_broker.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::muc::testing {

using rookery::testing::FakeBroker;
using rookery::testing::FakeConsumer;
using rookery::testing::FakeLog;
using rookery::testing::VirtualTime;

class MucCluster;

/// One muc process: shards of `rooms` over a log and a store in memory.
class MucProcess {
 public:
  MucProcess(MucCluster& cluster, std::string name);
  /// kill -9. What it has in flight to the log is lost, unless it was left.
  ~MucProcess();

  RoomShard& shard(std::uint32_t number) { return static_cast<RoomShard&>(*owner.Find(number)); }
  /// Null: the room is not in memory.
  RoomSlot* slot(std::string_view room);

  const std::string name;
  Settings settings;
  telemetry::Metrics metrics{"muc"};
  MucMetrics muc_metrics{metrics};
  FakeLog log;
  MemoryRoomStore store;
  ServiceDesk desk;
  sharding::ShardOwner owner;
  RoomShards shards;
  /// Null once it has left its group.
  FakeConsumer* consumer = nullptr;

 private:
  runtime::PeriodicTimer timer_;
};

/// The users, and what they have been told, as their shards' owners accept it: each repetition dropped by
/// where it comes from.
class Audience {
 public:
  explicit Audience(FakeBroker& broker);
  /// Reads what has come to `users` and `messages` since.
  void Read();

  /// By recipient, in the order in which it came: stanzas as XML.
  std::map<std::string, std::vector<std::string>> heard;
  /// The same by who says it to whom: room and recipient.
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> dialogues;
  /// By room, in the order of the archive's shard.
  std::map<std::string, std::vector<std::string>> archived;
  int repetitions = 0;
  int stale = 0;

 private:
  bool Accepts(std::size_t at, const events::v1::Origin& origin, std::int64_t timestamp_ms);

  FakeBroker& broker_;
  std::vector<sharding::DuplicateFilter> filters_;
  std::map<std::pair<events::Topic, std::uint32_t>, std::size_t> read_;
};

/// Several processes, the log and the store, on one thread and in virtual time.
class MucCluster {
 public:
  static constexpr std::uint32_t kShards = 4;
  MucCluster();
  ~MucCluster();

  MucProcess& Start(std::string name = {});
  void Assign(MucProcess& process, std::uint32_t shard);
  void Kill(MucProcess& process, bool lose = true);
  /// From a step: the process runs no further than here, and on_death is called once it is dead.
  void Doom(MucProcess& process, bool lose, std::function<void()> on_death);
  /// The group takes the shard back in order; true once it is given back.
  bool Revoke(MucProcess& process, std::uint32_t shard);
  /// All that can be done now is done, but for what `holds` holds back.
  void Settle();
  void Elapse(std::chrono::milliseconds time);
  bool RunUntil(const std::function<bool()>& done, std::chrono::milliseconds limit = std::chrono::minutes(1));
  bool IsLive(MucProcess& process, std::uint32_t shard);

  /// A room's address in the shard; `n` tells several apart.
  std::string RoomIn(std::uint32_t shard, int n = 0) const;
  std::uint32_t ShardOf(std::string_view bare) const;
  /// A client's stanza comes to the room's shard. `xml`: in jabber:client, with `from` and `to`. Returns the
  /// record's offset.
  std::int64_t Say(std::string_view xml);
  std::int64_t SayAgain();
  /// Puts records that change nothing into each shard, up to a multiple of so many: what is said next has the
  /// same offsets whatever owners have said there.
  void FillUp(std::size_t multiple);
  /// As before XEP-0045 (groupchat 1.0).
  std::int64_t Enter(const std::string& who, const std::string& room, const std::string& nick);
  /// With the element of XEP-0045.
  std::int64_t EnterByMuc(const std::string& who, const std::string& room, const std::string& nick);
  std::int64_t Leave(const std::string& who, const std::string& room);
  std::int64_t Show(const std::string& who, const std::string& address, const std::string& status);

  std::vector<FakeBroker::Record>& Records(std::uint32_t shard) {
    return broker_.records(events::Topic::kRooms, shard);
  }
  /// Those of `users` as they are in the log, of all partitions, that follow from `offset` of `shard`.
  std::vector<events::v1::UserRecord> SaidOf(std::uint32_t shard, std::int64_t offset);
  std::vector<events::v1::RoomVerdict> Verdicts(std::uint32_t shard);
  std::int64_t committed(std::uint32_t shard) {
    return broker_.committed(events::Topic::kRooms)[static_cast<std::int32_t>(shard)];
  }
  /// Returns what they have heard since the last call, without the empty subject with which every entering
  /// ends.
  std::vector<std::string> TakeHeard(const std::string& full_jid);

  VirtualTime time_;
  asio::io_context io_;
  FakeBroker broker_{kShards};
  MemoryRoomDatabase database_;
  Settings settings_;
  sharding::OwnerOptions options_;
  Audience audience_{broker_};
  /// Called after each append, and each time that time passes.
  std::function<void()> on_step_;
  std::vector<std::unique_ptr<MucProcess>> processes_;

 private:
  void KillDoomed();

  MucProcess* doomed_ = nullptr;
  bool loses_ = false;
  std::function<void()> on_death_;
  std::map<std::string, std::uint64_t> counts_;
  std::string last_;
  std::uint32_t last_shard_ = 0;
  int started_ = 0;
  std::size_t turns_ = 0;
};

}  // namespace rookery::muc::testing
