#pragma once

#include <string>

#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

/// What a presence says of its sender (RFC 6121 section 4.7.2).
struct PresenceFields {
  int priority = 0;
  std::string show;
  /// The first of several.
  std::string status;
  /// False where the priority is no number from -128 to 127, or `show` none of its four words.
  bool valid = true;
};

PresenceFields ReadFields(const xmpp::Stanza& presence);

}  // namespace rookery::session_manager
