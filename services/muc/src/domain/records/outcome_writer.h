#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "domain/records/room_shard.h"
#include "domain/room/outcome.h"
#include "rookery/events/topics.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/sharding/follow_up_writer.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

struct MucMetrics;

/// Puts into the log what follows from a room's record, each part with its number, so that whoever reads it a
/// second time drops it. What the log refuses is said again, but for an occupant's presence to those who have
/// heard something newer of that occupant since. I/O thread only.
class OutcomeWriter {
 public:
  OutcomeWriter(sharding::ShardOwner& owner, const events::Topology& topology, MucMetrics& metrics)
      : topology_(topology), metrics_(metrics), writer_(owner) {}

  /// The record of what is said, and when and under which trace it came.
  struct Cause {
    std::int64_t offset = 0;
    std::int64_t received_at_ms = 0;
    std::uint64_t trace_id = 0;
  };
  /// Holds the record in the shard's window, and counts in slot.appends, until all of it is in the log or
  /// will never be: what the log refuses is said again (sharding::FollowUpWriter).
  void Write(RoomShard& shard, RoomSlot& slot, const Cause& cause, const Outcome& outcome);
  /// One stanza that follows from a record to no room.
  void WriteAnswer(RoomShard& shard, const Cause& cause, const xmpp::Stanza& answer);
  /// `verdict` on the record of `cause`, to the shard itself. Holds that record in the window meanwhile.
  void WriteVerdict(RoomShard& shard, const Cause& cause, const events::v1::RoomVerdict& verdict);
  /// By which the room goes on after the record of `cause`, to the shard itself. Holds that record meanwhile.
  void WritePrompt(RoomShard& shard, const Cause& cause, const events::v1::RoomPrompt& prompt);

 private:
  /// An occupant's presence: whose it is, and who is told.
  struct Presence {
    std::string occupant;
    /// Null: one, `recipient`.
    std::shared_ptr<const Recipients> recipients;
    /// The account that is left out of them; empty: none.
    std::string except;
    std::string recipient;
  };
  struct FollowUp;

  sharding::FollowUpWriter::Place PlaceOf(events::Topic topic, std::string_view key) const;
  /// Null: it is no presence of an occupant's.
  static std::shared_ptr<const Presence> PresenceIn(const Outcome::Said& said);
  void WriteTo(RoomShard& shard, std::shared_ptr<Appends> appends, const Cause& cause, std::uint32_t part,
               const xmpp::Stanza& stanza, std::shared_ptr<const Presence> presence);
  /// `presence` null: none.
  template <typename Record>
  void Append(RoomShard& shard, std::shared_ptr<Appends> appends, const Cause& cause,
              std::optional<std::uint32_t> part, const sharding::FollowUpWriter::Place& place, Record& record,
              std::shared_ptr<const Presence> presence = nullptr);
  void Group(RoomSlot& slot, const std::shared_ptr<const Recipients>& recipients) const;

  const events::Topology& topology_;
  MucMetrics& metrics_;
  sharding::FollowUpWriter writer_;
};

}  // namespace rookery::muc
