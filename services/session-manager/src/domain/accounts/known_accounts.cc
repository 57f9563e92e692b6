#include "domain/accounts/known_accounts.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "domain/addresses.h"
#include "domain/state/shards.h"
#include "rookery/base/sha256.h"

namespace rookery::session_manager {
namespace {

// Longer than a statement takes that was on its way when the shard became ours, or the account changed.
constexpr std::chrono::seconds kTrust{30};

}  // namespace

KnownAccounts::Name KnownAccounts::NameOf(const std::string& user) {
  const Sha256Digest digest = Sha256(user);
  Name name;
  std::memcpy(name.data(), digest.data(), sizeof name);
  return name;
}

std::int64_t KnownAccounts::EpochOf(const std::string& user) const {
  const Shard* const shard = shards_.Find(addresses_.ShardOf(user));
  return shard != nullptr && shard->live() ? shard->epoch : -1;
}

void KnownAccounts::Learn(const std::string& user, std::int64_t epoch, const Standing& standing) {
  // Asked under one epoch and answered under another, it may have changed in between.
  if (epoch < 0 || epoch != EpochOf(user)) return;
  const SteadyTime now = clock_.Now();
  known_.Expire(now - kTrust);
  const Name name = NameOf(user);
  if (const Known* before = known_.Find(name); before != nullptr && before->standing.generation == 0) return;
  known_.Put(name, {epoch, standing}, now);
}

void KnownAccounts::Distrust(const std::string& user) { known_.Put(NameOf(user), {-1, {}}, clock_.Now()); }

std::optional<Standing> KnownAccounts::KnownStanding(const std::string& user) {
  known_.Expire(clock_.Now() - kTrust);
  const Known* const known = known_.Find(NameOf(user));
  if (known == nullptr || known->standing.generation == 0 || known->epoch != EpochOf(user))
    return std::nullopt;
  return known->standing;
}

Task<absl::StatusOr<Standing>> KnownAccounts::StandingNow(std::string user) {
  if (const auto known = KnownStanding(user)) co_return *known;
  const auto account = co_await Find(std::move(user));
  if (!account.ok()) co_return account.status();
  co_return StandingOf(*account);
}

Task<absl::StatusOr<AccountStore::Account>> KnownAccounts::Find(std::string user) {
  const std::int64_t epoch = EpochOf(user);
  auto account = co_await store_.Find(user);
  if (account.ok() && account->exists()) Learn(user, epoch, StandingOf(*account));
  co_return account;
}

Task<absl::Status> KnownAccounts::SetKeys(std::string user, Account before, Keys keys) {
  Distrust(user);
  const absl::Status stored = co_await store_.SetKeys(user, std::move(before), std::move(keys));
  Distrust(user);
  co_return stored;
}

Task<absl::Status> KnownAccounts::Remove(std::string user, std::uint64_t generation) {
  Distrust(user);
  const absl::Status removed = co_await store_.Remove(user, generation);
  Distrust(user);
  co_return removed;
}

}  // namespace rookery::session_manager
