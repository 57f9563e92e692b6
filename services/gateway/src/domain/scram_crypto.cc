#include "domain/scram_crypto.h"

#include <string>

namespace rookery::gateway {

ScramKey FakeScramKey(ScramHash hash, std::string_view secret, std::string_view user,
                      std::uint32_t iterations) {
  const std::string seed = std::string(MechanismOf(hash)).append(1, '\0').append(user);
  ScramKey key;
  key.hash = hash;
  key.iterations = iterations;
  key.salt = Hmac(ScramHash::kSha256, secret, seed + std::string("\0salt", 5)).substr(0, kScramSaltBytes);
  // StoredKey is H(ClientKey): to open a random one is to invert H.
  key.stored_key = Hmac(hash, secret, seed + std::string("\0stored", 7));
  key.server_key = Hmac(hash, secret, seed + std::string("\0server", 7));
  return key;
}

bool VerifyPassword(const ScramKey& key, std::string_view password) {
  return EqualSecret(MakeScramKey(key.hash, password, key.salt, key.iterations).stored_key, key.stored_key);
}

}  // namespace rookery::gateway
