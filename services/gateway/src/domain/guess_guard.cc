#include "domain/guess_guard.h"

#include <utility>

namespace rookery::gateway {
namespace {

// Of each kind: 100 bytes each.
constexpr std::size_t kMaxNames = 100'000;

}  // namespace

GuessGuard::GuessGuard(const Clock& clock, GuessLimits limits, SignInLedger& ledger)
    : clock_(clock),
      limits_(limits),
      ledger_(ledger),
      of_accounts_(limits.window, kMaxNames),
      of_networks_(limits.window, kMaxNames) {}

GuessGuard::Try::Try(GuessGuard& guard, std::string_view user, std::string_view network)
    : guard_(guard), user_(user), network_(network) {
  ++guard_.under_way_[user_];
}

GuessGuard::Try::~Try() {
  const auto found = guard_.under_way_.find(user_);
  if (--found->second == 0) guard_.under_way_.erase(found);
}

void GuessGuard::Try::Failed() {
  guard_.CountFailure(SignInLedger::Subject::kAccount, guard_.of_accounts_, user_);
  guard_.CountFailure(SignInLedger::Subject::kNetwork, guard_.of_networks_, network_);
}

void GuessGuard::Try::Succeeded() { guard_.ledger_.Succeeded(user_, network_); }

bool GuessGuard::IsSuspect(std::string_view user, std::string_view network) const {
  const SteadyTime now = clock_.Now();
  if (limits_.per_account > 0) {
    const auto found = under_way_.find(user);
    const std::uint32_t under_way = found == under_way_.end() ? 0 : found->second;
    if (of_accounts_.Of(user, now) + under_way >= limits_.per_account) return true;
  }
  return limits_.per_network > 0 && of_networks_.Of(network, now) >= limits_.per_network;
}

void GuessGuard::Ask(std::string_view user, std::string_view network,
                     std::function<void(std::unique_ptr<Try>)> done) {
  if (!IsSuspect(user, network)) return done(std::make_unique<Try>(*this, user, network));
  ledger_.IsKnown(user, network,
                  [this, alive = std::weak_ptr<bool>(alive_), name = std::string(user),
                   from = std::string(network), done = std::move(done)](bool is_known) {
                    if (alive.expired()) return;
                    done(is_known ? std::make_unique<Try>(*this, name, from) : nullptr);
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
