#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "domain/ring.h"
#include "protocols/xmpp/xmpp_connection.h"
#include "rookery/net/http.h"
#include "rookery/net/websocket.h"

namespace rookery::gateway {

/// XMPP over WebSocket (RFC 7395), and the two documents by which clients find it
/// (XEP-0156).
class WebSocketConnection final : public XmppConnection, public net::WebSocketFramer::Handler {
 public:
  WebSocketConnection(const StreamServices& services, ConnectionSet& set,
                      std::unique_ptr<net::Connection> connection, Admission::Ticket ticket);

  void OnData(std::string_view data) override;

  void Send(std::string_view xml) override;
  bool SendKeepalive() override;
  void RestartStream() override { parser_.Reset(); }
  bool can_start_tls() const override { return false; }
  void StartTls(std::string_view) override {}
  void SetLimits(const xmpp::ParserLimits& limits, std::size_t bytes_per_second) override;
  // Unless the operator wants it there is nothing to bind to over wss either: a browser
  // shows its scripts nothing of TLS, and a client that prefers -PLUS wherever it is
  // offered would fail.
  std::string TlsExporter() const override;
  std::string TlsServerEndPoint() const override;
  // A browser presents its user's certificate to whatever page asks for the connection.
  std::string TlsPeerCertificateDer() const override;
  void Close() override;

  // net::WebSocketFramer::Handler
  void OnMessage(std::string_view message, bool is_text) override;
  void OnControlFrame() override { stream_.OnControlFrame(); }
  void OnOutput(std::string_view bytes) override;
  void OnWebSocketClosed(std::uint16_t code) override;

 private:
  void TakePending() override;
  void OnHttp();
  void OnUpgradeRequest(const net::HttpRequest& request);
  void SendHostMeta(bool is_json);
  void Respond(const net::HttpResponse& response);
  void RespondText(int status, std::string_view text);

  std::unique_ptr<net::HttpRequestParser> request_;  // until the connection is upgraded
  std::unique_ptr<net::WebSocketFramer> framer_;
  bool is_browser_ = false;
  Ring<std::string> pending_;  // messages that came while paused
};

}  // namespace rookery::gateway
