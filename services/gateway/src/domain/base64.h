#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rookery::gateway {

/// RFC 4648 section 4, strictly: padded, no white space, no bits left over
/// (RFC 6120 section 6.4.2 asks for exactly this).
std::optional<std::string> DecodeBase64(std::string_view text);
std::string EncodeBase64(std::string_view bytes);

/// RFC 4648 section 5 without padding, as strictly.
std::optional<std::string> DecodeBase64Url(std::string_view text);
std::string EncodeBase64Url(std::string_view bytes);

}  // namespace rookery::gateway
