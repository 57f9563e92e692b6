#pragma once

#include <chrono>
#include <memory>

#include "domain/records/room_memory.h"
#include "domain/records/room_shard.h"
#include "ports/room_store.h"

namespace rookery::muc {

struct MucMetrics;

/// Loads rooms from the store, many at a time, while there is memory for them, and tries again until the
/// store answers. I/O thread only.
class RoomLoader {
 public:
  /// How long a sender waits before being told that the store is away.
  static constexpr std::chrono::seconds kPatience{3};
  /// How often rooms are looked for that have been waited for too long.
  static constexpr std::chrono::milliseconds kLook{500};
  /// The limit for rooms that are asked for together.
  static constexpr std::size_t kPageBytes = std::size_t{8} << 20;
  /// So many records of a shard may wait for rooms before even what occupants show is refused.
  static constexpr std::size_t kMaxWaiting = 25'000;

  class Listener {
   public:
    /// slot.room is set. Where the store has no such room, it is one that does not exist.
    virtual void OnLoaded(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot) = 0;
    /// The room has been wanted for kPatience or more and is not loaded yet. Called every kLook until it is.
    /// `is_crowded`: more than kMaxWaiting records of the shard wait for rooms. They count as unfinished, and
    /// one client must not have the shard read no further by what it shows to rooms that may not exist.
    virtual void OnUnavailable(RoomShard& shard, RoomSlot& slot, bool is_crowded) = 0;

   protected:
    ~Listener() = default;
  };

  RoomLoader(RoomStore& store, RoomMemory& memory, const Clock& clock, MucMetrics& metrics,
             Listener& listener)
      : store_(store), memory_(memory), clock_(clock), metrics_(metrics), listener_(listener) {}

  /// Begins to load the slot's room. It is given up when no record waits for it any more.
  void Want(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot);
  /// Tells the listener which rooms have been wanted for too long.
  void Look(RoomShard& shard);

 private:
  Task<void> Run(std::shared_ptr<RoomShard> shard);
  /// The rooms that are asked for next, at most so many. Drops those that no record waits for any more.
  static std::vector<std::shared_ptr<RoomSlot>> First(RoomShard& shard, std::size_t most);
  void Take(RoomShard& shard, RoomSlot& slot, StoredRoom* stored);

  RoomStore& store_;
  RoomMemory& memory_;
  const Clock& clock_;
  MucMetrics& metrics_;
  Listener& listener_;
};

}  // namespace rookery::muc
