#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "ports/sign_in_ledger.h"
#include "rookery/base/clock.h"
#include "rookery/redis/client.h"
#include "rookery/runtime/task.h"

namespace rookery::gateway {

/// The ledger in Redis. Keys, where names are hashes (16 bytes in hexadecimal):
/// `rookery:sign-in-failures:account:<name>`, `:network:<name>` and `:account-in-network:<name>`, a count
/// that expires with the window, or when all of it has been given back;
/// `rookery:known-networks:<month>:by:<bucket>`, hashes of which generation of an account has signed in from
/// which network (a number for both) in that span of 30 days, kept for one more.
class RedisSignInLedger final : public SignInLedger {
 public:
  RedisSignInLedger(asio::any_io_executor executor, const Clock& clock, redis::Client& redis);

  void Failed(Subject subject, std::string_view name, std::chrono::milliseconds window,
              OnCounted counted) override;
  void Take(Subject subject, std::string_view name, std::chrono::milliseconds window, OnTaken done) override;
  void GiveBack(Subject subject, std::string_view name) override;
  void Succeeded(std::string_view user, std::uint64_t generation, std::string_view network) override;
  std::optional<std::uint64_t> Remembered(std::string_view user, std::string_view network) override;
  void Find(std::string_view user, std::string_view network, OnFound done) override;

 private:
  Task<void> Count(std::string key, std::chrono::milliseconds window, OnCounted counted);
  Task<void> TakeOne(std::string key, std::chrono::milliseconds window, OnTaken done);
  Task<void> GiveOneBack(std::string key);
  Task<void> Remember(std::int64_t pair, std::uint64_t generation);
  Task<void> Ask(std::int64_t pair, OnFound done);
  std::optional<std::uint64_t> Written(std::int64_t pair);
  std::int64_t Month() const;
  /// Forgets what has been written when the month is over.
  void NoteMonth();

  const Clock& clock_;
  redis::Client& redis_;
  /// Nobody waits for Redis before then: it has not answered.
  SteadyTime away_until_ = SteadyTime::min();
  /// The present month, and its entries that Redis has from us already.
  std::int64_t month_ = 0;
  absl::flat_hash_map<std::int64_t, std::uint64_t> written_;
  std::deque<std::int64_t> oldest_first_;
  // Last: its coroutines use everything above.
  runtime::TaskGroup tasks_;
};

}  // namespace rookery::gateway
