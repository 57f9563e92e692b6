#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rookery {

// The arithmetic of SCRAM (RFC 5802), for those that make keys, check them, or prove a password. Any thread.

enum class ScramHash : std::uint8_t { kSha1, kSha256 };

/// SCRAM-SHA-1 or SCRAM-SHA-256.
std::string_view MechanismOf(ScramHash hash);

/// RFC 5802 section 3: what a server keeps instead of a password.
struct ScramKey {
  ScramHash hash = ScramHash::kSha256;
  std::string salt;
  std::uint32_t iterations = 0;
  std::string stored_key;
  std::string server_key;
};

/// The size of the salts that we make.
inline constexpr std::size_t kScramSaltBytes = 16;

std::size_t DigestSize(ScramHash hash);
std::string Hmac(ScramHash hash, std::string_view key, std::string_view data);
std::string Digest(ScramHash hash, std::string_view data);
/// In time that depends on the sizes alone.
bool EqualSecret(std::string_view a, std::string_view b);

/// The key of `password` (prepared). Burns milliseconds: never on the I/O thread.
ScramKey MakeScramKey(ScramHash hash, std::string_view password, std::string_view salt,
                      std::uint32_t iterations);
/// Returns what all parts of the key follow from; as costly.
std::string SaltedPassword(ScramHash hash, std::string_view password, std::string_view salt,
                           std::uint32_t iterations);

}  // namespace rookery
