#include "xml_worker.h"

#include <cstring>
#include <limits>

#include "absl/hash/hash.h"
#include "escape.h"
#include "rookery/xmpp/ns.h"
#include "traits.h"

namespace rookery::xmpp {
namespace {

constexpr std::size_t kPooledWorkers = 16;
// Expat remembers every element and attribute name of a document: a worker retires
// before hostile names add up.
constexpr std::uint64_t kRetireAfterBytes = 1024 * 1024;
constexpr std::size_t kLargestPooledBuffer = 32 * 1024;
// Canonical XML repeats namespace names that a prefix abbreviates, and an Element is larger than its few
// letters. What is kept of an item before it is complete may be larger than an item may be by this factor at
// most.
constexpr std::size_t kMaxGrowth = 4;
// What expat remembers with each name that is new to it. It is not counted of an item with few names.
constexpr std::size_t kNameBytes = 64;
constexpr std::size_t kFewNames = 128;
// A name and what comes with it take no fewer bytes of an item.
constexpr std::size_t kShortestTag = 4;
// Expat scans an unfinished token from its beginning each time bytes come. Above this
// size bytes that cannot finish it are held back.
constexpr std::size_t kLargeToken = 4096;
// Bytes that look as if they could finish a token need not do so. How much may be scanned again for one item,
// in multiples of its largest size.
constexpr std::size_t kRescanFactor = 256;

StreamParseError Translate(XML_Error error) {
  switch (error) {
    case XML_ERROR_UNDEFINED_ENTITY:
    case XML_ERROR_RECURSIVE_ENTITY_REF:
    case XML_ERROR_ASYNC_ENTITY:
    case XML_ERROR_BINARY_ENTITY_REF:
    case XML_ERROR_ATTRIBUTE_EXTERNAL_ENTITY_REF:
    case XML_ERROR_PARAM_ENTITY_REF:
    case XML_ERROR_ENTITY_DECLARED_IN_PE:
    case XML_ERROR_EXTERNAL_ENTITY_HANDLING:
    case XML_ERROR_AMPLIFICATION_LIMIT_BREACH:
      return StreamParseError::kRestrictedXml;
    case XML_ERROR_UNKNOWN_ENCODING:
    case XML_ERROR_INCORRECT_ENCODING:
      return StreamParseError::kUnsupportedEncoding;
    case XML_ERROR_NO_MEMORY:
      return StreamParseError::kPolicyViolation;
    default:
      return StreamParseError::kNotWellFormed;
  }
}

bool EqualsIgnoringCase(std::string_view a, std::string_view lower) {
  if (a.size() != lower.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] | 0x20) : a[i];
    if (c != lower[i]) return false;
  }
  return true;
}

common::v1::StanzaKind KindOf(const SaxElement& tag) {
  if (tag.ns != ns::kClient) return common::v1::STANZA_KIND_UNSPECIFIED;
  if (tag.name == "message") return common::v1::STANZA_KIND_MESSAGE;
  if (tag.name == "presence") return common::v1::STANZA_KIND_PRESENCE;
  if (tag.name == "iq") return common::v1::STANZA_KIND_IQ;
  return common::v1::STANZA_KIND_UNSPECIFIED;
}

}  // namespace

XmlWorker::XmlWorker(Items items) : parser_(MakeExpat()), item_level_(items == Items::kChildren ? 1 : 0) {
  if (!parser_) {
    error_ = StreamParseError::kPolicyViolation;
    return;
  }
  fed_ = kByteOrderMark.size();
  XML_Parser parser = parser_.get();
  XML_SetUserData(parser, this);
  XML_SetElementHandler(
      parser,
      [](void* self, const char* name, const char** attributes) {
        static_cast<XmlWorker*>(self)->Start(name, attributes);
      },
      [](void* self, const char* name) { static_cast<XmlWorker*>(self)->End(name); });
  XML_SetCharacterDataHandler(parser, [](void* self, const char* text, int size) {
    static_cast<XmlWorker*>(self)->Text(std::string_view(text, static_cast<std::size_t>(size)));
  });
  XML_SetStartCdataSectionHandler(parser, [](void* self) {
    auto* worker = static_cast<XmlWorker*>(self);
    if (!worker->item_open_) worker->Refuse(StreamParseError::kBadFormat);
  });
  // RFC 6120 section 11.1.
  XML_SetCommentHandler(parser, [](void* self, const char*) {
    static_cast<XmlWorker*>(self)->Refuse(StreamParseError::kRestrictedXml);
  });
  XML_SetProcessingInstructionHandler(parser, [](void* self, const char*, const char*) {
    static_cast<XmlWorker*>(self)->Refuse(StreamParseError::kRestrictedXml);
  });
  XML_SetStartDoctypeDeclHandler(parser, [](void* self, const char*, const char*, const char*, int) {
    static_cast<XmlWorker*>(self)->Refuse(StreamParseError::kRestrictedXml);
  });
  XML_SetXmlDeclHandler(parser, [](void* self, const char*, const char* encoding, int) {
    if (encoding != nullptr && !EqualsIgnoringCase(encoding, "utf-8")) {
      static_cast<XmlWorker*>(self)->Refuse(StreamParseError::kUnsupportedEncoding);
    }
  });
}

