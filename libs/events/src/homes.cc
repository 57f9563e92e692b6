#include "rookery/events/homes.h"

#include <algorithm>
#include <utility>

namespace rookery::events {

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

Homes::Homes(std::vector<std::string> domains, Topology topology)
    : domains_(std::move(domains)), topology_(topology) {}

bool Homes::IsAccountDomain(std::string_view domain) const {
  return std::find(domains_.begin(), domains_.end(), domain) != domains_.end();
}

std::optional<Service> Homes::ServiceOf(std::string_view domain) const {
  if (IsAccountDomain(domain)) return Service::kAccounts;
  const std::size_t dot = domain.find('.');
  if (dot == std::string_view::npos || !IsAccountDomain(domain.substr(dot + 1))) return std::nullopt;
  const std::string_view name = domain.substr(0, dot);
  if (name == "conference") return Service::kMuc;
  if (name == "search") return Service::kSearch;
  return std::nullopt;
}

std::optional<Home> Homes::HomeOf(std::string_view address) const {
  const std::string_view bare = address.substr(0, address.find('/'));
  const std::size_t at = bare.find('@');
  const std::optional<Service> service = ServiceOf(at == std::string_view::npos ? bare : bare.substr(at + 1));
  if (!service) return std::nullopt;
  switch (*service) {
    case Service::kAccounts:
      if (at == std::string_view::npos) return std::nullopt;
      return Home{*service, Topic::kUsers, topology_.PartitionOf(Topic::kUsers, bare)};
    case Service::kMuc:
      return Home{*service, Topic::kRooms, topology_.PartitionOf(Topic::kRooms, bare)};
    case Service::kSearch:
      return Home{*service, Topic::kMessages, topology_.PartitionOf(Topic::kMessages, bare)};
  }
  return std::nullopt;
}

}  // namespace rookery::events
