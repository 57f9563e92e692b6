#include "rookery/routing/instance_client.h"

#include <vector>

namespace rookery::routing {

bool InstanceClient::IsWorthAnotherInstance(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

std::optional<std::string> InstanceClient::AddressFor(std::string_view key, std::string_view asked) const {
  std::vector<Instance> instances = registry_.Instances(service_);
  if (!asked.empty() && instances.size() > 1)
    std::erase_if(instances, [&](const Instance& instance) { return instance.address == asked; });
  const Instance* const chosen = Choose(instances, key);
  if (chosen == nullptr) return std::nullopt;
  return chosen->address;
}

}  // namespace rookery::routing