std::unique_ptr<XmlWorker> XmlWorker::ForDocument(Items items) {
  return std::unique_ptr<XmlWorker>(new XmlWorker(items));
}

std::unique_ptr<XmlWorker> XmlWorker::InsideRoot(const std::string& root) {
  std::unique_ptr<XmlWorker> worker = ForDocument(Items::kChildren);
  // It has passed the limits that were in force when the stream opened.
  constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max() / (2 * kMaxGrowth);
  static constexpr ParserLimits kNoLimits = {kAny, kAny, kAny, kAny, kAny, kAny, kAny};
  worker->BeginItem(kNoLimits);
  worker->Feed(root, false);
  worker->ClearHeader();
  worker->root_ = root;
  return worker;
}

void XmlWorker::ClearHeader() {
  header_ = Element();
  header_ready_ = false;
  default_ns_ = std::string();
}

void XmlWorker::BeginItem(const ParserLimits& limits) {
  limits_ = &limits;
  elements_ = 0;
  grown_ = 0;
  names_ = 0;
  seen_.clear();
  quote_ = 0;
  rescanned_ = 0;
  scope_.RestartCount();
  item_open_ = false;
  item_ready_ = false;
}

StreamParseError XmlWorker::Feed(std::string_view bytes, bool is_final) {
  if (error_ != StreamParseError::kNone) return error_;
  fed_ += bytes.size();
  if (XML_Parse(parser_.get(), bytes.data(), static_cast<int>(bytes.size()), is_final) == XML_STATUS_OK) {
    return StreamParseError::kNone;
  }
  if (error_ == StreamParseError::kNone) error_ = Translate(XML_GetErrorCode(parser_.get()));
  return error_;
}

// Just after the `>` of the tag that begins the item; npos when it is not here. What
// is not a tag (`<!`, `<?`) may be taken to be longer than it is, and is refused as a whole.
std::size_t XmlWorker::OpenTagEnd(std::string_view rest) {
  std::size_t at = 0;
  while (at < rest.size()) {
    if (quote_ != 0) {
      at = rest.find(quote_, at);
      if (at == std::string_view::npos) return at;
      quote_ = 0;
    } else {
      const char c = rest[at];
      if (c == '>') return at + 1;
      if (c == '"' || c == '\'') quote_ = c;
    }
    ++at;
  }
  return std::string_view::npos;
}

// Just after the next end tag of the item's name; npos when it is not here.
std::size_t XmlWorker::EndTagEnd(std::string_view rest) const {
  const std::size_t begin = rest.find(end_tag_);
  if (begin == std::string_view::npos) return begin;
  const std::size_t close = rest.find('>', begin + end_tag_.size());
  return close == std::string_view::npos ? close : close + 1;
}

StreamParseError XmlWorker::FeedPiece(std::string_view rest, bool last, bool* fresh, std::size_t* used) {
  std::size_t end;
  if (!item_open_) {
    end = OpenTagEnd(rest);
  } else if (*fresh) {
    // An end tag may have begun in an earlier read.
    end = rest.find('>');
    if (end != std::string_view::npos) ++end;
  } else {
    end = EndTagEnd(rest);
  }
  *fresh = false;
  const bool cut = end != std::string_view::npos;
  const std::string_view piece = cut ? rest.substr(0, end) : rest;
  *used = piece.size();

  if (const std::size_t token = UnfinishedToken(); token > kLargeToken) {
    const bool may_finish = cut || (item_open_ && piece.find('>') != std::string_view::npos);
    if (!may_finish && !last) {
      held_.append(piece);
      return StreamParseError::kNone;
    }
    rescanned_ += token;
    if (rescanned_ / kRescanFactor > limits_->max_stanza_bytes) return StreamParseError::kPolicyViolation;
  }
  if (held_.empty()) return Feed(piece, false);
  held_.append(piece);
  const StreamParseError result = Feed(held_, false);
  held_.clear();
  return result;
}

std::size_t XmlWorker::UnfinishedToken() const {
  const XML_Index index = XML_GetCurrentByteIndex(parser_.get());
  return index < 0 || static_cast<std::uint64_t>(index) > fed_ ? 0 : fed_ - static_cast<std::uint64_t>(index);
}

