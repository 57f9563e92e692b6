#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rookery/events/homes.h"
#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

/// Tells whose an address is, as far as that concerns us: an account's on a domain of ours, or a service's
/// beside it. Immutable.
class Addresses {
 public:
  /// `domains`: the virtual hosts, prepared.
  Addresses(std::vector<std::string> domains, events::Topology topology)
      : homes_(std::move(domains), std::move(topology)) {}

  /// A domain that has accounts.
  bool IsLocal(std::string_view domain) const { return homes_.IsAccountDomain(domain); }
  /// conference.localhost: a service of ours beside a domain of ours.
  bool IsComponent(std::string_view domain) const {
    const std::optional<events::Service> service = homes_.ServiceOf(domain);
    return service && *service != events::Service::kAccounts;
  }
  std::vector<events::Component> ComponentsOf(std::string_view domain) const {
    return homes_.ComponentsOf(domain);
  }
  std::optional<events::Home> HomeOf(std::string_view address) const { return homes_.HomeOf(address); }
  /// The service of rooms itself, a room, or one of its occupants.
  bool IsOfRooms(std::string_view address) const { return IsRoomDomain(xmpp::DomainOf(address)); }
  bool IsRoomDomain(std::string_view domain) const {
    return homes_.ServiceOf(domain) == events::Service::kMuc;
  }

  /// The number of the account's shard.
  std::uint32_t ShardOf(std::string_view bare) const { return homes_.ShardOfAccount(bare); }
  std::uint32_t shard_count() const { return homes_.topology().partitions(events::Topic::kUsers); }
  const events::Topology& topology() const { return homes_.topology(); }

 private:
  const events::Homes homes_;
};

}  // namespace rookery::session_manager
