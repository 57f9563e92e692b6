#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "element_builder.h"
#include "namespaces.h"
#include "rookery/xmpp/stream_parser.h"
#include "sax.h"

namespace rookery::xmpp {

/// One expat parser and what it is building. It reads either a document from its
/// beginning, or first-level elements inside an open root. In the second state, and
/// between two elements, it depends on nothing but the root's text, so streams with
/// the same root take turns with the same worker (see WorkerPool).
class XmlWorker {
 public:
  /// Items are children of the document's root (a stream), or the root itself (a
  /// WebSocket message).
  enum class Items { kChildren, kRoot };

  /// A worker at the beginning of a document.
  static std::unique_ptr<XmlWorker> ForDocument(Items items);
  /// A worker inside `root`, an open tag with its namespace declarations.
  static std::unique_ptr<XmlWorker> InsideRoot(const std::string& root);

  XmlWorker(const XmlWorker&) = delete;
  XmlWorker& operator=(const XmlWorker&) = delete;

  /// Starts counting for the limits anew.
  void BeginItem(const ParserLimits& limits);
  /// The rest of a document, all at once.
  StreamParseError FeedDocument(std::string_view document) { return Feed(document, true); }
  /// Takes the next piece of `rest`, `*used` bytes of it, such that an item that ends
  /// within `rest` ends where a piece ends. `*fresh`: these are the first bytes of a
  /// read; cleared by the call. `last`: nothing may follow `rest`.
  StreamParseError FeedPiece(std::string_view rest, bool last, bool* fresh, std::size_t* used);
  /// Text where an element should be: there will be an error, but which one depends
  /// on how much expat sees at once.
  StreamParseError FeedByte(char byte) { return Feed({&byte, 1}, false); }

  /// The root's open tag was seen; take header() and root() once.
  bool header_ready() const { return header_ready_; }
  Element TakeHeader() { return std::move(header_); }
  const std::string& root() const { return root_; }
  const std::string& default_ns() const { return default_ns_; }
  bool root_closed() const { return root_closed_; }

  bool item_ready() const { return item_ready_; }
  bool is_stanza() const { return is_stanza_; }
  Stanza TakeStanza();
  Element TakeElement() { return builder_.Take(); }

  /// False when it has grown too large, or expat remembers too many names, for it to be
  /// used again.
  bool Reusable() const;
  void ClearHeader();

 private:
  explicit XmlWorker(Items items);

  StreamParseError Feed(std::string_view bytes, bool is_final);
  std::size_t OpenTagEnd(std::string_view rest);
  std::size_t EndTagEnd(std::string_view rest) const;
  std::size_t UnfinishedToken() const;

  void Refuse(StreamParseError error);
  void Start(const char* name, const char** attributes);
  void End(const char* name);
  void Text(std::string_view text);

  void StartRoot(std::string_view qualified);
  void StartItem(std::string_view qualified);
  /// Returns how much longer the payload is.
  std::size_t StartInStanza();
  /// Returns what expat remembers of a tag's names, as far as can be told without those that it knew before.
  std::size_t MemoryOfNames(const char* name, const char** attributes);
  void NoteChild(std::string_view name, std::string_view ns);
  void Grow(std::size_t bytes);
  void CloseTag();
  std::string_view current_ns() const;

  ExpatHandle parser_;
  const ParserLimits* limits_ = nullptr;
  const std::size_t item_level_;  // depth at which items start
  std::uint64_t fed_ = 0;
  StreamParseError error_ = StreamParseError::kNone;
  char quote_ = 0;             // around the attribute value being read, before the item is open
  std::size_t rescanned_ = 0;  // bytes of unfinished tokens that expat has seen again
  std::string held_;           // bytes that cannot finish one, not given to it yet

  std::size_t depth_ = 0;  // open elements
  std::size_t elements_ = 0;
  std::size_t names_ = 0;   // of elements and attributes
  std::vector<bool> seen_;  // by the hash of a name, once there are many
  std::size_t grown_ = 0;   // bytes of what is built of the item, and of what expat remembers of it
  NamespaceScope scope_;
  SaxElement tag_;

  Element header_;
  std::string root_;
  std::string default_ns_;
  bool header_ready_ = false;
  bool root_closed_ = false;

  bool item_open_ = false;
  bool item_ready_ = false;
  bool is_stanza_ = false;
  std::string end_tag_;  // `</` and the name of the open item
  ElementBuilder builder_;

  Stanza stanza_;
  std::string payload_;
  std::uint32_t traits_ = 0;
  std::size_t children_ = 0;
  bool is_request_ = false;
  bool in_body_ = false;
  bool in_muc_user_ = false;
  bool tag_open_ = false;  // the last open tag in payload_ still lacks its `>`
  // Default namespace of each open element: pieces of ns_text_.
  std::string ns_text_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ns_stack_;
};

/// A few idle workers of this thread.
class WorkerPool {
 public:
  static WorkerPool& OfThisThread();
  std::unique_ptr<XmlWorker> Take(const std::string& root);
  void Give(std::unique_ptr<XmlWorker> worker);
  std::size_t size() const { return idle_.size(); }

 private:
  std::vector<std::unique_ptr<XmlWorker>> idle_;
};

}  // namespace rookery::xmpp
