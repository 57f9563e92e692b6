#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rookery/base/session_id.h"

namespace rookery::gateway {

/// The id that a client is given to resume its session with (XEP-0198 section 5): the session's id and, where
/// the client had sent stanzas before <enable/>, how many, since its h does not count them while the links
/// do. A client that changes the number only gets a wrong h.
struct SmId {
  SessionId session;
  std::uint64_t inbound_base = 0;

  std::string ToText() const;
  static std::optional<SmId> Parse(std::string_view text);
};

}  // namespace rookery::gateway
