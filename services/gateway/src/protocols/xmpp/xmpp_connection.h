#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "protocols/admission.h"
#include "protocols/connection_set.h"
#include "protocols/xmpp/client_stream.h"
#include "protocols/xmpp/stream_services.h"
#include "protocols/xmpp/stream_transport.h"
#include "rookery/net/connection.h"
#include "rookery/xmpp/stream_parser.h"

namespace rookery::gateway {

/// The part that an XMPP connection over TCP and one over WebSocket have in common. Owned by the
/// ConnectionSet, from which it retires when the socket is closed.
class XmppConnection : public ClientConnection, public StreamTransport {
 public:
  XmppConnection(const StreamServices& services, ConnectionSet& set,
                 std::unique_ptr<net::Connection> connection, xmpp::Framing framing, TlsMode tls,
                 Admission::Ticket ticket);

  /// Once, when the set owns it.
  void Start() { connection_->Start(this); }

  // ClientConnection
  void OnTick(SteadyTime now) override { stream_.OnTick(now, last_received_); }
  void Shutdown() override { stream_.Shutdown(); }
  void OnDrained() override { stream_.OnDrained(); }
  void OnTlsEstablished() override { stream_.OnTlsEstablished(); }
  void OnTlsFailed(net::TlsFailure failure, std::string_view detail) override;
  void OnClosed(const absl::Status& status) override;

  // StreamTransport
  xmpp::Framing framing() const override { return framing_; }
  std::size_t queued_bytes() const override { return connection_->queued_bytes(); }
  std::uint64_t taken_bytes() const override { return connection_->taken_bytes(); }
  bool has_peer_closed() const override { return connection_->has_peer_closed(); }
  bool is_broken() const override { return connection_->is_broken(); }
  void Flush() override { connection_->Flush(); }
  void PauseInput() override;
  void ResumeInput() override;
  void SetLimits(const xmpp::ParserLimits& limits, std::size_t bytes_per_second) override;
  bool is_tls() const override { return connection_->is_tls(); }
  std::string TlsExporter() const override { return connection_->TlsExporter(); }
  std::string TlsServerEndPoint() const override { return connection_->TlsServerEndPoint(); }
  std::string TlsPeerCertificateDer() const override { return connection_->TlsPeerCertificateDer(); }
  Peer peer() const override { return {connection_->peer_address(), connection_->peer_network()}; }

 protected:
  /// Parses `data` until it is used up, input is paused or the stream is over; what is
  /// left. An error is told to the stream.
  std::string_view Parse(std::string_view data);
  /// Parses what was left.
  virtual void TakePending() = 0;

  /// Called first when bytes come; may close the stream.
  void Received(std::size_t bytes);

  const StreamServices& services_;
  ConnectionSet& set_;
  std::unique_ptr<net::Connection> connection_;
  const xmpp::Framing framing_;
  bool paused_ = false;
  bool parsing_ = false;
  bool closed_ = false;
  SteadyTime last_received_;
  ClientStream stream_;
  xmpp::StreamParser parser_;
};

}  // namespace rookery::gateway
