#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rookery/xmpp/stream_parser.h"

namespace rookery::xmpp {

struct SaxAttribute {
  std::string_view name;
  std::string_view ns;
  std::string_view value;
};

/// An open tag with its names expanded. The views live until the next event.
struct SaxElement {
  std::string_view name;
  std::string_view ns;
  std::vector<SaxAttribute> attributes;  // without the declarations
};

inline std::string_view LocalName(std::string_view qualified) {
  const std::size_t colon = qualified.find(':');
  return colon == std::string_view::npos ? qualified : qualified.substr(colon + 1);
}

/// Namespaces in XML 1.0: what each prefix means, element by element.
class NamespaceScope {
 public:
  /// Enters an element, with names and attributes as expat reports them. After an
  /// error the scope cannot be used again.
  StreamParseError Open(const char* name, const char** attributes, const ParserLimits& limits,
                        SaxElement& out);
  void Close();
  /// Starts counting declarations for ParserLimits::max_namespaces anew.
  void RestartCount() { declared_ = 0; }
  /// Prefix and namespace name of each declaration in force or hidden, outermost
  /// first.
  std::vector<std::pair<std::string_view, std::string_view>> Declarations() const;

 private:
  struct Binding {
    std::uint32_t begin;
    std::uint32_t prefix_size;
    std::uint32_t uri_size;
  };

  StreamParseError Declare(std::string_view prefix, std::string_view uri, const ParserLimits& limits);
  bool Resolve(std::string_view prefix, std::string_view& uri) const;
  std::string_view PrefixOf(const Binding& binding) const;
  std::string_view UriOf(const Binding& binding) const;
  std::size_t TextEnd() const;

  std::string text_;  // prefixes and namespace names of bindings_, one after the other
  std::vector<Binding> bindings_;
  std::vector<std::uint32_t> open_;  // bindings before each open element
  std::size_t declared_ = 0;
};

}  // namespace rookery::xmpp
