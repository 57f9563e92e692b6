#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rookery/xmpp/element.h"

namespace rookery::session_manager {

/// XEP-0115 section 5: the verification string of a disco#info result (`info` is its
/// <query/>), with `hash` one of sha-1, sha-256 and sha-512. Nothing for another hash and for
/// a result that is ill-formed (section 5.4), which proves nothing about who sent it.
std::optional<std::string> CapsVer(const xmpp::Element& info, std::string_view hash);

/// Whether CapsVer knows the hash.
bool IsCapsHash(std::string_view hash);

}  // namespace rookery::session_manager
