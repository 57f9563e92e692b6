#pragma once

#include <string>
#include <string_view>

namespace rookery::xmpp {

/// A form that names have in common if they look alike (Unicode TS 39 section 4), whatever their letters are
/// and whatever marks these have above or below. Thread-safe.
std::string SkeletonOf(std::string_view name);

/// Whether the name's letters are of scripts that are written together (section 5.2, "highly restrictive"),
/// and its digits of one kind. Thread-safe.
bool IsOfScriptsWrittenTogether(std::string_view name);

}  // namespace rookery::xmpp
