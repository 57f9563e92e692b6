#include "rookery/testing/fake_registry.h"

#include <utility>

namespace rookery::testing {

Task<void> FakeRegistry::Withdraw() { co_return; }

const std::vector<routing::Instance>& FakeRegistry::Instances(std::string_view service) const {
  const auto found = instances.find(service);
  return found == instances.end() ? none_ : found->second;
}

Task<absl::StatusOr<std::vector<routing::OwnerEntry>>> FakeRegistry::ReadShards(std::string service) {
  reads.push_back(std::move(service));
  if (is_away) co_return absl::UnavailableError("Redis is away");
  co_return owners;
}

}  // namespace rookery::testing
