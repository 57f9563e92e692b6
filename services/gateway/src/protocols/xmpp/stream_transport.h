#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocols/xmpp/peer_log.h"
#include "rookery/xmpp/stanza.h"
#include "rookery/xmpp/stream_parser.h"

namespace rookery::gateway {

/// How an XML stream's text reaches its peer and comes from it: over TCP or in WebSocket
/// messages. Owned with its ClientStream by the connection; I/O thread only.
class StreamTransport {
 public:
  virtual ~StreamTransport() = default;
  virtual xmpp::Framing framing() const = 0;

  /// One first-level element, header or end of stream; a WebSocket message each.
  virtual void Send(std::string_view xml) = 0;
  /// Something that costs the peer nothing and makes a broken connection show. True: the
  /// peer must answer it.
  virtual bool SendKeepalive() = 0;
  /// Gives the kernel now what it takes, rather than at the end of the turn. The stream may be told that the
  /// connection is gone within the call.
  virtual void Flush() = 0;
  /// Given to Send and not yet in the kernel.
  virtual std::size_t queued_bytes() const = 0;
  /// Bytes that the kernel has taken so far.
  virtual std::uint64_t taken_bytes() const = 0;

  /// No element is given after the one being handled, until ResumeInput; nor is the stream told that the
  /// connection is gone.
  virtual void PauseInput() = 0;
  virtual void ResumeInput() = 0;
  /// Only while input is paused: the peer says nothing more, and may not hear anything either.
  virtual bool has_peer_closed() const = 0;
  /// Only while input is paused: the connection is gone.
  virtual bool is_broken() const = 0;
  /// The peer begins a new stream on the connection.
  virtual void RestartStream() = 0;
  virtual void SetLimits(const xmpp::ParserLimits& limits, std::size_t bytes_per_second) = 0;

  virtual bool is_tls() const = 0;
  /// STARTTLS is available.
  virtual bool can_start_tls() const = 0;
  /// When nothing follows <starttls/>: sends `proceed` and begins. Else the stream hears
  /// OnDataBeforeTls.
  virtual void StartTls(std::string_view proceed) = 0;
  /// Channel bindings and the certificate, for SASL; empty: there is none.
  virtual std::string TlsExporter() const = 0;
  virtual std::string TlsServerEndPoint() const = 0;
  virtual std::string TlsPeerCertificateDer() const = 0;
  virtual Peer peer() const = 0;

  /// Writes what is queued, then closes. The stream is told nothing more.
  virtual void Close() = 0;
};

}  // namespace rookery::gateway
