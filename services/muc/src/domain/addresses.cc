#include "domain/addresses.h"

#include "rookery/events/homes.h"
#include "rookery/xmpp/jid.h"

namespace rookery::muc {

std::optional<xmpp::ErrorCondition> RefusalOfAddress(const Settings& settings, std::string_view address) {
  const std::string_view domain = xmpp::DomainOf(address);
  const std::optional<events::Service> service = events::ServiceOf(settings.domains, domain);
  if (!service) return xmpp::ErrorCondition::kRemoteServerNotFound;
  const bool is_account = service == events::Service::kAccounts && xmpp::BareOf(address) != domain;
  return is_account ? std::nullopt : std::optional(xmpp::ErrorCondition::kItemNotFound);
}

}  // namespace rookery::muc
