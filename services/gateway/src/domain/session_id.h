#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "rookery/base/random.h"

namespace rookery::gateway {

/// A session's name on the links: 16 random bytes.
struct SessionId {
  static constexpr std::size_t kBytes = 16;

  static SessionId Random() { return *FromBytes(RandomBytes(kBytes)); }
  static std::optional<SessionId> FromBytes(std::string_view bytes) {
    if (bytes.size() != kBytes) return std::nullopt;
    SessionId id;
    std::memcpy(&id.high, bytes.data(), 8);
    std::memcpy(&id.low, bytes.data() + 8, 8);
    return id;
  }
  /// Valid as long as this.
  std::string_view bytes() const { return {reinterpret_cast<const char*>(this), kBytes}; }

  friend bool operator==(const SessionId&, const SessionId&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const SessionId& id) {
    return H::combine(std::move(state), id.high, id.low);
  }

  std::uint64_t high = 0;
  std::uint64_t low = 0;
};
static_assert(sizeof(SessionId) == SessionId::kBytes);

}  // namespace rookery::gateway
