#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ports/cluster.h"
#include "protocols/xmpp/registration.h"
#include "protocols/xmpp/sasl_negotiation.h"
#include "protocols/xmpp/stream_error.h"
#include "protocols/xmpp/stream_services.h"
#include "protocols/xmpp/stream_transport.h"
#include "rookery/base/clock.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/stream_parser.h"

namespace rookery::gateway {

/// A client's stream from its first header to its end (RFC 6120 sections 4 to 8): what
/// may come when, and what is answered. Its session, once there is one, is the
/// Cluster's. Owned by its connection together with the transport; I/O thread only.
///
///     kHeader ─▶ kNegotiating ─▶ (STARTTLS: kHeader again)
///                     │ SASL
///                     ▼
///                  kRestart ─▶ kBinding ─▶ kLive ─▶ kClosed
class ClientStream final : public xmpp::StreamHandler, public SessionClient, public SaslNegotiation::Owner {
 public:
  ClientStream(const StreamServices& services, StreamTransport& transport, TlsMode tls, SteadyTime now);
  ~ClientStream() override;
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  // What the transport says.
  void OnParseError(xmpp::StreamParseError error);
  void OnTlsEstablished();
  /// Bytes stood behind <starttls/> (RFC 6120 section 5.4.3.3, and the injection it invites).
  void OnDataBeforeTls();
  void OnDrained();
  /// More is queued than a stream may have, and the peer goes on asking for more.
  void OnOutputFull();
  /// The connection broke, or ended without </stream:stream>.
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

  // SessionClient
  void OnPacket(const xmpp::Stanza& stanza, std::string_view to) override;
  void OnConfirmed() override;
  void OnBatchEnd() override;
  void OnSessionEnded(std::string_view condition, std::string_view text) override;
  void OnUncongested() override;

  // SaslNegotiation::Owner
  void OnAuthenticated(const std::string& user) override;
  void OnTooManyAttempts() override;

  bool is_live() const { return phase_ == Phase::kLive; }
  bool is_closed() const { return phase_ == Phase::kClosed; }

 private:
  enum class Phase : std::uint8_t { kHeader, kNegotiating, kRestart, kBinding, kLive, kClosed };
  /// What is needed until the client is bound, and not after.
  struct Negotiation;

  void SendHeader(std::string_view from, std::string_view to);
  void OfferFeatures();
  void StartTls();
  /// Sends the error and closes; the session ends for `reason`.
  void CloseWithError(StreamError error, EndReason reason, std::string_view text = {},
                      std::string_view application = {});
  void Close();
  void EndSession(EndReason reason);
  std::string_view domain() const;

  void Bind(const xmpp::Stanza& iq);
  void SendBindError(const std::string& id, xmpp::ErrorCondition condition);
  void GoLive(ClientSession& session);
  void ForwardStanza(xmpp::Stanza stanza);
  bool StampFrom(xmpp::Stanza& stanza) const;
  void LimitOutput();

  // XEP-0198
  void HandleStreamManagement(const xmpp::Element& element);
  void Enable(const xmpp::Element& element);
  void Resume(const xmpp::Element& element);
  void OnResumed(const Cluster::Resumption& resumption, std::string_view previd, std::uint64_t inbound_base,
                 std::uint32_t h);
  void HandleAck(const xmpp::Element& element);
  void SendAck();
  void RequestAck();
  void CloseHandledTooHigh(std::uint32_t h, std::uint32_t sent);

  const StreamServices& services_;
  StreamTransport& transport_;
  ClientSession* session_ = nullptr;
  std::unique_ptr<Negotiation> negotiation_;
  /// The stanzas of the session that its client's h does not count.
  std::uint64_t inbound_base_ = 0;
  /// An <a/> for stanzas up to this one is owed: they were not confirmed when <r/> came.
  std::uint64_t ack_owed_ = 0;
  std::string lang_;
  SteadyTime since_;     // of the connection; once live, of the last keepalive
  SteadyTime asked_at_;  // when the <r/> or the probe that is out was sent
  SteadyTime drained_at_;
  Phase phase_ = Phase::kHeader;
  TlsMode tls_;
  std::uint8_t domain_index_ = 0;
  bool header_sent_ = false;
  bool ack_requested_ = false;
  bool probed_ = false;
  bool input_paused_ = false;
};

}  // namespace rookery::gateway
