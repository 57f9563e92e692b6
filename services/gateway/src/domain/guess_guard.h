#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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
/// further tries are refused for a while. A try counts on all gateways before the password is looked at, and
/// is given back when it was no failure; while the ledger is away each gateway counts its own. Those of an
/// account from a network that it has signed in from before have a limit of their own, so that a stranger
/// elsewhere locks nobody out. Whether the account exists makes no difference. I/O thread only.
class GuessGuard {
 public:
  GuessGuard(const Clock& clock, GuessLimits limits, SignInLedger& ledger);

  /// One try at signing in, from before its credentials are looked at to its outcome. Ended without one, it
  /// has told nothing and counts for nothing.
  class Try {
   public:
    /// `known`: let through since the account of that generation is known in the network. `is_taken`: the
    /// ledger counts it, with the account or, if `known`, with the account in that network.
    Try(GuessGuard& guard, std::string_view user, std::string_view network,
        std::optional<std::uint64_t> known, bool is_taken);
    ~Try();
    Try(const Try&) = delete;
    Try& operator=(const Try&) = delete;
    void Failed();
    /// Whether the account of that generation may be tried. One that had its name before was known, perhaps.
    bool IsFor(std::uint64_t generation) const { return !known_ || *known_ == generation; }
    /// As the account of that generation.
    void Succeeded(std::uint64_t generation);

   private:
    void Count(SignInLedger::Subject subject, FailureCounts& counts, const std::string& name);

    GuessGuard& guard_;
    const std::string user_;
    const std::string network_;
    /// Empty unless it counts against the network's own limit for the account.
    const std::string pair_;
    const std::optional<std::uint64_t> known_;
    const bool is_taken_;
    bool has_failed_ = false;
  };
  /// `done` is called, perhaps at once: with the try, or with null where it is refused. Both must not outlive
  /// the guard.
  using Done = std::function<void(std::unique_ptr<Try>)>;
  void Ask(std::string_view user, std::string_view network, Done done);

 private:
  bool IsSuspect(std::string_view user, std::string_view network) const;
  std::uint32_t UnderWay(std::string_view name) const;
  bool IsSuspectWhereKnown(const std::string& pair) const;
  void AskWhereKnown(const std::string& user, const std::string& network, Done done);
  void TakeWhereKnown(std::string user, std::string network, std::uint64_t known, Done done);
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
