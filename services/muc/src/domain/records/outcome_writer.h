#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "domain/outcome.h"
#include "domain/records/room_shard.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::muc {

struct MucMetrics;

/// Puts into the log what follows from a room's record, each part with its number, so that whoever reads it a
/// second time drops it. I/O thread only.
class OutcomeWriter {
 public:
  OutcomeWriter(sharding::ShardOwner& owner, const events::Topology& topology, MucMetrics& metrics)
      : owner_(owner), topology_(topology), metrics_(metrics) {}

  /// The record of what is said, and when and under which trace it came.
  struct Cause {
    std::int64_t offset = 0;
    std::int64_t received_at_ms = 0;
    std::uint64_t trace_id = 0;
  };
  /// Holds the record in the shard's window, and counts in slot.appends, until all of it is in the log. What
  /// the log refuses is said again until it takes it; what it never will take is lost, and counted.
  void Write(RoomShard& shard, RoomSlot& slot, const Cause& cause, const Outcome& outcome);
  /// One stanza that follows from a record to no room.
  void WriteAnswer(RoomShard& shard, const Cause& cause, const xmpp::Stanza& answer);
  /// `verdict` on the record of `cause`, to the shard itself. Holds that record in the window meanwhile.
  void WriteVerdict(RoomShard& shard, const Cause& cause, const events::v1::RoomVerdict& verdict);

 private:
  void Append(RoomShard& shard, std::shared_ptr<Appends> appends, std::int64_t offset, events::Topic topic,
              std::uint32_t partition, std::string_view key, const google::protobuf::MessageLite& record);
  void Fill(RoomShard& shard, const Cause& cause, std::uint32_t part, events::v1::UserRecord& record) const;
  Task<void> SayAgain(std::shared_ptr<sharding::Shard> shard, std::shared_ptr<Appends> appends,
                      std::int64_t offset, events::Topic topic, std::uint32_t partition, std::string bytes);
  void Finish(sharding::Shard& shard, Appends* appends, std::int64_t offset);
  void Group(RoomSlot& slot, const std::shared_ptr<const Recipients>& recipients) const;

  sharding::ShardOwner& owner_;
  const events::Topology& topology_;
  MucMetrics& metrics_;
};

}  // namespace rookery::muc
