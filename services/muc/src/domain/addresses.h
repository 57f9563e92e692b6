#pragma once

#include <optional>
#include <string_view>

#include "domain/settings.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// Why a room says nothing to an address (XEP-0045 section 7.8.2; RFC 6121 section 8); nullopt: it is that of
/// an account, or a session, of this cluster.
///   - remote-server-not-found: its domain is somebody else's, which nothing reaches from here;
///   - item-not-found: a virtual host or a service of this cluster, where nobody has it.
std::optional<xmpp::ErrorCondition> RefusalOfAddress(const Settings& settings, std::string_view address);

}  // namespace rookery::muc
