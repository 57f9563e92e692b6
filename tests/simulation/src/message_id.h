#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace rookery::simulation {

// The ids of the messages that simulated clients send: so long that nothing else in a record looks
// like one.
inline constexpr std::string_view kIdPrefix = "sim-message-";
inline constexpr std::size_t kIdDigits = 9;

inline std::string IdText(std::uint64_t id) {
  char text[32];
  std::snprintf(text, sizeof text, "%09llu", static_cast<unsigned long long>(id));
  return std::string(kIdPrefix) + text;
}

/// 0: not one of ours.
inline std::uint64_t ParseId(std::string_view text) {
  if (text.size() != kIdPrefix.size() + kIdDigits || text.substr(0, kIdPrefix.size()) != kIdPrefix) return 0;
  return std::strtoull(std::string(text.substr(kIdPrefix.size())).c_str(), nullptr, 10);
}

// And of what they send to rooms, numbered from a million.
inline constexpr std::string_view kRoomIdPrefix = "in-room-";

inline std::string RoomIdText(std::uint64_t id) { return std::string(kRoomIdPrefix) + std::to_string(id); }

/// 0: not one of ours.
inline std::uint64_t ParseRoomId(std::string_view text) {
  if (text.substr(0, kRoomIdPrefix.size()) != kRoomIdPrefix) return 0;
  return std::strtoull(std::string(text.substr(kRoomIdPrefix.size())).c_str(), nullptr, 10);
}

// And of what they ask of rosters, numbered from two million.
inline constexpr std::string_view kRosterIdPrefix = "in-roster-";

inline std::string RosterIdText(std::uint64_t id) {
  return std::string(kRosterIdPrefix) + std::to_string(id);
}

/// 0: not one of ours.
inline std::uint64_t ParseRosterId(std::string_view text) {
  if (text.substr(0, kRosterIdPrefix.size()) != kRosterIdPrefix) return 0;
  return std::strtoull(std::string(text.substr(kRosterIdPrefix.size())).c_str(), nullptr, 10);
}

/// Parses an id of any of these kinds.
inline std::uint64_t ParseAnyId(std::string_view text) {
  const std::uint64_t id = ParseId(text);
  if (id != 0) return id;
  const std::uint64_t in_room = ParseRoomId(text);
  return in_room != 0 ? in_room : ParseRosterId(text);
}

}  // namespace rookery::simulation
