#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "rookery/base/scram.h"

namespace rookery::gateway {

/// How many iterations an account that does not exist has: one of the counts that accounts here may have, the
/// same for the same name at every try and on every gateway. Where `earlier` gets one more, most names keep
/// what they have, as most users keep their passwords.
std::uint32_t FakeIterations(std::string_view secret, std::string_view user, std::uint32_t current,
                             const std::vector<std::uint32_t>& earlier);

/// Returns what a -PLUS or plain exchange must show for an account that does not exist: the same salt for the
/// same name at every try and on every gateway, and keys that no password opens. With another number of
/// iterations there is another salt, as after a change of the password. `secret` is the cluster's
/// `sasl.fake-salt-key`.
ScramKey FakeScramKey(ScramHash hash, std::string_view secret, std::string_view user,
                      std::uint32_t iterations);

/// Whether `password` (prepared) opens `key`. Burns milliseconds: never on the I/O thread.
bool VerifyPassword(const ScramKey& key, std::string_view password);

}  // namespace rookery::gateway
