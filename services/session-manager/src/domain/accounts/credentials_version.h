#pragma once

#include <cstdint>

#include "ports/account_store.h"

namespace rookery::session_manager {

/// Tells the credentials of an account apart from those that it had before, and from those of an account that
/// had its name before: each set of keys has salts of its own. 0: there are no keys.
std::uint64_t VersionOf(const AccountStore::Keys& keys);

/// What lets somebody in: the account of the name, and the version of its credentials.
struct Standing {
  /// 0: there is no account; of a claim: not known.
  std::uint64_t generation = 0;
  /// 0: there are no keys; of a claim: not known.
  std::uint64_t version = 0;
  bool operator==(const Standing&) const = default;
};

inline Standing StandingOf(const AccountStore::Account& account) {
  return {account.generation, VersionOf(account.keys)};
}

/// Whether `claim` still lets in those whom it has let in.
enum class Access { kHolds, kOtherCredentials, kOtherAccount };
/// `now`: what the account is.
Access AccessOf(const Standing& claim, const Standing& now);

}  // namespace rookery::session_manager
