#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/events/topics.h"

namespace rookery::events {

/// The service that an address belongs to: each address has one home, and whatever is addressed to it is a
/// record there.
enum class Service : std::uint8_t { kAccounts, kMuc, kSearch };

/// As the registry and the logs call it.
std::string_view Name(Service service);
/// The topic whose shards the service owns.
Topic TopicOf(Service service);

struct Home {
  Service service;
  Topic topic;
  std::uint32_t partition;
};

/// The home of an address that is known to be the service's, for the service itself, which need not know
/// the domains. `address` as for Homes::HomeOf.
Home HomeWith(Service service, const Topology& topology, std::string_view address);
/// The shard of an account, for those that know how many shards there are and nothing else of the log.
std::uint32_t ShardOfAccount(std::string_view bare, std::uint32_t shard_count);

/// Returns whose a domain is in a cluster with these virtual hosts (prepared): kAccounts for one of them,
/// kMuc for `conference.` and kSearch for `search.` before one; nothing for a domain of somebody else.
std::optional<Service> ServiceOf(const std::vector<std::string>& domains, std::string_view domain);

/// A service other than the accounts', on a virtual host.
struct Component {
  Service service;
  std::string address;  // conference.example.org
};

/// Knows the home of every address of the cluster. Nobody else computes a topic or a partition
/// from an address. Immutable.
class Homes {
 public:
  /// `domains`: the virtual hosts, prepared.
  Homes(std::vector<std::string> domains, Topology topology);

  /// A domain that has accounts.
  bool IsAccountDomain(std::string_view domain) const;
  /// As the function of this name.
  std::optional<Service> ServiceOf(std::string_view domain) const {
    return events::ServiceOf(domains_, domain);
  }
  /// Returns what ServiceOf finds beside a virtual host.
  std::vector<Component> ComponentsOf(std::string_view domain) const;
  /// Returns the home of a bare or full JID, prepared, or of a service's own address. Nothing where the
  /// domain is somebody else's, and for a virtual host itself, which has no records.
  std::optional<Home> HomeOf(std::string_view address) const;
  /// Returns the shard of an account, whose domain has been checked.
  std::uint32_t ShardOfAccount(std::string_view bare) const {
    return topology_.PartitionOf(Topic::kUsers, bare);
  }

  const std::vector<std::string>& domains() const { return domains_; }
  const Topology& topology() const { return topology_; }

 private:
  std::vector<std::string> domains_;
  Topology topology_;
};

}  // namespace rookery::events
