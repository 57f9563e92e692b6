#include "domain/accounts/credentials_version.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "rookery/base/sha256.h"

namespace rookery::session_manager {

std::uint64_t VersionOf(const AccountStore::Keys& keys) {
  if (keys.empty()) return 0;
  std::string text;
  for (const session::v1::ScramKey& key : keys) text.append(key.salt()).append(key.stored_key());
  const Sha256Digest digest = Sha256(text);
  std::uint64_t version = 0;
  std::memcpy(&version, digest.data(), sizeof version);
  return std::max<std::uint64_t>(version, 1);
}

Access AccessOf(const Standing& claim, const Standing& now) {
  if (now.generation == 0) return Access::kOtherAccount;
  if (claim.generation != 0 && claim.generation != now.generation) return Access::kOtherAccount;
  if (claim.version != 0 && claim.version != now.version) return Access::kOtherCredentials;
  return Access::kHolds;
}

}  // namespace rookery::session_manager
