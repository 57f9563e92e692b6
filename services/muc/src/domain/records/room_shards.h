#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "domain/records/checkpointer.h"
#include "domain/records/outcome_writer.h"
#include "domain/records/room_loader.h"
#include "domain/records/room_memory.h"
#include "domain/records/room_prompts.h"
#include "domain/records/room_shard.h"
#include "domain/room/outcome.h"
#include "domain/settings.h"
#include "rookery/base/clock.h"
#include "rookery/sharding/record_shards.h"

namespace rookery::muc {

class ServiceDesk;
struct MucMetrics;
struct Turn;

/// The shards of `rooms`: each record is applied once to its room, in the order of the log, and is finished
/// when all that follows from it is in the log and a checkpoint of the room has what it changed. The rules
/// that this keeps are in README.md (R1 and on). I/O thread only.
class RoomShards final : public sharding::RecordShards<events::v1::RoomRecord>, private RoomLoader::Listener {
 public:
  /// How many records of a shard, and bytes of them, are kept until our fence is read (R2). Beyond that,
  /// records are applied as they come.
  static constexpr std::size_t kMaxKept = 100'000;
  static constexpr std::size_t kMaxKeptBytes = std::size_t{64} << 20;
  /// How many waiting records are applied in one turn of the loop.
  static constexpr std::size_t kAppliedPerTurn = 200;

  RoomShards(asio::any_io_executor executor, const Settings& settings, const Clock& clock,
             sharding::ShardOwner& owner, const events::Topology& topology, RoomStore& store,
             ServiceDesk& desk, MucMetrics& metrics);
  ~RoomShards() override;

  std::shared_ptr<sharding::Shard> MakeShard(std::uint32_t number,
                                             std::chrono::milliseconds horizon) override;
  /// Claims the shard's rooms in the store.
  Task<absl::Status> Load(std::shared_ptr<sharding::Shard> shard) override;
  void Apply(sharding::Shard& shard, std::shared_ptr<sharding::Record> record) override;
  bool is_settled(sharding::Shard& shard) const override;
  Task<void> Settle(std::shared_ptr<sharding::Shard> shard) override;
  void GoLive(sharding::Shard& shard) override;
  /// Writes the last checkpoints.
  Task<void> HandOver(std::shared_ptr<sharding::Shard> shard, SteadyTime limit) override;
  Task<absl::StatusOr<std::optional<KeptCursor>>> FindCursor(std::uint32_t number) override;
  Task<absl::Status> KeepCursor(std::uint32_t number, std::int64_t epoch, std::int64_t cursor) override;
  void Forget(sharding::Shard& shard) override;

  /// Every 100 ms: checkpoints that are due, rooms that are quiet, and the metrics.
  void Tick();

  const RoomMemory& memory() const { return memory_; }

 private:
  void OnLoaded(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) override;
  void OnUnavailable(RoomShard& shard, RoomSlot& slot, bool is_crowded) override;

  std::shared_ptr<RoomSlot> SlotOf(RoomShard& shard, std::string_view room);
  void OnVerdict(RoomShard& shard, const std::shared_ptr<RoomRecord>& record);
  /// Whether the shard's records are to be applied now (R2).
  bool IsTime(const RoomShard& shard) const;
  void NoteKept(RoomShard& shard);
  /// Applies the records that wait for the room, as far as that can be done now: one at once, several in
  /// later turns of the loop. Where the room is not in memory, begins to load it.
  void Pump(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  /// Pump for every room of the shard.
  void PumpAll(RoomShard& shard);
  void ApplyLater(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  Task<void> ApplyInTurns(std::shared_ptr<RoomShard> shard);
  /// Applies at most `budget` records and takes them off it. True: more could be applied.
  bool ApplyWaiting(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot, std::size_t& budget);
  /// Applies or refuses the first record that waits. False: it needs a verdict, which has not been read yet.
  bool ApplyFirst(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  void ApplyTo(RoomShard& shard, RoomSlot& slot, RoomRecord& record);
  void Refuse(RoomShard& shard, RoomSlot& slot, const RoomRecord& record,
              const events::v1::RoomVerdict& verdict);
  static void OnPrompt(Turn& turn, RoomSlot& slot, const events::v1::RoomPrompt& prompt);
  Task<void> FindVerdict(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot,
                         std::shared_ptr<RoomRecord> record);
  Task<void> Answer(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomRecord> record);

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
  RoomPrompts prompts_;
  RoomMemory memory_;
  RoomLoader loader_;
  Outcome outcome_;
};

}  // namespace rookery::muc
