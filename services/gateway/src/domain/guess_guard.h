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
#include "domain/lifetime.h"
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
/// further tries are refused for a while. A try counts for both, on all gateways, before its proof is
/// looked at, and is given back when it was no failure; while the ledger is away each gateway counts its own.
/// Those of an account from a network that it has signed in from before have a limit of their own, so that no
/// stranger, there or elsewhere, locks its owner out. Where this gateway has seen that itself, one try at
/// a time is let through without the ledger until one fails: most sign-ins are such, and cost it nothing.
/// Whether the account exists makes no difference, nor, to whoever fails, whether it is known there.
/// I/O thread only.
class GuessGuard {
 public:
  GuessGuard(const Clock& clock, GuessLimits limits, SignInLedger& ledger);

  /// One of the guesses at an account, or from a network, that may fail in a window: held by a try until it
  /// is known whether it does.
  class Place;
  using Places = std::vector<std::shared_ptr<Place>>;

  /// One try at signing in, from before its proof is looked at to its outcome. Ended without one, it
  /// has told nothing and counts for nothing.
  class Try {
   public:
    /// Why it was let through.
    enum class Leave : std::uint8_t { kAsStranger, kWhereKnown, kWhereRemembered };

    Try(GuessGuard& guard, std::string user, std::uint64_t generation, std::string network, Leave leave,
        Places places);
    Try(const Try&) = delete;
    Try& operator=(const Try&) = delete;
    /// `done` is called, perhaps at once: with whether a stranger would have been refused. Then whoever tries
    /// must be told the same.
    using OnFailed = std::function<void(bool is_refused)>;
    void Failed(const OnFailed& done);
    void Succeeded();

   private:
    GuessGuard& guard_;
    const std::string user_;
    const std::uint64_t generation_;
    const std::string network_;
    const Leave leave_;
    const Places places_;
  };
  /// `done` is called, perhaps at once: with the try, or with null where it is refused. Both must not outlive
  /// the guard. `generation`: which account of that name it is, since one that had its name before may be
  /// known there.
  using Done = std::function<void(std::unique_ptr<Try>)>;
  void Ask(std::string_view user, std::uint64_t generation, std::string_view network, const Done& done);

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
  std::unique_ptr<Try> LetThroughWhereRemembered(const std::string& user, std::uint64_t generation,
                                                 const std::string& network);
  /// `done` is called, perhaps at once: with null where there is no place left.
  void TakePlace(Subject subject, const std::string& name, std::function<void(std::shared_ptr<Place>)> done);
  /// One of the account and one of the network, or none.
  void TakeStrangersPlaces(const std::string& user, const std::string& network,
                           const std::function<void(Places)>& done);
  void AskWhereKnown(const std::string& user, std::uint64_t generation, const std::string& network,
                     const Done& done);
  void CountFailure(Subject subject, const std::string& name);
  void CountFailureOfStranger(const std::string& user, const std::string& network);

  const Clock& clock_;
  const GuessLimits limits_;
  SignInLedger& ledger_;
  std::array<Counts, 3> counts_;  // by Subject
  const Lifetime lifetime_;
};

}  // namespace rookery::gateway
