#include "domain/guess_guard.h"

#include <utility>

namespace rookery::gateway {
namespace {

// Of each kind: 100 bytes each.
constexpr std::size_t kMaxNames = 100'000;

std::string PairOf(std::string_view user, std::string_view network) {
  std::string pair(user);
  pair.push_back('\0');
  pair.append(network);
  return pair;
}

}  // namespace

GuessGuard::GuessGuard(const Clock& clock, GuessLimits limits, SignInLedger& ledger)
    : clock_(clock),
      limits_(limits),
      ledger_(ledger),
      of_accounts_(limits.window, kMaxNames),
      of_networks_(limits.window, kMaxNames),
      of_pairs_(limits.window, kMaxNames) {}

GuessGuard::Try::Try(GuessGuard& guard, std::string_view user, std::string_view network,
                     std::optional<std::uint64_t> known, bool is_taken)
    : guard_(guard),
      user_(user),
      network_(network),
      pair_(known ? PairOf(user, network) : std::string()),
      known_(known),
      is_taken_(is_taken) {
  ++guard_.under_way_[user_];
  if (!pair_.empty()) ++guard_.under_way_[pair_];
}

GuessGuard::Try::~Try() {
  for (const std::string* name : {&user_, &pair_}) {
    if (name->empty()) continue;
    const auto found = guard_.under_way_.find(*name);
    if (--found->second == 0) guard_.under_way_.erase(found);
  }
  if (!is_taken_ || has_failed_) return;
  if (pair_.empty()) {
    guard_.ledger_.GiveBack(SignInLedger::Subject::kAccount, user_);
  } else {
    guard_.ledger_.GiveBack(SignInLedger::Subject::kAccountInNetwork, pair_);
  }
}

void GuessGuard::Try::Failed() {
  has_failed_ = true;
  Count(SignInLedger::Subject::kAccount, guard_.of_accounts_, user_);
  Count(SignInLedger::Subject::kNetwork, guard_.of_networks_, network_);
  if (!pair_.empty()) Count(SignInLedger::Subject::kAccountInNetwork, guard_.of_pairs_, pair_);
}

void GuessGuard::Try::Count(SignInLedger::Subject subject, FailureCounts& counts, const std::string& name) {
  using Subject = SignInLedger::Subject;
  const Subject taken = pair_.empty() ? Subject::kAccount : Subject::kAccountInNetwork;
  if (is_taken_ && subject == taken) {
    // The ledger has it.
    counts.Add(name, guard_.clock_.Now());
  } else {
    guard_.CountFailure(subject, counts, name);
  }
}

void GuessGuard::Try::Succeeded(std::uint64_t generation) {
  guard_.ledger_.Succeeded(user_, generation, network_);
}

std::uint32_t GuessGuard::UnderWay(std::string_view name) const {
  const auto found = under_way_.find(name);
  return found == under_way_.end() ? 0 : found->second;
}

bool GuessGuard::IsSuspect(std::string_view user, std::string_view network) const {
  const SteadyTime now = clock_.Now();
  if (limits_.per_account > 0 && of_accounts_.Of(user, now) + UnderWay(user) >= limits_.per_account)
    return true;
  return limits_.per_network > 0 && of_networks_.Of(network, now) >= limits_.per_network;
}

bool GuessGuard::IsSuspectWhereKnown(const std::string& pair) const {
  return limits_.where_known > 0 && of_pairs_.Of(pair, clock_.Now()) + UnderWay(pair) >= limits_.where_known;
}

void GuessGuard::Ask(std::string_view user, std::string_view network, Done done) {
  std::string name(user), from(network);
  if (IsSuspect(user, network)) return AskWhereKnown(name, from, std::move(done));
  if (limits_.per_account == 0)
    return done(std::make_unique<Try>(*this, user, network, std::nullopt, /*is_taken=*/false));
  ledger_.Take(SignInLedger::Subject::kAccount, user, limits_.window,
               [this, alive = std::weak_ptr<bool>(alive_), name = std::move(name), from = std::move(from),
                done = std::move(done)](std::optional<std::uint32_t> tries) {
                 if (alive.expired()) return;
                 const bool is_too_many = tries && *tries > limits_.per_account;
                 if (is_too_many) ledger_.GiveBack(SignInLedger::Subject::kAccount, name);
                 // Others may have come while the ledger did not answer.
                 if (is_too_many || (!tries && IsSuspect(name, from))) return AskWhereKnown(name, from, done);
                 done(std::make_unique<Try>(*this, name, from, std::nullopt, tries.has_value()));
               });
}

void GuessGuard::AskWhereKnown(const std::string& user, const std::string& network, Done done) {
  ledger_.Find(user, network,
               [this, alive = std::weak_ptr<bool>(alive_), user, network,
                done = std::move(done)](std::optional<std::uint64_t> known) {
                 if (alive.expired()) return;
                 if (!known) return done(nullptr);
                 TakeWhereKnown(user, network, *known, done);
               });
}

void GuessGuard::TakeWhereKnown(std::string user, std::string network, std::uint64_t known, Done done) {
  const std::string pair = PairOf(user, network);
  if (IsSuspectWhereKnown(pair)) return done(nullptr);
  if (limits_.where_known == 0)
    return done(std::make_unique<Try>(*this, user, network, known, /*is_taken=*/false));
  ledger_.Take(SignInLedger::Subject::kAccountInNetwork, pair, limits_.window,
               [this, alive = std::weak_ptr<bool>(alive_), name = std::move(user), from = std::move(network),
                known, pair, done = std::move(done)](std::optional<std::uint32_t> tries) {
                 if (alive.expired()) return;
                 const bool is_too_many = tries && *tries > limits_.where_known;
                 if (is_too_many) ledger_.GiveBack(SignInLedger::Subject::kAccountInNetwork, pair);
                 if (is_too_many || (!tries && IsSuspectWhereKnown(pair))) return done(nullptr);
                 done(std::make_unique<Try>(*this, name, from, known, tries.has_value()));
               });
}

void GuessGuard::CountFailure(SignInLedger::Subject subject, FailureCounts& counts, const std::string& name) {
  counts.Add(name, clock_.Now());
  ledger_.Failed(subject, name, limits_.window,
                 [this, &counts, name, alive = std::weak_ptr<bool>(alive_)](std::uint32_t failures,
                                                                            std::chrono::milliseconds left) {
                   if (!alive.expired()) counts.Learn(name, failures, left, clock_.Now());
                 });
}

}  // namespace rookery::gateway
