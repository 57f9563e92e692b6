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

namespace {

// A vector of children that grows has room for twice as many.
constexpr std::size_t kChildBytes = 2 * sizeof(Element);

}  // namespace

std::size_t ElementBuilder::Start(const SaxElement& tag) {
  std::size_t bytes = open_.empty() ? 0 : kChildBytes;
  bytes += tag.name.size() + tag.ns.size() + tag.attributes.size() * sizeof(Element::Attribute);
  for (const SaxAttribute& attribute : tag.attributes)
    bytes += attribute.name.size() + attribute.ns.size() + attribute.value.size();
  open_.push_back(Make(tag));
  return bytes;
}

std::size_t ElementBuilder::Text(std::string_view text) {
  if (open_.empty() || text.empty()) return 0;
  std::vector<Element>& siblings = open_.back().children_;
  const bool is_new = siblings.empty() || !siblings.back().name_.empty();
  if (is_new) siblings.emplace_back();
  siblings.back().text_ += text;
  return text.size() + (is_new ? kChildBytes : 0);
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

// A parser inside an open root, which reads one payload after the other: making or
// resetting one costs more than what it reads. It retires before expat's memory of the
// names that it has seen adds up, and after any fault.
class PayloadReader {
 public:
  PayloadReader() : parser_(MakeExpat()) {
    if (!parser_) return;
    XML_SetUserData(parser_.get(), this);
    XML_SetElementHandler(
        parser_.get(),
        [](void* self, const char* name, const char** attributes) { Of(self).Start(name, attributes); },
        [](void* self, const char*) { Of(self).End(); });
    XML_SetCharacterDataHandler(parser_.get(), [](void* self, const char* text, int size) {
      Of(self).builder_.Text(std::string_view(text, static_cast<std::size_t>(size)));
    });
    good_ = Feed("<payloads xmlns=\"jabber:client\">");
  }

  absl::StatusOr<std::vector<Element>> Read(std::string_view payload) {
    elements_.clear();
    closing_ = false;
    good_ = good_ && Feed("<payload>") && Feed(payload);
    closing_ = true;
    // An unfinished token swallows the end tag or is refused because of it.
    good_ = good_ && Feed("</payload>") && depth_ == 1;
    if (!good_) return absl::InternalError("payload: not canonical XML");
    return std::move(elements_);
  }

  bool Reusable() const { return good_ && fed_ < kRetireAfterBytes; }

 private:
  static constexpr std::size_t kRetireAfterBytes = 256 * 1024;

  static PayloadReader& Of(void* self) { return *static_cast<PayloadReader*>(self); }

  bool Feed(std::string_view text) {
    fed_ += text.size();
    return parser_ &&
           XML_Parse(parser_.get(), text.data(), static_cast<int>(text.size()), 0) == XML_STATUS_OK;
  }

  void Start(const char* name, const char** attributes) {
    if (refused_) return;
    scope_.RestartCount();
    if (scope_.Open(name, attributes, kPayloadLimits, tag_) != StreamParseError::kNone ||
        ++depth_ > kPayloadLimits.max_depth) {
      return Refuse();
    }
    if (depth_ > 2) builder_.Start(tag_);
  }

  void End() {
    if (refused_) return;
    scope_.Close();
    if (--depth_ == 1) {
      if (!closing_) Refuse();
    } else if (builder_.End()) {
      elements_.push_back(builder_.Take());
    }
  }

  void Refuse() {
    refused_ = true;
    XML_StopParser(parser_.get(), XML_FALSE);
  }

  ExpatHandle parser_;
  NamespaceScope scope_;
  SaxElement tag_;
  ElementBuilder builder_;
  std::vector<Element> elements_;
  std::size_t depth_ = 0;  // the root and <payload/> count
  std::size_t fed_ = 0;
  bool closing_ = false;
  bool refused_ = false;
  bool good_ = false;
};

}  // namespace

absl::StatusOr<std::vector<Element>> ParsePayload(std::string_view payload) {
  if (payload.empty()) return std::vector<Element>();
  if (payload.size() > kPayloadLimits.max_stanza_bytes) return absl::InternalError("payload: too large");
  thread_local std::unique_ptr<PayloadReader> reader;
  if (!reader) reader = std::make_unique<PayloadReader>();
  absl::StatusOr<std::vector<Element>> elements = reader->Read(payload);
  if (!reader->Reusable()) reader.reset();
  return elements;
}

}  // namespace rookery::xmpp