bool XmlWorker::Reusable() const {
  return error_ == StreamParseError::kNone && !root_closed_ && depth_ == 1 && item_level_ == 1 &&
         fed_ < kRetireAfterBytes && payload_.capacity() <= kLargestPooledBuffer &&
         held_.capacity() <= kLargestPooledBuffer;
}

Stanza XmlWorker::TakeStanza() {
  stanza_.set_payload(payload_);  // one allocation of the right size
  stanza_.set_traits(traits_);
  if (children_ != 1) {
    stanza_.clear_payload_name();
    stanza_.clear_payload_namespace();
  }
  return std::move(stanza_);
}

void XmlWorker::Refuse(StreamParseError error) {
  if (error_ != StreamParseError::kNone) return;
  error_ = error;
  XML_StopParser(parser_.get(), XML_FALSE);
}

void XmlWorker::Start(const char* name, const char** attributes) {
  if (error_ != StreamParseError::kNone) return;
  const std::size_t level = depth_++;
  if (++elements_ > limits_->max_elements || level >= item_level_ + limits_->max_depth) {
    return Refuse(StreamParseError::kPolicyViolation);
  }
  if (const StreamParseError error = scope_.Open(name, attributes, *limits_, tag_);
      error != StreamParseError::kNone) {
    return Refuse(error);
  }
  if (level < item_level_) return StartRoot(name);
  if (level == item_level_) return StartItem(name);
  const std::size_t built = is_stanza_ ? StartInStanza() : builder_.Start(tag_);
  Grow(built + MemoryOfNames(name, attributes));
}

std::size_t XmlWorker::MemoryOfNames(const char* name, const char** attributes) {
  std::size_t fresh = 0;
  const auto note = [&](std::string_view qualified) {
    if (++names_ <= kFewNames) return;
    if (seen_.empty()) seen_.resize(limits_->max_stanza_bytes / kShortestTag + 1);
    const std::size_t bit = absl::HashOf(qualified) % seen_.size();
    if (!seen_[bit]) ++fresh;
    seen_[bit] = true;
  };
  note(name);
  for (; *attributes != nullptr; attributes += 2) note(attributes[0]);
  return fresh * kNameBytes;
}

void XmlWorker::Grow(std::size_t bytes) {
  grown_ += bytes;
  if (grown_ / kMaxGrowth > limits_->max_stanza_bytes) Refuse(StreamParseError::kPolicyViolation);
}

void XmlWorker::StartRoot(std::string_view qualified) {
  header_ = ElementBuilder::Make(tag_);
  root_ = "<";
  root_ += qualified;
  for (const auto& [prefix, uri] : scope_.Declarations()) {
    root_ += prefix.empty() ? " xmlns" : " xmlns:";
    root_ += prefix;
    root_ += "=\"";
    AppendEscaped(root_, uri);
    root_ += '"';
    if (prefix.empty()) default_ns_ = uri;
  }
  root_ += '>';
  header_ready_ = true;
}

void XmlWorker::StartItem(std::string_view qualified) {
  item_open_ = true;
  end_tag_ = "</";
  end_tag_ += qualified;
  const common::v1::StanzaKind kind = KindOf(tag_);
  is_stanza_ = kind != common::v1::STANZA_KIND_UNSPECIFIED;
  if (!is_stanza_) {
    builder_.Start(tag_);  // one tag is small
    return;
  }

  stanza_ = Stanza();
  stanza_.set_kind(kind);
  for (const auto& [name, ns, value] : tag_.attributes) {
    if (ns.empty()) {
      if (name == "type") {
        stanza_.set_type(value.data(), value.size());
      } else if (name == "id") {
        stanza_.set_id(value.data(), value.size());
      } else if (name == "from") {
        stanza_.set_from(value.data(), value.size());
      } else if (name == "to") {
        stanza_.set_to(value.data(), value.size());
      }
    } else if (name == "lang" && ns == ns::kXml) {
      stanza_.set_lang(value.data(), value.size());
    }
  }
  is_request_ = kind == common::v1::STANZA_KIND_IQ && (stanza_.type() == "get" || stanza_.type() == "set");
  payload_.clear();
  traits_ = 0;
  children_ = 0;
  tag_open_ = in_body_ = in_muc_user_ = false;
  ns_text_.assign(ns::kClient);
  ns_stack_.assign(1, {0, static_cast<std::uint32_t>(ns::kClient.size())});
}

std::string_view XmlWorker::current_ns() const {
  const auto& [begin, size] = ns_stack_.back();
  return std::string_view(ns_text_).substr(begin, size);
}

void XmlWorker::CloseTag() {
  if (!tag_open_) return;
  payload_.push_back('>');
  tag_open_ = false;
}

