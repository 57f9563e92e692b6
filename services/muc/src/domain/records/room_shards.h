#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "domain/outcome.h"
#include "domain/records/checkpointer.h"
#include "domain/records/outcome_writer.h"
#include "domain/records/room_loader.h"
#include "domain/records/room_shard.h"
#include "domain/settings.h"
#include "rookery/base/clock.h"
#include "rookery/sharding/record_shards.h"

namespace rookery::muc {

class ServiceDesk;
struct MucMetrics;

/// The shards of `rooms`: each record is applied once to its room, in the order of the log, and is finished
/// when all that follows from it is in the log and a checkpoint of the room has what it changed. I/O thread
/// only.
///
/// R1. What a record leads to depends on the room, the record and the settings alone. What else must be known
///     (how many rooms somebody owns, that the store is away) is put on the shard's own log first, as a
///     verdict on the record, and holds whenever the record is read.
/// R2. While a shard is recovered, records are kept until our fence has been read: verdicts on them may lie
///     behind them. Then their rooms are loaded, and all are applied.
/// R3. A room is loaded when a record comes for it. What waits for it holds back nothing but the room. While
///     the store is away, who can be told is (RoomLoader::kPatience); what only informs waits.
/// R4. A checkpoint of a room is written when all that follows from what it holds is in the log; a record
/// that a
///     checkpoint holds is not applied again.
class RoomShards final : public sharding::RecordShards<events::v1::RoomRecord>, private RoomLoader::Listener {
 public:
  /// A room of which nobody has heard for so long is forgotten here.
  static constexpr std::chrono::seconds kQuiet{60};
  /// Of the address of a room that does not exist.
  static constexpr std::chrono::seconds kQuietWithoutRoom{5};

  RoomShards(asio::any_io_executor executor, const Settings& settings, const Clock& clock,
             sharding::ShardOwner& owner, const events::Topology& topology, RoomStore& store,
             ServiceDesk& desk, MucMetrics& metrics);
  ~RoomShards() override;

  std::shared_ptr<sharding::Shard> MakeShard(std::uint32_t number,
                                             std::chrono::milliseconds horizon) override;
  /// Claims the shard's rooms in the store.
  Task<absl::Status> Load(std::shared_ptr<sharding::Shard> shard) override;
  void OnReading(sharding::Shard& shard, bool was_cut) override;
  void Apply(sharding::Shard& shard, std::shared_ptr<sharding::Record> record) override;
  bool is_settled(sharding::Shard& shard) const override;
  Task<void> Settle(std::shared_ptr<sharding::Shard> shard) override;
  /// The last checkpoint.
  Task<void> HandOver(std::shared_ptr<sharding::Shard> shard, SteadyTime limit) override;
  void Forget(sharding::Shard& shard) override;

  /// Every 100 ms: checkpoints that are due, rooms that are quiet, and the metrics.
  void Tick();

 private:
  void OnLoaded(RoomShard& shard, RoomSlot& slot) override;
  void OnUnavailable(RoomShard& shard, RoomSlot& slot) override;

  std::shared_ptr<RoomSlot> SlotOf(RoomShard& shard, std::string_view room);
  void OnVerdict(RoomShard& shard, const std::shared_ptr<RoomRecord>& record);
  /// Applies what waits for the room as far as that can be done now.
  void Pump(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  /// False: the first record that waits needs a verdict that there is not yet.
  bool ApplyFirst(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  void ApplyTo(RoomShard& shard, RoomSlot& slot, RoomRecord& record);
  void Refuse(RoomShard& shard, RoomSlot& slot, const RoomRecord& record,
              const events::v1::RoomVerdict& verdict);
  Task<void> FindVerdict(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot,
                         std::shared_ptr<RoomRecord> record);
  Task<void> AnswerRequest(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomRecord> record);
  void ForgetQuiet(RoomShard& shard);

  asio::any_io_executor executor_;
  const Settings& settings_;
  const Clock& clock_;
  sharding::ShardOwner& owner_;
  const events::Topology& topology_;
  RoomStore& store_;
  ServiceDesk& desk_;
  MucMetrics& metrics_;
  OutcomeWriter writer_;
  Checkpointer checkpointer_;
  RoomLoader loader_;
  Outcome outcome_;
  /// Sessions in the rooms that are in memory.
  std::size_t occupants_ = 0;
};

}  // namespace rookery::muc
