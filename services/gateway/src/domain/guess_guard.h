#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "domain/failure_counts.h"
#include "ports/sign_in_ledger.h"
#include "rookery/base/clock.h"

namespace rookery::gateway {

struct GuessLimits {
  /// For so long a failure counts.
  std::chrono::milliseconds window{600'000};
  /// Failures of one account in a window; 0: no limit.
  std::uint32_t per_account = 10;
  /// The same for one network.
  std::uint32_t per_network = 100;
  /// The same for one account from a network that it has signed in from before: many people may share it.
  std::uint32_t where_known = 100;
};

/// Makes guessing passwords slow: when an account or a network has failed too often, on whatever gateway,
/// further tries are refused for a while. A try counts for both, on all gateways, before the password is
/// looked at, and is given back when it was no failure; while the ledger is away each gateway counts its own.
/// Those of an account from a network that it has signed in from before have a limit of their own, so that no
/// stranger, there or elsewhere, locks its owner out. Where this gateway has seen that itself, one try at
/// a time is let through without the ledger until one fails: most sign-ins are such, and cost it nothing.
/// Whether the account exists makes no difference. I/O thread only.
class GuessGuard {
 public:
  GuessGuard(const Clock& clock, GuessLimits limits, SignInLedger& ledger);

  /// One of the guesses at an account, or from a network, that may fail in a window: held by a try until it
  /// is known whether it does.
  class Place;

  /// One try at signing in, from before its credentials are looked at to its outcome. Ended without one, it
  /// has told nothing and counts for nothing.
  class Try {
   public:
    /// `known`: let through since the account of that generation is known in the network.
    Try(GuessGuard& guard, std::string user, std::string network, std::optional<std::uint64_t> known,
        std::vector<std::shared_ptr<Place>> places);
    Try(const Try&) = delete;
    Try& operator=(const Try&) = delete;
    void Failed();
    /// Whether the account of that generation may be tried. One that had its name before was known, perhaps.
    bool IsFor(std::uint64_t generation) const { return !known_ || *known_ == generation; }
    /// As the account of that generation.
    void Succeeded(std::uint64_t generation);

   private:
    GuessGuard& guard_;
    const std::string user_;
    const std::string network_;
    const std::optional<std::uint64_t> known_;
    const std::vector<std::shared_ptr<Place>> places_;
  };
  /// `done` is called, perhaps at once: with the try, or with null where it is refused. Both must not outlive
  /// the guard.
  using Done = std::function<void(std::unique_ptr<Try>)>;
  /// Before anything is known of the account.
  void Ask(std::string_view user, std::string_view network, Done done);
  /// For the account of that generation, which the try that `Ask` let through was not for.
  void AskFor(std::string_view user, std::uint64_t generation, std::string_view network, Done done);

 private:
  using Subject = SignInLedger::Subject;
  /// All that is kept of one kind of subject.
  struct Counts {
    std::uint32_t limit;  // 0: none
    FailureCounts failures;
    /// Guesses at once count before any of them has failed.
    std::map<std::string, std::uint32_t, std::less<>> under_way;
  };

  Counts& Of(Subject subject) { return counts_[static_cast<std::size_t>(subject)]; }
  bool IsFull(Subject subject, const std::string& name);
  /// How many guesses have failed, or may yet.
  std::uint32_t Guesses(Subject subject, const std::string& name);
  /// Null where this gateway has not seen the account sign in from there, or too much has failed since.
  std::unique_ptr<Try> LetThroughWhereRemembered(const std::string& user, const std::string& network);
  void AskAsStranger(const std::string& user, const std::string& network,
                     std::optional<std::uint64_t> generation, const Done& done);
  /// `done` is called, perhaps at once: with null where there is no place left.
  void TakePlace(Subject subject, const std::string& name, std::function<void(std::shared_ptr<Place>)> done);
  /// `generation`: of the account, where it is known.
  void AskWhereKnown(const std::string& user, const std::string& network,
                     std::optional<std::uint64_t> generation, const Done& done);
  void CountFailure(Subject subject, const std::string& name);

  const Clock& clock_;
  const GuessLimits limits_;
  SignInLedger& ledger_;
  std::array<Counts, 3> counts_;  // by Subject
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace rookery::gateway
