#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "domain/scram_key.h"

namespace rookery::gateway {

std::size_t DigestSize(ScramHash hash);
std::string Hmac(ScramHash hash, std::string_view key, std::string_view data);
std::string Digest(ScramHash hash, std::string_view data);
/// In time that depends on the sizes alone.
bool EqualSecret(std::string_view a, std::string_view b);

/// What a -PLUS or plain exchange must show for an account that does not exist: the
/// same salt for the same name at every try and on every gateway, and keys that no
/// password opens. `secret` is the cluster's `sasl.fake-salt-key`.
ScramKey FakeScramKey(ScramHash hash, std::string_view secret, std::string_view user,
                      std::uint32_t iterations);

/// Whether `password` (prepared) opens `key`. Burns milliseconds: never on the I/O thread.
bool VerifyPassword(const ScramKey& key, std::string_view password);
/// RFC 5802 section 3.
ScramKey MakeScramKey(ScramHash hash, std::string_view password, std::string_view salt,
                      std::uint32_t iterations);

}  // namespace rookery::gateway
