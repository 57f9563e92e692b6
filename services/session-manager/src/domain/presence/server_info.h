#pragma once

#include <string>
#include <string_view>

#include "domain/features/hooks.h"

namespace rookery::session_manager {

/// XEP-0115 section 4: names the software, in a domain that nobody can own.
inline constexpr std::string_view kServerCapsNode = "https://rookery.invalid/server";

/// disco#info of a domain of ours (XEP-0030): the <query/> of the result, without `node`.
xmpp::Element MakeServerInfo(const Hooks& hooks);
/// Its verification string (XEP-0115, sha-1).
std::string ServerCapsVer(const Hooks& hooks);

}  // namespace rookery::session_manager
