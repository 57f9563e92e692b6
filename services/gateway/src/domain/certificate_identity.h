#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rookery::gateway {

/// The addresses that a client's certificate (DER) names as subjectAltName of type
/// id-on-xmppAddr (RFC 6120 section 13.7.1.4), prepared, bare JIDs with a localpart only.
/// Empty for anything that is no certificate.
std::vector<std::string> XmppAddressesOf(std::string_view certificate_der);

/// The subject's common name, taken for a localpart of `domain` or for a bare JID of it.
std::vector<std::string> CommonNameUsersOf(std::string_view certificate_der, std::string_view domain);

}  // namespace rookery::gateway
