#include "rookery/xmpp/element.h"

#include <utility>

#include "element_builder.h"
#include "escape.h"
#include "rookery/xmpp/ns.h"
#include "sax.h"

namespace rookery::xmpp {

std::string_view Element::Attr(std::string_view name) const {
  const std::string* value = FindAttr(name);
  return value == nullptr ? std::string_view() : std::string_view(*value);
}

const std::string* Element::FindAttr(std::string_view name, std::string_view ns) const {
  for (const Attribute& attribute : attributes_) {
    if (attribute.name == name && attribute.ns == ns) return &attribute.value;
  }
  return nullptr;
}

Element& Element::SetAttr(std::string_view name, std::string_view value, std::string_view ns) {
  for (Attribute& attribute : attributes_) {
    if (attribute.name == name && attribute.ns == ns) {
      attribute.value = value;
      return *this;
    }
  }
  attributes_.push_back({std::string(name), std::string(ns), std::string(value)});
  return *this;
}

const Element* Element::Find(std::string_view name, std::string_view ns) const {
  for (const Element& child : children_) {
    if (child.Is(name, ns)) return &child;
  }
  return nullptr;
}

Element& Element::Add(std::string_view name, std::string_view ns) {
  return children_.emplace_back(name, ns.empty() ? std::string_view(ns_) : ns);
}

Element& Element::Add(Element child) { return children_.emplace_back(std::move(child)); }

std::string Element::Text() const {
  if (name_.empty()) return text_;
  std::string text;
  for (const Element& child : children_) {
    if (child.name_.empty()) text += child.text_;
  }
  return text;
}

Element& Element::SetText(std::string_view text) {
  std::erase_if(children_, [](const Element& child) { return child.name_.empty(); });
  if (text.empty()) return *this;
  Element node;
  node.text_ = text;
  children_.insert(children_.begin(), std::move(node));
  return *this;
}

void Element::AppendTo(std::string& out, std::string_view parent_ns) const {
  if (name_.empty()) {
    AppendText(out, text_);
    return;
  }
  out += '<';
  out += name_;
  if (ns_ != parent_ns) {
    out += " xmlns=\"";
    AppendEscaped(out, ns_);
    out += '"';
  }
  // Prefixes of attributes are local to the element: ns0, ns1 in order of appearance.
  std::vector<std::string_view> declared;
  for (const Attribute& attribute : attributes_) {
    std::string prefix;
    if (attribute.ns == ns::kXml) {
      prefix = "xml:";
    } else if (!attribute.ns.empty()) {
      std::size_t index = 0;
      while (index < declared.size() && declared[index] != attribute.ns) ++index;
      prefix = "ns" + std::to_string(index);
      if (index == declared.size()) {
        declared.push_back(attribute.ns);
        out += " xmlns:";
        out += prefix;
        out += "=\"";
        AppendEscaped(out, attribute.ns);
        out += '"';
      }
      prefix += ':';
    }
    out += ' ';
    out += prefix;
    out += attribute.name;
    out += "=\"";
    AppendEscaped(out, attribute.value);
    out += '"';
  }
  if (children_.empty()) {
    out += "/>";
    return;
  }
  out += '>';
  for (const Element& child : children_) child.AppendTo(out, ns_);
  out += "</";
  out += name_;
  out += '>';
}

std::string Element::ToXml(std::string_view parent_ns) const {
  std::string out;
  AppendTo(out, parent_ns);
  return out;
}

Element ElementBuilder::Make(const SaxElement& tag) {
  Element element(tag.name, tag.ns);
  element.attributes_.reserve(tag.attributes.size());
  for (const SaxAttribute& attribute : tag.attributes) {
    element.attributes_.push_back(
        {std::string(attribute.name), std::string(attribute.ns), std::string(attribute.value)});
  }
  return element;
}

void ElementBuilder::Start(const SaxElement& tag) { open_.push_back(Make(tag)); }

void ElementBuilder::Text(std::string_view text) {
  if (open_.empty() || text.empty()) return;
  std::vector<Element>& siblings = open_.back().children_;
  if (siblings.empty() || !siblings.back().name_.empty()) siblings.emplace_back();
  siblings.back().text_ += text;
}

bool ElementBuilder::End() {
  Element element = std::move(open_.back());
  open_.pop_back();
  if (open_.empty()) {
    done_ = std::move(element);
    return true;
  }
  open_.back().children_.push_back(std::move(element));
  return false;
}

Element ElementBuilder::Take() { return std::exchange(done_, Element()); }

namespace {

// The edge refuses far less. Elements are destroyed by recursion, so there must be
// some bound; the rest is what our own services may have added.
constexpr ParserLimits kPayloadLimits = {
    .max_stanza_bytes = 64 * 1024 * 1024,
    .max_depth = 512,
    .max_attributes = 1024,
    .max_name_bytes = 4096,
    .max_namespaces = 1024 * 1024,
    .max_elements = 1024 * 1024,
    .max_white_space_bytes = 0,
};

struct PayloadReader {
  XML_Parser parser;
  NamespaceScope scope;
  SaxElement tag;
  ElementBuilder builder;
  std::vector<Element> elements;
  std::size_t depth = 0;  // the wrapping root counts
  bool refused = false;

