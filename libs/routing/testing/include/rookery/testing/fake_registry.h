#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/routing/registry.h"

namespace rookery::testing {

/// Tells of the instances and owners that a test names; announces and publishes nothing.
class FakeRegistry final : public routing::Registry {
 public:
  /// By service.
  std::map<std::string, std::vector<routing::Instance>, std::less<>> instances;
  /// The same for every service that is asked about.
  std::vector<routing::OwnerEntry> owners;
  /// Owners cannot be read.
  bool is_away = false;
  /// The services whose owners were read, also in vain.
  std::vector<std::string> reads;

  void Announce(std::string, routing::Instance, std::function<void(const absl::Status&)>) override {}
  bool is_announced() const override { return true; }
  const Incarnation& incarnation() const override { return incarnation_; }
  Task<void> Withdraw() override;
  void Watch(std::string, std::function<void(const std::vector<routing::Instance>&)>) override {}
  const std::vector<routing::Instance>& Instances(std::string_view service) const override;
  bool is_complete(std::string_view) const override { return true; }
  void PublishShards(std::map<std::uint32_t, std::int64_t>) override {}
  Task<absl::StatusOr<std::vector<routing::OwnerEntry>>> ReadShards(std::string service) override;

 private:
  const std::vector<routing::Instance> none_;
  const Incarnation incarnation_;
};

}  // namespace rookery::testing
