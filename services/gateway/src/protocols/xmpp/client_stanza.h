#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "rookery/xmpp/stanza.h"

namespace rookery::gateway {

/// The edge's verdict on a client's stanza, before the cluster is given it.
struct ClientStanzaVerdict {
  /// The client speaks as somebody else (RFC 6120 section 8.1.2.1): the stream ends.
  bool foreign_from = false;
  /// The stanza goes on without its content, is counted like any other, and its sender is
  /// answered this error.
  std::optional<xmpp::ErrorCondition> refused;
};

struct ClientStanzaRules {
  std::string_view full_jid;  // of the sender, prepared
  std::string_view lang;      // of the stream; may be empty
  std::size_t max_bytes = 0;  // of the stanza as written
};

/// Stamps `from`, prepares `to`, gives the stanza the stream's language (RFC 6120 section
/// 8.1.5) and checks its size. An answer that is too large becomes an error for whoever
/// asked: nothing is answered to an answer.
ClientStanzaVerdict PrepareClientStanza(xmpp::Stanza& stanza, const ClientStanzaRules& rules);

}  // namespace rookery::gateway
