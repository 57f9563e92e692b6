#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

/// PRECIS (RFC 8264) on code points. The ASCII fast paths are the callers'.
namespace rookery::xmpp::precis {

enum class StringClass { kIdentifier, kFreeForm };

/// False when `text` is not UTF-8 (overlong forms and surrogates included).
bool Decode(std::string_view text, std::u32string& out);
void Encode(std::u32string_view text, std::string& out);

/// RFC 8264 section 8 and the contextual rules of RFC 5892, appendix A. The message
/// names the first code point that the class forbids.
absl::Status CheckClass(std::u32string_view text, StringClass string_class);

/// RFC 8264 section 5.2.1: full-width and half-width forms become their counterparts.
void MapWidth(std::u32string& text);
/// Unicode's toLowercase without the final sigma rule, which PRECIS does not know
/// (RFC 7622 section 3.5, on examples 8 to 10).
void MapLowerCase(std::u32string& text);
/// The mapping of a domain's label (RFC 5895 section 2). Cherokee stays: its capital
/// letters are the ones that IDNA2008 allows.
void MapLabelCase(std::u32string& text);
/// RFC 8265 section 4.2.2: every space of category Zs becomes U+0020.
void MapSpaces(std::u32string& text);
absl::Status NormalizeNfc(std::u32string& text);

bool HasRightToLeft(std::u32string_view text);
/// RFC 5893 section 2.
bool SatisfiesBidiRule(std::u32string_view text);

}  // namespace rookery::xmpp::precis
