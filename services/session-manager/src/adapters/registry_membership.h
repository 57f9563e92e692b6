#pragma once

#include "ports/membership.h"
#include "rookery/routing/registry.h"

namespace rookery::session_manager {

class RegistryMembership final : public Membership {
 public:
  explicit RegistryMembership(routing::Registry& registry) : registry_(registry) {}

  std::vector<std::string> Gateways() const override {
    std::vector<std::string> instances;
    for (const routing::Instance& instance : registry_.Instances("gateway")) instances.push_back(instance.id);
    return instances;
  }
  bool KnowsAllGateways() const override { return registry_.is_complete("gateway"); }

 private:
  routing::Registry& registry_;
};

}  // namespace rookery::session_manager
