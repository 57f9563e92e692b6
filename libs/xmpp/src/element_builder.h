#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "namespaces.h"
#include "rookery/xmpp/element.h"

namespace rookery::xmpp {

/// Makes an Element from a parser's events.
class ElementBuilder {
 public:
  // Both return about how much memory they have taken.
  std::size_t Start(const SaxElement& tag);
  std::size_t Text(std::string_view text);
  /// True when the outermost element is complete.
  bool End();
  Element Take();

  static Element Make(const SaxElement& tag);

 private:
  // The open elements, each of which becomes a child of the one before it.
  std::vector<Element> open_;
  Element done_;
};

}  // namespace rookery::xmpp
