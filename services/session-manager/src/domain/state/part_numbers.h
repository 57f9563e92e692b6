#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rookery/sharding/fanout.h"

namespace rookery::session_manager::part_numbers {

// What follows from one cause is told apart by numbers (events.v1.LogOrigin.part, ClientOrigin.part). A
// repetition is known by them, also one that another owner says, perhaps of another release: what is said
// again has to have its number again, and none of these values may ever change. `Cause::parts` is the last
// number given: what "begins after" a number has the next one.
//
//   number              given to                                            by
//
// From a client's stanza, each above all that came before:
//   1 and up            whatever follows, one after the other               Consequences
//
// From any record of a user's shard:
//   0                   the event that a record is for another service      Consequences::AppendEvent
//   1 and up            whatever follows, one after the other               Consequences
//   2^29 .. 2^30 - 1    what a fan-out says to a room: by a hash of both    Consequences::AppendToRooms
//                       that a session is gone, to an address that it has  DirectedPresence::Leave
//                       told directly: by a hash of both
//   2^30 + n + 1        the error for the record with number n, which       Consequences::FollowUp
//                       the log has refused
//   2^31 .. 2^32 - 1    odd ones: the presence of one of the user's         PresenceTracker (a probe, or a
//                       sessions: by its id                                 change of the roster)
//
// From a fan-out, instead of 1 and up: ranges of 2^16, one for each recipient
//   p * 2^16 + 1 ..     what the recipient at place p answers               StanzaApplier::ApplyFanout
//                       (from p = 8192 on, which only a record of 8192 short addresses has, these run through
//                       the ranges above; no record has both)
//
// From the end of a session, instead of 1 and up: ranges of 2^16, one for each audience
//   0 * 2^16 + 1 ..     that it is gone, to the user's other sessions       PresenceTracker::TellEnd
//   1 * 2^16 + 1 ..     to those who are subscribed to the user             PresenceTracker::TellEnd
//   2 * 2^16 + 1 ..     to those who were told of it directly               PresenceTracker::TellEnd
//   2^31 + d + 1        the error for a message that it leaves: by how far  Bounces::BounceEnded
//                       its record is before that of the end

inline constexpr std::uint32_t kEvent = 0;
/// The numbers of one range.
inline constexpr std::uint32_t kRange = 1u << 16;
inline constexpr std::uint32_t kAddresses = 1u << 29;
inline constexpr std::uint32_t kRefusals = 1u << 30;
/// Errors for what a session leaves, and the presence of sessions: never from the same record.
inline constexpr std::uint32_t kErrors = 1u << 31;
inline constexpr std::uint32_t kSessions = 1u << 31;

/// To whom it is said that a session has ended.
enum class Audience : std::uint32_t { kOwn = 0, kSubscribers = 1, kDirected = 2 };

constexpr std::uint32_t RangeOf(Audience audience) { return static_cast<std::uint32_t>(audience) * kRange; }
/// By the place of a recipient in a fan-out.
constexpr std::uint32_t RangeOfPlace(std::uint32_t place) { return place * kRange; }
/// By a hash of who says something to which address.
constexpr std::uint32_t OfAddress(std::uint32_t hash) { return kAddresses | (hash & (kAddresses - 1)); }
/// Begins after: the error for the refused record `part`.
constexpr std::uint32_t BeforeRefusal(std::uint32_t part) { return kRefusals | part; }
/// Begins after: the error for a message whose record is so far before that of the session's end.
constexpr std::uint32_t BeforeError(std::int64_t distance) {
  return kErrors | (static_cast<std::uint32_t>(distance) & (kErrors - 1));
}
/// Begins after: the presence of a session with an id that begins with these bits.
constexpr std::uint32_t BeforeSession(std::uint32_t id_bits) { return (id_bits | kSessions) & ~1u; }

/// The size of the shortest full JID.
inline constexpr std::size_t kShortestFullJid = std::string_view("a@b/c").size();
/// More bytes of addresses than any audience has: a roster comes in one message of protobuf.
inline constexpr std::uint64_t kMostAudienceBytes = std::uint64_t{1} << 31;

// The pieces into which the fan-out to one audience is split fit into its range.
static_assert(kMostAudienceBytes / sharding::kFanoutBytes + 1 < kRange);
static_assert(RangeOf(Audience::kDirected) + kRange <= kAddresses);
// So do the places of one record's recipients, as far as numbers are given by them: to occupants of rooms,
// who have full JIDs.
static_assert(sharding::kFanoutBytes / kShortestFullJid + 1 < kRange);
// A number of what may be refused does not reach into another range.
static_assert(OfAddress(~0u) < kRefusals && BeforeRefusal(kRefusals - 1) < kErrors);

}  // namespace rookery::session_manager::part_numbers
