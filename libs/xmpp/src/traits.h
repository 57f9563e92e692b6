#pragma once

#include <cstdint>
#include <string_view>

namespace rookery::xmpp {

/// The traits that follow from a child's name. A body is not among them: it counts
/// only when it has text. `message`'s <thread/> has no trait: it says nothing alone.
std::uint32_t TraitsOfChild(std::string_view name, std::string_view ns);
bool IsBody(std::string_view name, std::string_view ns);
/// True for muc#user's <invite/> in a muc#user <x/> (XEP-0045 section 7.8.2).
bool IsMediatedInvite(std::string_view name, std::string_view ns);

}  // namespace rookery::xmpp
