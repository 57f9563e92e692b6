#pragma once

#include <array>
#include <string_view>

namespace rookery {

using Sha256Digest = std::array<unsigned char, 32>;

/// SHA-256 (FIPS 180-4), at the cost of the digest alone: OpenSSL's own one-call functions look the algorithm
/// up by its name each time, which costs ten times as much as the digest of a short text. Any thread.
Sha256Digest Sha256(std::string_view data);

}  // namespace rookery
