#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "rookery/base/random.h"

namespace rookery {

/// The name of a client's session all over the cluster: 16 random bytes, made by its gateway. Other bytes
/// than 16 are no id.
class SessionId {
 public:
  static constexpr std::size_t kBytes = 16;

  static SessionId Random() { return SessionId(RandomBytes(kBytes)); }
  static std::optional<SessionId> FromBytes(std::string_view bytes) {
    if (bytes.size() != kBytes) return std::nullopt;
    return SessionId(bytes);
  }

  /// Names no session.
  SessionId() = default;
  /// To look a session up: bytes that are no id name none.
  explicit SessionId(std::string_view bytes) {
    if (bytes.size() == kBytes) std::memcpy(bytes_.data(), bytes.data(), kBytes);
  }

  /// Valid as long as this.
  std::string_view bytes() const { return {bytes_.data(), kBytes}; }
  std::string str() const { return std::string(bytes()); }

  friend auto operator<=>(const SessionId&, const SessionId&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const SessionId& id) {
    return H::combine_contiguous(std::move(state), id.bytes_.data(), kBytes);
  }

 private:
  std::array<char, kBytes> bytes_{};
};

}  // namespace rookery
