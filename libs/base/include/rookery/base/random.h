#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace rookery {

/// `size` bytes from the operating system's CSPRNG. Thread-safe.
std::string RandomBytes(std::size_t size);
/// Unguessable text of `bytes` random bytes, base64url without padding.
std::string RandomToken(std::size_t bytes);
/// Cheap and unpredictable enough for trace ids; not for secrets. Thread-safe.
std::uint64_t RandomU64();

}  // namespace rookery
