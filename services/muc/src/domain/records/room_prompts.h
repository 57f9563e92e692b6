#pragma once

#include <memory>

#include "domain/records/outcome_writer.h"
#include "domain/records/room_shard.h"

namespace rookery::muc {

/// The records by which rooms go on with what was too much for one (unfinished.h). I/O thread only.
class RoomPrompts {
 public:
  explicit RoomPrompts(OutcomeWriter& writer) : writer_(writer) {}

  /// After a record has been applied, or is found to be in a checkpoint: should the room have more to do,
  /// says so when all that has followed so far is in the log, and holds the record until then.
  void Look(RoomShard& shard, const std::shared_ptr<RoomSlot>& slot, const OutcomeWriter::Cause& cause);

 private:
  Task<void> Say(std::shared_ptr<RoomShard> shard, std::shared_ptr<RoomSlot> slot,
                 OutcomeWriter::Cause cause);

  OutcomeWriter& writer_;
};

}  // namespace rookery::muc
