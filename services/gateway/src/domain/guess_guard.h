#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "domain/failure_counts.h"
#include "ports/sign_in_ledger.h"
#include "rookery/base/clock.h"

namespace rookery::gateway {

struct GuessLimits {
  /// For so long a failure counts.
  std::chrono::milliseconds window{600'000};
  /// Failures of one account in a window; 0: no limit.
  std::uint32_t per_account = 10;
  /// Of one network.
  std::uint32_t per_network = 100;
  /// Of one account from a network that it has signed in from before: many people may share it.
  std::uint32_t where_known = 100;
};

/// Makes guessing passwords slow: when an account or a network has failed too often, on whatever gateway,
/// further tries are refused for a while. Those of an account from a network that it has signed in from
/// before have a limit of their own, so that a stranger elsewhere locks nobody out. Whether the account
/// exists makes no difference. I/O thread only.
class GuessGuard {
 public:
  GuessGuard(const Clock& clock, GuessLimits limits, SignInLedger& ledger);

  /// One try at signing in, from before its credentials are looked at to its outcome. Ended without one, it
  /// has told nothing and counts for nothing.
  class Try {
   public:
    /// `is_suspect`: let through since the account is known in the network.
    Try(GuessGuard& guard, std::string_view user, std::string_view network, bool is_suspect);
    ~Try();
    Try(const Try&) = delete;
    Try& operator=(const Try&) = delete;
    void Failed();
    void Succeeded();

   private:
    GuessGuard& guard_;
    const std::string user_;
    const std::string network_;
    /// Empty unless it counts against the network's own limit for the account.
    const std::string pair_;
  };
  /// `done` is called, perhaps at once: with the try, or with null where it is refused. Both must not outlive
  /// the guard.
  void Ask(std::string_view user, std::string_view network, std::function<void(std::unique_ptr<Try>)> done);

 private:
  bool IsSuspect(std::string_view user, std::string_view network) const;
  std::uint32_t UnderWay(std::string_view name) const;
  std::unique_ptr<Try> GrantWhereKnown(std::string_view user, std::string_view network);
  void CountFailure(SignInLedger::Subject subject, FailureCounts& counts, const std::string& name);

  const Clock& clock_;
  const GuessLimits limits_;
  SignInLedger& ledger_;
  FailureCounts of_accounts_;
  FailureCounts of_networks_;
  FailureCounts of_pairs_;
  /// By account, and by account and network. Guesses at once count before any of them has failed.
  std::map<std::string, std::uint32_t, std::less<>> under_way_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace rookery::gateway
