#include "domain/accounts/credentials_version.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace rookery::session_manager {

std::uint64_t VersionOf(const AccountStore::Keys& keys) {
  if (keys.empty()) return 0;
  std::string text;
  for (const session::v1::ScramKey& key : keys) text.append(key.salt()).append(key.stored_key());
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::uint64_t version = 0;
  std::memcpy(&version, digest.data(), sizeof version);
  return std::max<std::uint64_t>(version, 1);
}

}  // namespace rookery::session_manager
