#pragma once

#include <cstdint>

#include "ports/account_store.h"

namespace rookery::session_manager {

/// Tells the credentials of an account apart from those that it had before, and from those of an account that
/// had its name before: each set of keys has salts of its own. 0: there are no keys.
std::uint64_t VersionOf(const AccountStore::Keys& keys);

}  // namespace rookery::session_manager
