#include "adapters/pool_password_checker.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "domain/scram_crypto.h"

namespace rookery::gateway {

bool PoolPasswordChecker::Check(ScramKey key, std::string password, std::function<void(bool matches)> done) {
  if (waiting_ >= max_waiting_) return false;
  ++waiting_;
  asio::post(pool_,
             [this, key = std::move(key), password = std::move(password), done = std::move(done)]() mutable {
               const bool matches = VerifyPassword(key, password);
               asio::post(io_, [this, matches, done = std::move(done)] {
                 --waiting_;
                 done(matches);
               });
             });
  return true;
}

}  // namespace rookery::gateway
