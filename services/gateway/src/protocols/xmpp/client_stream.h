#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "protocols/admission.h"
#include "protocols/xmpp/established_stream.h"
#include "protocols/xmpp/input_budget.h"
#include "protocols/xmpp/stream_error.h"
#include "protocols/xmpp/stream_negotiation.h"
#include "protocols/xmpp/stream_services.h"
#include "protocols/xmpp/stream_transport.h"
#include "rookery/base/clock.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stream_parser.h"

namespace rookery::gateway {

/// A client's stream from its first header to its end (RFC 6120 section 4): headers, errors
/// and closing are here, what is said in between is its negotiation's and then its session's
/// to decide. Owned by its connection together with the transport; I/O thread only.
class ClientStream final : public xmpp::StreamHandler, private StreamNegotiation::Owner {
 public:
  ClientStream(const StreamServices& services, StreamTransport& transport, TlsMode tls, SteadyTime now,
               Admission::Ticket ticket);
  ~ClientStream() override;
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  // Calls by the transport.
  /// Bytes have come: a client that sends more than it takes, or more than signing in can need, is
  /// closed.
  void OnInput(std::size_t bytes);
  /// A ping or the like of a WebSocket: no element, and answered all the same.
  void OnControlFrame();
  void OnParseError(xmpp::StreamParseError error);
  void OnTlsEstablished();
  /// Bytes stood behind <starttls/> (RFC 6120 section 5.4.3.3, and the injection it invites).
  void OnDataBeforeTls();
  void OnDrained();
  /// The connection broke, or ended without </stream:stream>, or before the answer to it.
  void OnConnectionLost();
  /// Once a second or so. `last_received`: when the peer's last bytes came.
  void OnTick(SteadyTime now, SteadyTime last_received);
  /// The process goes down.
  void Shutdown();

  // xmpp::StreamHandler
  void OnStreamOpen(const xmpp::Element& header, std::string_view default_ns) override;
  void OnStanza(xmpp::Stanza stanza) override;
  void OnElement(const xmpp::Element& element) override;
  void OnStreamClose() override;

 private:
  // StreamNegotiation::Owner and StreamControl
  void SendHeader(std::string_view from, std::string_view to) override;
  void ExpectHeader() override { header_sent_ = false; }
  void CloseWithError(StreamError error, EndReason reason, std::string_view text = {},
                      std::string_view application = {}) override;
  void Close() override;
  void CloseInOrder() override;
  void OnSession(ClientSession& session, std::uint64_t inbound_base) override;

  void End(EndReason reason);

  const StreamServices& services_;
  StreamTransport& transport_;
  InputBudget budget_;
  EstablishedStream established_;
  std::unique_ptr<StreamNegotiation> negotiation_;  // until there is a session
  bool header_sent_ = false;
  bool client_has_closed_ = false;  // its stream, in order
  bool closed_ = false;
};

}  // namespace rookery::gateway
