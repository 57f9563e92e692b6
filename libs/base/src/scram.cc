#include "rookery/base/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "rookery/base/check.h"

namespace rookery {
namespace {

const EVP_MD* Method(ScramHash hash) { return hash == ScramHash::kSha1 ? EVP_sha1() : EVP_sha256(); }

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

std::string_view MechanismOf(ScramHash hash) {
  return hash == ScramHash::kSha1 ? "SCRAM-SHA-1" : "SCRAM-SHA-256";
}

std::size_t DigestSize(ScramHash hash) { return hash == ScramHash::kSha1 ? 20 : 32; }

std::string Hmac(ScramHash hash, std::string_view key, std::string_view data) {
  std::string out(DigestSize(hash), '\0');
  unsigned int size = 0;
  ROOKERY_CHECK(HMAC(Method(hash), key.data(), static_cast<int>(key.size()), Bytes(data), data.size(),
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

std::string SaltedPassword(ScramHash hash, std::string_view password, std::string_view salt,
                           std::uint32_t iterations) {
  std::string salted(DigestSize(hash), '\0');
  ROOKERY_CHECK(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), Bytes(salt),
                                  static_cast<int>(salt.size()), static_cast<int>(iterations), Method(hash),
                                  static_cast<int>(salted.size()),
                                  reinterpret_cast<unsigned char*>(salted.data())) == 1);
  return salted;
}

ScramKey MakeScramKey(ScramHash hash, std::string_view password, std::string_view salt,
                      std::uint32_t iterations) {
  const std::string salted = SaltedPassword(hash, password, salt, iterations);
  ScramKey key;
  key.hash = hash;
  key.salt = salt;
  key.iterations = iterations;
  key.stored_key = Digest(hash, Hmac(hash, salted, "Client Key"));
  key.server_key = Hmac(hash, salted, "Server Key");
  return key;
}

}  // namespace rookery
