#include "domain/scram_crypto.h"

#include <string>
#include <utility>

namespace rookery::gateway {

std::uint32_t FakeIterations(std::string_view secret, std::string_view user, std::uint32_t current,
                             const std::vector<std::uint32_t>& earlier) {
  // Each count draws a lot for the name, and the highest wins.
  const auto lot = [&](std::size_t index) {
    const std::string seed = std::string("iterations\0", 11) + std::to_string(index);
    return Hmac(ScramHash::kSha256, secret, std::string(seed).append(1, '\0').append(user));
  };
  std::uint32_t chosen = current;
  std::string highest = earlier.empty() ? std::string() : lot(0);
  for (std::size_t i = 0; i < earlier.size(); ++i) {
    std::string drawn = lot(i + 1);
    if (drawn <= highest) continue;
    highest = std::move(drawn);
    chosen = earlier[i];
  }
  return chosen;
}

ScramKey FakeScramKey(ScramHash hash, std::string_view secret, std::string_view user,
                      std::uint32_t iterations) {
  const std::string seed = std::string(MechanismOf(hash)).append(1, '\0').append(user);
  ScramKey key;
  key.hash = hash;
  key.iterations = iterations;
  key.salt = Hmac(ScramHash::kSha256, secret, seed + std::string("\0salt", 5) + std::to_string(iterations))
                 .substr(0, kScramSaltBytes);
  // StoredKey is H(ClientKey): to open a random one is to invert H.
  key.stored_key = Hmac(hash, secret, seed + std::string("\0stored", 7));
  key.server_key = Hmac(hash, secret, seed + std::string("\0server", 7));
  return key;
}

bool VerifyPassword(const ScramKey& key, std::string_view password) {
  return EqualSecret(MakeScramKey(key.hash, password, key.salt, key.iterations).stored_key, key.stored_key);
}

}  // namespace rookery::gateway
