#include "domain/users/address_set.h"

#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

bool AddressSet::Matches(std::string_view address) const {
  // One of a domain's resources is named by the first two.
  return !addresses_.empty() && (addresses_.contains(address) || addresses_.contains(xmpp::BareOf(address)) ||
                                 addresses_.contains(xmpp::DomainOf(address)));
}

}  // namespace rookery::session_manager
