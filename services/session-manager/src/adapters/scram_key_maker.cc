#include "adapters/scram_key_maker.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <string>
#include <utility>

#include "rookery/base/random.h"
#include "rookery/base/scram.h"
#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

namespace {

session::v1::ScramKey MakeOne(ScramHash hash, std::string_view password, std::uint32_t iterations) {
  ScramKey made = MakeScramKey(hash, password, RandomBytes(kScramSaltBytes), iterations);
  session::v1::ScramKey key;
  key.set_mechanism(std::string(MechanismOf(hash)));
  key.set_salt(std::move(made.salt));
  key.set_iterations(made.iterations);
  key.set_stored_key(std::move(made.stored_key));
  key.set_server_key(std::move(made.server_key));
  return key;
}

}  // namespace

Task<absl::StatusOr<AccountStore::Keys>> ScramKeyMaker::Derive(std::string password) {
  auto prepared = xmpp::PreparePassword(password);
  if (!prepared.ok()) co_return prepared.status();
  runtime::Promise<AccountStore::Keys> done(executor_);
  asio::post(pool_, [done, text = *std::move(prepared), iterations = iterations_]() mutable {
    AccountStore::Keys keys;
    keys.push_back(MakeOne(ScramHash::kSha256, text, iterations));
    keys.push_back(MakeOne(ScramHash::kSha1, text, iterations));
    done.Set(std::move(keys));
  });
  AccountStore::Keys keys = co_await done.Get();
  co_return keys;
}

Task<absl::StatusOr<bool>> ScramKeyMaker::Matches(std::string password, AccountStore::Keys keys) {
  auto prepared = xmpp::PreparePassword(password);
  if (!prepared.ok()) co_return prepared.status();
  const auto key = std::find_if(keys.begin(), keys.end(), [](const session::v1::ScramKey& one) {
    return one.mechanism() == MechanismOf(ScramHash::kSha256);
  });
  if (key == keys.end()) co_return false;
  runtime::Promise<bool> done(executor_);
  asio::post(pool_, [done, text = *std::move(prepared), key = *key]() mutable {
    const ScramKey made = MakeScramKey(ScramHash::kSha256, text, key.salt(), key.iterations());
    done.Set(EqualSecret(made.stored_key, key.stored_key()));
  });
  const bool is_same = co_await done.Get();
  co_return is_same;
}

}  // namespace rookery::session_manager
