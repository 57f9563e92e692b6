#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/xmpp/stream_error.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::gateway {

/// The content of a client's stream header or <open/> (RFC 6120 section 4.7, RFC 7395 section 3.3).
struct ClientHeader {
  /// The header cannot be accepted. Our own header is sent first all the same.
  std::optional<StreamError> error;
  /// Which of our domains it is for; none: of no domain of ours.
  std::optional<std::size_t> domain;
  std::string peer;  // bare address that the client gave as `from`; may be empty
  std::string lang;  // may be empty
};

ClientHeader ReadHeader(const xmpp::Element& header, std::string_view default_ns, xmpp::Framing framing,
                        const std::vector<std::string>& domains);

}  // namespace rookery::gateway
