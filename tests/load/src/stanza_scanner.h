#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace rookery::load {

/// Cuts a server's stream into its top-level elements without building anything: the
/// benchmark must cost less than what it measures. It trusts the server's XML.
class StanzaScanner {
 public:
  /// One call for each element, whole; and for `<stream:stream …>` and its end tag alone.
  using OnElement = std::function<void(std::string_view element)>;
  explicit StanzaScanner(OnElement on_element) : on_element_(std::move(on_element)) {}

  void Feed(std::string_view data);
  /// A new stream begins; what is left of the old one is dropped. Allowed in OnElement.
  void Reset();

 private:
  OnElement on_element_;
  std::string buffer_;
  std::size_t position_ = 0;  // in buffer_
  std::size_t start_ = 0;     // of the element that is open
  int depth_ = 0;             // 0: before the stream's header; 1: in the stream
  bool reset_ = false;
};

/// The value of an attribute in an element's first tag; empty if absent. No unescaping.
std::string_view AttributeOf(std::string_view element, std::string_view name);
/// Returns what stands between the first `<name …>` and its `</name>`.
std::string_view TextOf(std::string_view element, std::string_view name);
/// The element's name with its prefix.
std::string_view NameOf(std::string_view element);

}  // namespace rookery::load
