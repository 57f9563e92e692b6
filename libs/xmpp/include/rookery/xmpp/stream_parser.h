#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::xmpp {

/// RFC 6120 section 4.9.3 conditions that parsing can find.
enum class StreamParseError {
  kNone,
  kBadFormat,
  kNotWellFormed,
  kRestrictedXml,  // comment, PI, DTD, entity reference
  kBadNamespacePrefix,
  kUnsupportedEncoding,
  kPolicyViolation,  // a limit
};

struct ParserLimits {
  /// As it comes. What is kept of one that has not ended may take four times as much memory.
  std::size_t max_stanza_bytes = 256 * 1024;
  std::size_t max_depth = 64;
  std::size_t max_attributes = 64;                // of one element
  std::size_t max_name_bytes = 512;               // of an element, attribute, prefix or namespace
  std::size_t max_namespaces = 64;                // declared in one stanza
  std::size_t max_elements = 8192;                // in one stanza
  std::size_t max_white_space_bytes = 64 * 1024;  // between two stanzas
};

/// Receives what a stream holds, in order. A view lives for the call only.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  /// The stream header, or a WebSocket <open/>: name, namespace, attributes; no children.
  /// `default_ns` is the content namespace that it declared; jabber:client in a
  /// WebSocket, where each stanza declares its own.
  virtual void OnStreamOpen(const Element& header, std::string_view default_ns) = 0;
  /// A message, presence or iq of jabber:client: built straight from the parser's
  /// events. Traits and payload name are set, addresses are as the client wrote them.
  virtual void OnStanza(Stanza stanza) = 0;
  /// Any other first-level element.
  virtual void OnElement(const Element& element) = 0;
  /// </stream:stream>.
  virtual void OnStreamClose() = 0;
};

/// One XML stream from one peer, through expat: no DTD, entity, comment or PI, UTF-8
/// checked, limits kept while parsing. The parser keeps no buffer between stanzas:
/// when idle at a stanza boundary it gives expat's memory back to a pool of the
/// thread. Not thread-safe; one thread for its life.
class StreamParser {
 public:
  /// kStream: a document without end (TCP). kWebSocket: each Parse call is given one
  /// whole message, which is a whole document (RFC 7395 section 3.3).
  StreamParser(Framing framing, StreamHandler& handler, ParserLimits limits);
  ~StreamParser();
  StreamParser(const StreamParser&) = delete;
  StreamParser& operator=(const StreamParser&) = delete;

  /// Calls the handler for everything that `data` completes. The handler may call
  /// Reset (stream restart) or Pause from within: the rest of `data` is then left
  /// and `*consumed` says how much was used. It must not destroy the parser. After an
  /// error every call gives that error, until Reset. A WebSocket message is used whole.
  StreamParseError Parse(std::string_view data, std::size_t* consumed);
  /// A new stream begins (after STARTTLS or SASL): forget everything.
  void Reset();
  /// From a handler: stop after the element being handled.
  void Pause();
  void set_limits(const ParserLimits& limits);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rookery::xmpp
