#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace rookery {

/// `size` bytes from the operating system's CSPRNG. Thread-safe.
std::string RandomBytes(std::size_t size);
/// Unguessable text of `bytes` random bytes, base64url without padding.
std::string RandomToken(std::size_t bytes);
/// Cheap and unpredictable enough for trace ids; not for secrets. Thread-safe.
std::uint64_t RandomU64();

/// From now on everything above follows from `seed`, the same on every run, until it is called
/// with nothing. Process-wide; before there are other threads.
void SeedRandomForTest(std::optional<std::uint64_t> seed);

}  // namespace rookery
