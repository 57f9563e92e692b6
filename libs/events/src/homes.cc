#include "rookery/events/homes.h"

#include <algorithm>
#include <utility>

#include "rookery/events/partition.h"

namespace rookery::events {

namespace {

struct Prefix {
  Service service;
  std::string_view prefix;
};
/// The prefix before a virtual host in the address of a service that is not the accounts'.
constexpr Prefix kComponents[] = {{Service::kMuc, "conference."}, {Service::kSearch, "search."}};

std::string_view BareOf(std::string_view address) { return address.substr(0, address.find('/')); }

}  // namespace

std::string_view Name(Service service) {
  switch (service) {
    case Service::kAccounts:
      return "session-manager";
    case Service::kMuc:
      return "muc";
    case Service::kSearch:
      return "search";
  }
  return {};
}

Topic TopicOf(Service service) {
  switch (service) {
    case Service::kAccounts:
      return Topic::kUsers;
    case Service::kMuc:
      return Topic::kRooms;
    case Service::kSearch:
      return Topic::kMessages;
  }
  return {};
}

Home HomeWith(Service service, const Topology& topology, std::string_view address) {
  const Topic topic = TopicOf(service);
  return {service, topic, topology.PartitionOf(topic, BareOf(address))};
}

std::uint32_t ShardOfAccount(std::string_view bare, std::uint32_t shard_count) {
  return PartitionOf(bare, shard_count);
}

std::optional<Service> ServiceOf(const std::vector<std::string>& domains, std::string_view domain) {
  const auto is_host = [&](std::string_view name) {
    return std::find(domains.begin(), domains.end(), name) != domains.end();
  };
  if (is_host(domain)) return Service::kAccounts;
  for (const auto& [service, prefix] : kComponents)
    if (domain.starts_with(prefix) && is_host(domain.substr(prefix.size()))) return service;
  return std::nullopt;
}

Homes::Homes(std::vector<std::string> domains, Topology topology)
    : domains_(std::move(domains)), topology_(topology) {}

bool Homes::IsAccountDomain(std::string_view domain) const {
  return std::find(domains_.begin(), domains_.end(), domain) != domains_.end();
}

std::vector<Component> Homes::ComponentsOf(std::string_view domain) const {
  std::vector<Component> components;
  for (const auto& [service, prefix] : kComponents)
    components.push_back({service, std::string(prefix).append(domain)});
  return components;
}

std::optional<Home> Homes::HomeOf(std::string_view address) const {
  const std::string_view bare = BareOf(address);
  const std::size_t at = bare.find('@');
  const std::optional<Service> service = ServiceOf(at == std::string_view::npos ? bare : bare.substr(at + 1));
  if (!service) return std::nullopt;
  if (service == Service::kAccounts && at == std::string_view::npos) return std::nullopt;
  return HomeWith(*service, topology_, bare);
}

}  // namespace rookery::events
