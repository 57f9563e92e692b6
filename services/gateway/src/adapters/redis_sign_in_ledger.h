#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "ports/sign_in_ledger.h"
#include "rookery/base/clock.h"
#include "rookery/redis/client.h"
#include "rookery/runtime/task.h"

namespace rookery::gateway {

/// The ledger in Redis. Keys, where names are hashes (16 bytes in hexadecimal):
/// `rookery:sign-in-failures:account:<name>` and `:network:<name>`, a count that expires with the
/// window; `rookery:known-networks:<month>:<bucket>`, sets of what hashes of user and network have
/// signed in in that span of 30 days, kept for one more.
class RedisSignInLedger final : public SignInLedger {
 public:
  RedisSignInLedger(asio::any_io_executor executor, const Clock& clock, redis::Client& redis);

  void Failed(Subject subject, std::string_view name, std::chrono::milliseconds window,
              OnCounted counted) override;
  void Succeeded(std::string_view user, std::string_view network) override;
  void IsKnown(std::string_view user, std::string_view network, std::function<void(bool)> done) override;

 private:
  Task<void> Count(std::string key, std::chrono::milliseconds window, OnCounted counted);
  Task<void> Remember(std::string key, std::string member, std::int64_t pair);
  Task<void> Find(std::string now, std::string before, std::string member, std::function<void(bool)> done);
  std::int64_t Month() const;
  /// Forgets what has been written when the month is over.
  void NoteMonth();

  const Clock& clock_;
  redis::Client& redis_;
  /// What Redis has from us already, of this month.
  std::int64_t month_ = 0;
  absl::flat_hash_set<std::int64_t> written_;
  std::deque<std::int64_t> oldest_first_;
  // Last: its coroutines use everything above.
  runtime::TaskGroup tasks_;
};

}  // namespace rookery::gateway