  void Refuse() {
    refused = true;
    XML_StopParser(parser, XML_FALSE);
  }

  static PayloadReader& Of(void* self) { return *static_cast<PayloadReader*>(self); }

  static void XMLCALL OnStart(void* self, const char* name, const char** attributes) {
    PayloadReader& reader = Of(self);
    if (reader.refused) return;
    if (reader.scope.Open(name, attributes, kPayloadLimits, reader.tag) != StreamParseError::kNone ||
        ++reader.depth > kPayloadLimits.max_depth) {
      return reader.Refuse();
    }
    if (reader.depth > 1) reader.builder.Start(reader.tag);
  }
  static void XMLCALL OnEnd(void* self, const char*) {
    PayloadReader& reader = Of(self);
    if (reader.refused) return;
    reader.scope.Close();
    if (--reader.depth > 0 && reader.builder.End()) reader.elements.push_back(reader.builder.Take());
  }
  static void XMLCALL OnText(void* self, const char* text, int size) {
    Of(self).builder.Text(std::string_view(text, static_cast<std::size_t>(size)));
  }
  static void XMLCALL OnDoctype(void* self, const char*, const char*, const char*, int) { Of(self).Refuse(); }
};

}  // namespace

absl::StatusOr<std::vector<Element>> ParsePayload(std::string_view payload) {
  if (payload.empty()) return std::vector<Element>();
  if (payload.size() > kPayloadLimits.max_stanza_bytes) return absl::InternalError("payload: too large");
  // A parser is dear to make and cheap to reset, which also empties expat's tables of
  // names.
  thread_local ExpatHandle parser;
  if (parser) {
    ResetExpat(parser.get());
  } else {
    parser = MakeExpat();
    if (!parser) return absl::ResourceExhaustedError("no memory for an XML parser");
  }
  PayloadReader reader{.parser = parser.get(), .scope = {}, .tag = {}, .builder = {}, .elements = {}};
  XML_SetUserData(parser.get(), &reader);
  XML_SetElementHandler(parser.get(), PayloadReader::OnStart, PayloadReader::OnEnd);
  XML_SetCharacterDataHandler(parser.get(), PayloadReader::OnText);
  XML_SetStartDoctypeDeclHandler(parser.get(), PayloadReader::OnDoctype);
  constexpr std::string_view kOpen = "<payload xmlns=\"jabber:client\">";
  constexpr std::string_view kClose = "</payload>";
  const bool good = XML_Parse(parser.get(), kOpen.data(), static_cast<int>(kOpen.size()), 0) == XML_STATUS_OK &&
                    XML_Parse(parser.get(), payload.data(), static_cast<int>(payload.size()), 0) == XML_STATUS_OK &&
                    XML_Parse(parser.get(), kClose.data(), static_cast<int>(kClose.size()), 1) == XML_STATUS_OK;
  const XML_Error error = XML_GetErrorCode(parser.get());
  if (payload.size() > 64 * 1024) parser.reset();
  if (!good) {
    const char* why = reader.refused ? "names or nesting" : XML_ErrorString(error);
    return absl::InternalError(std::string("payload: ") + (why == nullptr ? "malformed" : why));
  }
  return std::move(reader.elements);
}

}  // namespace rookery::xmpp
