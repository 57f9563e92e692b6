#pragma once

#include <chrono>
#include <memory>

#include "domain/records/room_memory.h"
#include "domain/records/room_shard.h"
#include "ports/room_store.h"

namespace rookery::muc {

struct MucMetrics;

/// Looks for rooms in the store, many at a time, until the store answers, while there is memory for them. I/O
/// thread only.
class RoomLoader {
 public:
  /// So long those wait who could be told that the store is away.
  static constexpr std::chrono::seconds kPatience{3};
  /// So often who has waited too long is looked for.
  static constexpr std::chrono::milliseconds kLook{500};
  /// Of rooms that are asked for together.
  static constexpr std::size_t kPageBytes = std::size_t{8} << 20;

  class Listener {
   public:
    /// slot.room is there; it may be one that does not exist.
    virtual void OnLoaded(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) = 0;
    /// The room has been wanted for kPatience or more, and is not there. Called again and again.
    virtual void OnUnavailable(RoomShard& shard, RoomSlot& slot) = 0;

   protected:
    ~Listener() = default;
  };

  RoomLoader(RoomStore& store, RoomMemory& memory, const Clock& clock, MucMetrics& metrics,
             Listener& listener)
      : store_(store), memory_(memory), clock_(clock), metrics_(metrics), listener_(listener) {}

  /// The slot's room is wanted, for as long as records wait for it.
  void Want(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  /// Tells the listener what has been wanted for too long.
  void Look(RoomShard& shard);

 private:
  Task<void> Run(std::shared_ptr<RoomShard> shard);
  /// Those that are asked for next.
  static std::vector<std::shared_ptr<RoomSlot>> First(RoomShard& shard, std::size_t most);
  void Take(RoomShard& shard, RoomSlot& slot, StoredRoom* stored);

  RoomStore& store_;
  RoomMemory& memory_;
  const Clock& clock_;
  MucMetrics& metrics_;
  Listener& listener_;
};

}  // namespace rookery::muc
