#include "domain/accounts/known_accounts.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "domain/accounts/credentials_version.h"
#include "domain/addresses.h"
#include "domain/records/shards.h"
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

void KnownAccounts::Learn(const std::string& user, std::int64_t epoch, std::uint64_t version) {
  // Asked under one epoch and answered under another, it may have changed in between.
  if (epoch < 0 || epoch != EpochOf(user)) return;
  const SteadyTime now = clock_.Now();
  known_.Expire(now - kTrust);
  const Name name = NameOf(user);
  if (const Known* before = known_.Find(name); before != nullptr && before->version == 0) return;
  known_.Put(name, {epoch, version}, now);
}

void KnownAccounts::Distrust(const std::string& user) { known_.Put(NameOf(user), {-1, 0}, clock_.Now()); }

std::optional<std::uint64_t> KnownAccounts::KnownVersion(const std::string& user) {
  known_.Expire(clock_.Now() - kTrust);
  const Known* const known = known_.Find(NameOf(user));
  if (known == nullptr || known->version == 0 || known->epoch != EpochOf(user)) return std::nullopt;
  return known->version;
}

Task<absl::StatusOr<std::uint64_t>> KnownAccounts::Version(std::string user) {
  if (const auto known = KnownVersion(user)) co_return *known;
  const auto keys = co_await GetKeys(std::move(user));
  if (!keys.ok()) co_return keys.status();
  co_return VersionOf(*keys);
}

Task<absl::StatusOr<AccountStore::Keys>> KnownAccounts::GetKeys(std::string user) {
  const std::int64_t epoch = EpochOf(user);
  auto keys = co_await store_.GetKeys(user);
  if (keys.ok() && !keys->empty()) Learn(user, epoch, VersionOf(*keys));
  co_return keys;
}

Task<absl::Status> KnownAccounts::SetKeys(std::string user, Keys keys) {
  Distrust(user);
  const absl::Status stored = co_await store_.SetKeys(user, std::move(keys));
  Distrust(user);
  co_return stored;
}

Task<absl::Status> KnownAccounts::Remove(std::string user) {
  Distrust(user);
  const absl::Status removed = co_await store_.Remove(user);
  Distrust(user);
  co_return removed;
}

}  // namespace rookery::session_manager
