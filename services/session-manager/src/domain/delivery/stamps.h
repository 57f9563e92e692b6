#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

/// XEP-0203: `domain` says that it received the message then, unless it has said so before.
void AddDelay(xmpp::Stanza& message, std::string_view domain, std::int64_t received_at_ms);

/// Removes from a client's stanza what only a server may say: delays (XEP-0203 section 6, and as XEP-0091 has
/// them) and stanza ids (XEP-0359 section 5) in the name of an address that is ours, or in that of no
/// address. A client may say itself, as `sender` or without a name, that it held a stanza back.
void RemoveForgedStamps(xmpp::Stanza& stanza, std::string_view sender,
                        const std::function<bool(std::string_view domain)>& is_ours);

}  // namespace rookery::session_manager
