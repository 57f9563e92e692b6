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

GuessGuard::Try::Try(GuessGuard& guard, std::string_view user, std::string_view network, bool is_suspect)
    : guard_(guard),
      user_(user),
      network_(network),
      pair_(is_suspect ? PairOf(user, network) : std::string()) {
  ++guard_.under_way_[user_];
  if (!pair_.empty()) ++guard_.under_way_[pair_];
}

GuessGuard::Try::~Try() {
  for (const std::string* name : {&user_, &pair_}) {
    if (name->empty()) continue;
    const auto found = guard_.under_way_.find(*name);
    if (--found->second == 0) guard_.under_way_.erase(found);
  }
}

void GuessGuard::Try::Failed() {
  guard_.CountFailure(SignInLedger::Subject::kAccount, guard_.of_accounts_, user_);
  guard_.CountFailure(SignInLedger::Subject::kNetwork, guard_.of_networks_, network_);
  if (!pair_.empty()) guard_.CountFailure(SignInLedger::Subject::kAccountInNetwork, guard_.of_pairs_, pair_);
}

void GuessGuard::Try::Succeeded() { guard_.ledger_.Succeeded(user_, network_); }

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

void GuessGuard::Ask(std::string_view user, std::string_view network,
                     std::function<void(std::unique_ptr<Try>)> done) {
  if (!IsSuspect(user, network)) return done(std::make_unique<Try>(*this, user, network, false));
  ledger_.IsKnown(user, network,
                  [this, alive = std::weak_ptr<bool>(alive_), name = std::string(user),
                   from = std::string(network), done = std::move(done)](bool is_known) {
                    if (alive.expired()) return;
                    done(is_known ? GrantWhereKnown(name, from) : nullptr);
                  });
}

std::unique_ptr<GuessGuard::Try> GuessGuard::GrantWhereKnown(std::string_view user,
                                                             std::string_view network) {
  const std::string pair = PairOf(user, network);
  const std::uint32_t guesses = of_pairs_.Of(pair, clock_.Now()) + UnderWay(pair);
  if (limits_.where_known > 0 && guesses >= limits_.where_known) return nullptr;
  return std::make_unique<Try>(*this, user, network, true);
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
