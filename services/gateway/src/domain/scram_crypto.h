#pragma once

#include <cstdint>
#include <string_view>

#include "rookery/base/scram.h"

namespace rookery::gateway {

/// What a -PLUS or plain exchange must show for an account that does not exist: the
/// same salt for the same name at every try and on every gateway, and keys that no
/// password opens. `secret` is the cluster's `sasl.fake-salt-key`.
ScramKey FakeScramKey(ScramHash hash, std::string_view secret, std::string_view user,
                      std::uint32_t iterations);

/// Whether `password` (prepared) opens `key`. Burns milliseconds: never on the I/O thread.
bool VerifyPassword(const ScramKey& key, std::string_view password);

}  // namespace rookery::gateway
