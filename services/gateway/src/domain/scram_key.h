#pragma once

#include <cstdint>
#include <string>

namespace rookery::gateway {

enum class ScramHash : std::uint8_t { kSha1, kSha256 };

/// RFC 5802 section 3: what a server keeps instead of a password.
struct ScramKey {
  ScramHash hash = ScramHash::kSha256;
  std::string salt;
  std::uint32_t iterations = 0;
  std::string stored_key;
  std::string server_key;
};

}  // namespace rookery::gateway
