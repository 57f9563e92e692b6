#pragma once

#include <array>
#include <cstring>
#include <string>
#include <string_view>

namespace rookery::session_manager {

/// 16 random bytes that name a session all over the cluster, made by the gateway.
class SessionId {
 public:
  static constexpr std::size_t kSize = 16;
  SessionId() = default;
  /// Bytes beyond 16 are cut, missing ones are zero: such an id matches no session.
  explicit SessionId(std::string_view bytes) {
    if (bytes.size() == kSize) std::memcpy(bytes_.data(), bytes.data(), kSize);
  }
  std::string_view view() const { return {bytes_.data(), kSize}; }
  std::string str() const { return std::string(view()); }
  friend auto operator<=>(const SessionId&, const SessionId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SessionId& id) {
    return H::combine_contiguous(std::move(h), id.bytes_.data(), kSize);
  }

 private:
  std::array<char, kSize> bytes_{};
};

}  // namespace rookery::session_manager
