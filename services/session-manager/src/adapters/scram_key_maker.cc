#include "adapters/scram_key_maker.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <boost/asio/post.hpp>

#include "rookery/base/check.h"
#include "rookery/base/random.h"
#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

namespace {

constexpr std::size_t kSaltBytes = 16;

std::string Hmac(const EVP_MD* hash, std::string_view key, std::string_view data) {
  std::string out(static_cast<std::size_t>(EVP_MD_size(hash)), '\0');
  unsigned size = 0;
  ROOKERY_CHECK(HMAC(hash, key.data(), static_cast<int>(key.size()),
                     reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                     reinterpret_cast<unsigned char*>(out.data()), &size) != nullptr);
  return out;
}

session::v1::ScramKey DeriveOne(std::string_view mechanism, const EVP_MD* hash, std::string_view password,
                                std::uint32_t iterations) {
  const auto size = static_cast<std::size_t>(EVP_MD_size(hash));
  const std::string salt = RandomBytes(kSaltBytes);
  std::string salted(size, '\0');
  ROOKERY_CHECK(PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                                  reinterpret_cast<const unsigned char*>(salt.data()),
                                  static_cast<int>(salt.size()), static_cast<int>(iterations), hash,
                                  static_cast<int>(size),
                                  reinterpret_cast<unsigned char*>(salted.data())) == 1);
  const std::string client_key = Hmac(hash, salted, "Client Key");
  std::string stored(size, '\0');
  unsigned stored_size = 0;
  ROOKERY_CHECK(EVP_Digest(client_key.data(), client_key.size(),
                           reinterpret_cast<unsigned char*>(stored.data()), &stored_size, hash,
                           nullptr) == 1);
  session::v1::ScramKey key;
  key.set_mechanism(std::string(mechanism));
  key.set_salt(salt);
  key.set_iterations(iterations);
  key.set_stored_key(stored);
  key.set_server_key(Hmac(hash, salted, "Server Key"));
  return key;
}

}  // namespace

Task<absl::StatusOr<AccountStore::Keys>> ScramKeyMaker::Derive(std::string password) {
  auto prepared = xmpp::PreparePassword(password);
  if (!prepared.ok()) co_return prepared.status();
  runtime::Promise<AccountStore::Keys> done(executor_);
  asio::post(pool_, [done, text = *std::move(prepared), iterations = iterations_]() mutable {
    AccountStore::Keys keys;
    keys.push_back(DeriveOne("SCRAM-SHA-256", EVP_sha256(), text, iterations));
    keys.push_back(DeriveOne("SCRAM-SHA-1", EVP_sha1(), text, iterations));
    done.Set(std::move(keys));
  });
  AccountStore::Keys keys = co_await done.Get();
  co_return keys;
}

}  // namespace rookery::session_manager
