#include "namespaces.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include "rookery/xmpp/ns.h"

namespace rookery::xmpp {
namespace {

constexpr std::string_view kXmlnsUri = "http://www.w3.org/2000/xmlns/";

// Whether part of a name that expat has accepted can stand as a name itself: names lose
// their prefix in canonical XML, so what follows the colon must be one.
bool BeginsName(std::string_view part) {
  const auto first = static_cast<unsigned char>(part.front());
  if (first < 0x80) return first != '-' && first != '.' && !(first >= '0' && first <= '9');
  UChar32 c;
  std::int32_t at = 0;
  U8_NEXT(part.data(), at, static_cast<std::int32_t>(part.size()), c);
  if (c < 0) return false;
  // XML 1.0 (fourth edition, which expat follows), appendix B, and what Unicode has
  // classed anew since.
  if ((c >= 0x02BB && c <= 0x02C1) || c == 0x0559 || c == 0x06E5 || c == 0x06E6 || c == 0x212E) return true;
  if (c == 0x0B83 || (c >= 0x0F88 && c <= 0x0F8B)) return false;
  switch (u_charType(c)) {
    case U_UPPERCASE_LETTER:
    case U_LOWERCASE_LETTER:
    case U_TITLECASE_LETTER:
    case U_OTHER_LETTER:
    case U_LETTER_NUMBER:
      return true;
    default:
      return false;
  }
}

// Splits `prefix:local`. False when it is not a QName.
bool SplitQualified(std::string_view qualified, std::string_view& prefix, std::string_view& local) {
  const std::size_t colon = qualified.find(':');
  if (colon == std::string_view::npos) {
    prefix = {};
    local = qualified;
    return true;
  }
  prefix = qualified.substr(0, colon);
  local = qualified.substr(colon + 1);
  return !prefix.empty() && !local.empty() && local.find(':') == std::string_view::npos && BeginsName(local);
}

}  // namespace

std::string_view NamespaceScope::PrefixOf(const Binding& binding) const {
  return std::string_view(text_).substr(binding.begin, binding.prefix_size);
}

std::string_view NamespaceScope::UriOf(const Binding& binding) const {
  return std::string_view(text_).substr(binding.begin + binding.prefix_size, binding.uri_size);
}

std::size_t NamespaceScope::TextEnd() const {
  if (bindings_.empty()) return 0;
  const Binding& last = bindings_.back();
  return std::size_t{last.begin} + last.prefix_size + last.uri_size;
}

StreamParseError NamespaceScope::Declare(std::string_view prefix, std::string_view uri,
                                         const ParserLimits& limits) {
  if (++declared_ > limits.max_namespaces || prefix.size() > limits.max_name_bytes ||
      uri.size() > limits.max_name_bytes) {
    return StreamParseError::kPolicyViolation;
  }
  // Namespaces in XML 1.0, sections 3 and 5: the two reserved names, and no prefix is
  // taken back.
  if (prefix == "xmlns" || uri == kXmlnsUri || (prefix == "xml") != (uri == ns::kXml) ||
      (uri.empty() && !prefix.empty())) {
    return StreamParseError::kBadNamespacePrefix;
  }
  const std::size_t begin = TextEnd();
  text_.resize(begin);
  text_.append(prefix).append(uri);
  bindings_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(prefix.size()),
                       static_cast<std::uint32_t>(uri.size())});
  return StreamParseError::kNone;
}

bool NamespaceScope::Resolve(std::string_view prefix, std::string_view& uri) const {
  for (std::size_t i = bindings_.size(); i-- > 0;) {
    if (PrefixOf(bindings_[i]) == prefix) {
      uri = UriOf(bindings_[i]);
      return true;
    }
  }
  if (prefix == "xml") {
    uri = ns::kXml;
    return true;
  }
  uri = {};
  return prefix.empty();
}

StreamParseError NamespaceScope::Open(const char* name, const char** attributes, const ParserLimits& limits,
                                      SaxElement& out) {
  open_.push_back(static_cast<std::uint32_t>(bindings_.size()));
  out.attributes.clear();
  bool prefixed = false;
  for (; *attributes != nullptr; attributes += 2) {
    const std::string_view qualified = attributes[0];
    const std::string_view value = attributes[1];
    if (qualified.substr(0, 5) == "xmlns" && (qualified.size() == 5 || qualified[5] == ':')) {
      std::string_view marker;
      std::string_view prefix;
      if (!SplitQualified(qualified, marker, prefix)) return StreamParseError::kNotWellFormed;
      if (marker.empty()) prefix = {};
      const StreamParseError error = Declare(prefix, value, limits);
      if (error != StreamParseError::kNone) return error;
      continue;
    }
    if (out.attributes.size() == limits.max_attributes) return StreamParseError::kPolicyViolation;
    SaxAttribute& attribute = out.attributes.emplace_back();
    attribute.value = value;
    // `ns` holds the prefix until every declaration of this tag is known.
    if (!SplitQualified(qualified, attribute.ns, attribute.name)) return StreamParseError::kNotWellFormed;
    if (attribute.name.size() > limits.max_name_bytes) return StreamParseError::kPolicyViolation;
    prefixed |= !attribute.ns.empty();
  }
  std::string_view prefix;
  if (!SplitQualified(name, prefix, out.name)) return StreamParseError::kNotWellFormed;
  if (out.name.size() > limits.max_name_bytes) return StreamParseError::kPolicyViolation;
  if (prefix == "xmlns" || !Resolve(prefix, out.ns)) return StreamParseError::kBadNamespacePrefix;
  if (!prefixed) return StreamParseError::kNone;

  for (std::size_t i = 0; i < out.attributes.size(); ++i) {
    SaxAttribute& attribute = out.attributes[i];
    if (attribute.ns.empty()) continue;
    std::string_view uri;
    if (!Resolve(attribute.ns, uri)) return StreamParseError::kBadNamespacePrefix;
    attribute.ns = uri;
    for (std::size_t k = 0; k < i; ++k) {
      // Expat has refused two attributes of the same qualified name already.
      if (out.attributes[k].name == attribute.name && out.attributes[k].ns == uri) {
        return StreamParseError::kNotWellFormed;
      }
    }
  }
  return StreamParseError::kNone;
}

void NamespaceScope::Close() {
  bindings_.resize(open_.back());
  open_.pop_back();
}

std::vector<std::pair<std::string_view, std::string_view>> NamespaceScope::Declarations() const {
  std::vector<std::pair<std::string_view, std::string_view>> out;
  for (const Binding& binding : bindings_) out.emplace_back(PrefixOf(binding), UriOf(binding));
  return out;
}

}  // namespace rookery::xmpp
