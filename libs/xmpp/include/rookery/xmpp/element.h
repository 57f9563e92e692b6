#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace rookery::xmpp {

/// An XML element as a value: what modules read and build. The hot path does not use
/// it: a stanza's children stay bytes until somebody asks for them.
class Element {
 public:
  struct Attribute {
    std::string name;  // local name
    std::string ns;    // empty for none
    std::string value;
  };

  Element() = default;
  Element(std::string_view name, std::string_view ns) : name_(name), ns_(ns) {}

  const std::string& name() const { return name_; }
  const std::string& ns() const { return ns_; }
  bool Is(std::string_view name, std::string_view ns) const { return name_ == name && ns_ == ns; }

  /// Value of an attribute without namespace; empty view when absent.
  std::string_view Attr(std::string_view name) const;
  const std::string* FindAttr(std::string_view name, std::string_view ns = {}) const;
  Element& SetAttr(std::string_view name, std::string_view value, std::string_view ns = {});

  const std::vector<Attribute>& attributes() const { return attributes_; }
  /// In document order, text nodes among them: elements whose name is empty.
  const std::vector<Element>& children() const { return children_; }
  std::vector<Element>& children() { return children_; }
  const Element* Find(std::string_view name, std::string_view ns) const;
  /// Adds a child and returns it. `ns` empty: the parent's.
  Element& Add(std::string_view name, std::string_view ns = {});
  Element& Add(Element child);

  /// Text directly inside, joined. SetText replaces it; the new text comes first.
  std::string Text() const;
  Element& SetText(std::string_view text);

  /// Appends canonical XML (protos/rookery/common/v1/stanza.proto) as a child of an
  /// element in `parent_ns`.
  void AppendTo(std::string& out, std::string_view parent_ns) const;
  std::string ToXml(std::string_view parent_ns = {}) const;

 private:
  friend class ElementBuilder;
  std::string name_;
  std::string ns_;
  std::vector<Attribute> attributes_;
  std::vector<Element> children_;
  std::string text_;  // of a text node
};

/// Parses canonical XML bytes (one or several sibling elements, default namespace
/// jabber:client). They come from our own log or link: an error is INTERNAL.
absl::StatusOr<std::vector<Element>> ParsePayload(std::string_view payload);

/// Appends `text` with & < > " ' escaped, for content and for attribute values.
void AppendEscaped(std::string& out, std::string_view text);

}  // namespace rookery::xmpp
