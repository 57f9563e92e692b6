#include "rookery/routing/owner_client.h"

#include <utility>

namespace rookery::routing {

bool OwnerClient::IsWorthAnotherOwner(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsFailedPrecondition(status);
}

absl::Status OwnerClient::Unanswered(const absl::Status& last) {
  // Shards on the move: somebody will own it soon.
  return absl::IsFailedPrecondition(last) ? absl::UnavailableError("nobody owns the shard") : last;
}

Task<absl::Status> OwnerClient::ReadOwners(events::Service service) {
  const auto read = co_await registry_.ReadShards(std::string(events::Name(service)));
  if (!read.ok()) co_return read.status();
  Addresses owners;
  for (const OwnerEntry& owner : *read) owners[owner.shard] = owner.address;
  owners_[service] = std::move(owners);
  co_return absl::OkStatus();
}

std::string OwnerClient::OwnerOf(const events::Home& home) const {
  const auto owners = owners_.find(home.service);
  if (owners == owners_.end()) return {};
  const auto owner = owners->second.find(home.partition);
  return owner == owners->second.end() ? std::string() : owner->second;
}

}  // namespace rookery::routing
