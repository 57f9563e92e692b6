#include "domain/scram_crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "rookery/base/check.h"

namespace rookery::gateway {
namespace {

const EVP_MD* Method(ScramHash hash) { return hash == ScramHash::kSha1 ? EVP_sha1() : EVP_sha256(); }

// As long as the salts that session-managers make.
constexpr std::size_t kSaltBytes = 16;

}  // namespace

std::size_t DigestSize(ScramHash hash) { return hash == ScramHash::kSha1 ? 20 : 32; }

std::string Hmac(ScramHash hash, std::string_view key, std::string_view data) {
  std::string out(DigestSize(hash), '\0');
  unsigned int size = 0;
  ROOKERY_CHECK(HMAC(Method(hash), key.data(), static_cast<int>(key.size()),
                     reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                     reinterpret_cast<unsigned char*>(out.data()), &size) != nullptr);
  return out;
}

std::string Digest(ScramHash hash, std::string_view data) {
  std::string out(DigestSize(hash), '\0');
  unsigned int size = 0;
  ROOKERY_CHECK(EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(out.data()), &size,
                           Method(hash), nullptr) == 1);
  return out;
}

bool EqualSecret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

ScramKey FakeScramKey(ScramHash hash, std::string_view secret, std::string_view user,
                      std::uint32_t iterations) {
  const std::string seed =
      std::string(hash == ScramHash::kSha1 ? "SCRAM-SHA-1" : "SCRAM-SHA-256").append(1, '\0').append(user);
  ScramKey key;
  key.hash = hash;
  key.iterations = iterations;
  key.salt = Hmac(ScramHash::kSha256, secret, seed + std::string("\0salt", 5)).substr(0, kSaltBytes);
  // StoredKey is H(ClientKey): to open a random one is to invert H.
  key.stored_key = Hmac(hash, secret, seed + std::string("\0stored", 7));
  key.server_key = Hmac(hash, secret, seed + std::string("\0server", 7));
  return key;
}

ScramKey MakeScramKey(ScramHash hash, std::string_view password, std::string_view salt,
                      std::uint32_t iterations) {
  std::string salted(DigestSize(hash), '\0');
  ROOKERY_CHECK(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                                  reinterpret_cast<const unsigned char*>(salt.data()),
                                  static_cast<int>(salt.size()), static_cast<int>(iterations), Method(hash),
                                  static_cast<int>(salted.size()),
                                  reinterpret_cast<unsigned char*>(salted.data())) == 1);
  ScramKey key;
  key.hash = hash;
  key.salt = salt;
  key.iterations = iterations;
  key.stored_key = Digest(hash, Hmac(hash, salted, "Client Key"));
  key.server_key = Hmac(hash, salted, "Server Key");
  return key;
}

bool VerifyPassword(const ScramKey& key, std::string_view password) {
  return EqualSecret(MakeScramKey(key.hash, password, key.salt, key.iterations).stored_key, key.stored_key);
}

}  // namespace rookery::gateway