void XmlWorker::NoteChild(std::string_view name, std::string_view ns) {
  const std::uint32_t traits = TraitsOfChild(name, ns);
  traits_ |= traits;
  in_body_ = IsBody(name, ns);
  in_muc_user_ = (traits & common::v1::STANZA_TRAIT_MUC_USER) != 0;
  if (++children_ == 1 && is_request_) {
    stanza_.set_payload_name(name.data(), name.size());
    stanza_.set_payload_namespace(ns.data(), ns.size());
  }
}

std::size_t XmlWorker::StartInStanza() {
  const std::size_t level = depth_ - 1 - item_level_;  // 1: a child of the stanza
  if (level == 1) {
    NoteChild(tag_.name, tag_.ns);
  } else if (level == 2 && in_muc_user_ && IsMediatedInvite(tag_.name, tag_.ns)) {
    traits_ |= common::v1::STANZA_TRAIT_MUC_INVITE;
  }

  CloseTag();
  const std::size_t size_before = payload_.size();
  payload_.push_back('<');
  payload_.append(tag_.name);
  const auto top = ns_stack_.back();
  if (current_ns() == tag_.ns) {
    ns_stack_.push_back(top);
  } else {
    payload_.append(" xmlns=\"");
    AppendEscaped(payload_, tag_.ns);
    payload_.push_back('"');
    const std::uint32_t begin = top.first + top.second;
    ns_text_.resize(begin);
    ns_text_.append(tag_.ns);
    ns_stack_.emplace_back(begin, static_cast<std::uint32_t>(tag_.ns.size()));
  }
  std::vector<std::string_view> declared;
  for (const SaxAttribute& attribute : tag_.attributes) {
    if (attribute.ns.empty()) {
      payload_.push_back(' ');
    } else if (attribute.ns == ns::kXml) {
      payload_.append(" xml:");
    } else {
      std::size_t index = 0;
      while (index < declared.size() && declared[index] != attribute.ns) ++index;
      const std::string prefix = "ns" + std::to_string(index);
      if (index == declared.size()) {
        declared.push_back(attribute.ns);
        payload_.append(" xmlns:").append(prefix).append("=\"");
        AppendEscaped(payload_, attribute.ns);
        payload_.push_back('"');
      }
      payload_.append(" ").append(prefix).append(":");
    }
    payload_.append(attribute.name);
    payload_.append("=\"");
    AppendEscaped(payload_, attribute.value);
    payload_.push_back('"');
  }
  tag_open_ = true;
  return payload_.size() - size_before;
}

void XmlWorker::End(const char* name) {
  if (error_ != StreamParseError::kNone) return;
  --depth_;
  scope_.Close();
  if (depth_ < item_level_) {
    root_closed_ = true;
    return;
  }
  if (depth_ == item_level_) {
    if (!is_stanza_) builder_.End();
    item_open_ = false;
    item_ready_ = true;
    return;
  }
  if (!is_stanza_) {
    builder_.End();
    return;
  }
  if (tag_open_) {
    payload_.append("/>");
    tag_open_ = false;
  } else {
    payload_.append("</");
    payload_.append(LocalName(name));
    payload_.push_back('>');
  }
  ns_stack_.pop_back();
  if (depth_ == item_level_ + 1) in_body_ = in_muc_user_ = false;
}

void XmlWorker::Text(std::string_view text) {
  if (error_ != StreamParseError::kNone) return;
  // Between stanzas StreamParser takes white space itself.
  if (!item_open_) return Refuse(StreamParseError::kBadFormat);
  if (!is_stanza_) return Grow(builder_.Text(text));
  CloseTag();
  const std::size_t size_before = payload_.size();
  AppendText(payload_, text);
  Grow(payload_.size() - size_before);
  if (in_body_ && depth_ == item_level_ + 2) traits_ |= common::v1::STANZA_TRAIT_BODY;
}

WorkerPool& WorkerPool::OfThisThread() {
  thread_local WorkerPool pool;
  return pool;
}

std::unique_ptr<XmlWorker> WorkerPool::Take(const std::string& root) {
  for (std::size_t i = idle_.size(); i-- > 0;) {
    if (idle_[i]->root() != root) continue;
    std::unique_ptr<XmlWorker> worker = std::move(idle_[i]);
    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
    return worker;
  }
  return XmlWorker::InsideRoot(root);
}

void WorkerPool::Give(std::unique_ptr<XmlWorker> worker) {
  if (!worker->Reusable()) return;
  if (idle_.size() == kPooledWorkers) idle_.erase(idle_.begin());  // the least used
  idle_.push_back(std::move(worker));
}

}  // namespace rookery::xmpp
