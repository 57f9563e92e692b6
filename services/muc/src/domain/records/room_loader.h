#pragma once

#include <chrono>
#include <memory>

#include "domain/records/room_shard.h"
#include "ports/room_store.h"

namespace rookery::muc {

struct MucMetrics;

/// Looks for rooms in the store, many at a time, until the store answers. I/O thread only.
class RoomLoader {
 public:
  /// So long those wait who could be told that the store is away.
  static constexpr std::chrono::seconds kPatience{3};

  class Listener {
   public:
    /// slot.room is there; it may be one that does not exist.
    virtual void OnLoaded(RoomShard& shard, RoomSlot& slot) = 0;
    /// The store is away, and the slot has waited for kPatience or more. Called again and again.
    virtual void OnUnavailable(RoomShard& shard, RoomSlot& slot) = 0;

   protected:
    ~Listener() = default;
  };

  RoomLoader(RoomStore& store, const Clock& clock, MucMetrics& metrics, Listener& listener)
      : store_(store), clock_(clock), metrics_(metrics), listener_(listener) {}

  /// The slot's room is wanted.
  void Want(const std::shared_ptr<RoomShard>& shard, const std::shared_ptr<RoomSlot>& slot);

 private:
  Task<void> Run(std::shared_ptr<RoomShard> shard);
  void Take(RoomShard& shard, RoomSlot& slot, StoredRoom* stored);

  RoomStore& store_;
  const Clock& clock_;
  MucMetrics& metrics_;
  Listener& listener_;
};

}  // namespace rookery::muc
