#include "protocols/xmpp/websocket_connection.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "domain/text.h"
#include "protocols/xmpp/host_meta.h"

namespace rookery::gateway {
namespace {

constexpr std::string_view kPath = "/xmpp-websocket";
constexpr std::uint16_t kNormalClosure = 1000;
constexpr std::string_view kHostMetaCaching = "public, max-age=600";

std::string_view PathOf(std::string_view target) { return target.substr(0, target.find('?')); }

}  // namespace

WebSocketConnection::WebSocketConnection(const StreamServices& services, ConnectionSet& set,
                                         std::unique_ptr<net::Connection> connection,
                                         Admission::Ticket ticket)
    : XmppConnection(services, set, std::move(connection), xmpp::Framing::kWebSocket, TlsMode::kOff,
                     std::move(ticket)),
      request_(std::make_unique<net::HttpRequestParser>()) {}

void WebSocketConnection::OnData(std::string_view data) {
  if (closed_) return;
  Received(data.size());
  if (closed_) return;
  if (framer_ != nullptr) return framer_->Feed(data);
  request_->Append(data);
  OnHttp();
}

void WebSocketConnection::OnHttp() {
  const auto request = request_->Next();
  if (!request.ok()) return RespondText(400, "bad request\n");
  if (!request->has_value()) return;

  const net::HttpRequest& http = **request;
  const std::string_view path = PathOf(http.target);
  if (http.method != "GET")
    return Respond({405, "text/plain; charset=utf-8", {{"Allow", "GET"}}, "GET only\n"});
  if (path == "/.well-known/host-meta") return SendHostMeta(/*is_json=*/false);
  if (path == "/.well-known/host-meta.json") return SendHostMeta(/*is_json=*/true);
  if (path != kPath) return RespondText(404, "not found\n");
  OnUpgradeRequest(http);
}

void WebSocketConnection::SendHostMeta(bool is_json) {
  // Nothing of the request is in it: a cache may keep it for everybody.
  const std::string& url = services_.settings.websocket_url;
  if (url.empty()) return RespondText(404, "not found\n");
  Respond({200,
           is_json ? "application/json" : "application/xrd+xml",
           {{"Access-Control-Allow-Origin", "*"}, {"Cache-Control", std::string(kHostMetaCaching)}},
           is_json ? HostMetaJson(url) : HostMetaXml(url)});
}

void WebSocketConnection::OnUpgradeRequest(const net::HttpRequest& request) {
  for (const auto& [name, value] : request.headers) {
    if (!absl::EqualsIgnoreCase(name, "origin")) continue;
    is_browser_ = true;
    if (services_.settings.web_origins.Allows(value) && !value.empty()) continue;
    services_.metrics.origins_refused.Increment();
    return RespondText(403, "pages of this origin may not connect\n");
  }
  const auto upgrade = net::AcceptWebSocket(request, "xmpp");
  if (!upgrade.ok()) {
    net::HttpResponse refusal{
        400, "text/plain; charset=utf-8", {}, Cat(std::string(upgrade.status().message()), "\n")};
    if (absl::IsFailedPrecondition(upgrade.status())) {
      refusal.status = 426;  // RFC 6455 section 4.4
      refusal.headers = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}};
    }
    return Respond(refusal);
  }
  connection_->Write(*upgrade);
  framer_ =
      std::make_unique<net::WebSocketFramer>(*this, services_.settings.limits_before_auth.max_stanza_bytes);
  const std::string rest = request_->TakeRest();
  request_.reset();
  if (!rest.empty()) framer_->Feed(rest);
}

void WebSocketConnection::RespondText(int status, std::string_view text) {
  Respond({status, "text/plain; charset=utf-8", {}, std::string(text)});
}

void WebSocketConnection::Respond(const net::HttpResponse& response) {
  connection_->Write(net::FormatHttpResponse(response, false));
  closed_ = true;
  stream_.OnConnectionLost();
  connection_->CloseAfterFlush();
}

void WebSocketConnection::OnMessage(std::string_view message, bool is_text) {
  if (closed_) return;
  // RFC 7395 section 3.2.
  if (!is_text) return stream_.OnParseError(xmpp::StreamParseError::kBadFormat);
  // Section 3.3: each message is an element. The parser is only asked about bytes.
  if (message.empty()) return stream_.OnParseError(xmpp::StreamParseError::kNotWellFormed);
  if (paused_) {
    pending_.PushBack(std::string(message));
    return;
  }
  Parse(message);
}

void WebSocketConnection::TakePending() {
  while (!pending_.empty() && !paused_ && !closed_) {
    const std::string message = std::move(pending_.front());
    pending_.PopFront();
    Parse(message);
  }
}

void WebSocketConnection::OnOutput(std::string_view bytes) { connection_->Write(bytes); }

void WebSocketConnection::OnWebSocketClosed(std::uint16_t) {
  // Without <close/> the stream is lost, not closed (RFC 7395 section 3.6.1).
  closed_ = true;
  stream_.OnConnectionLost();
  connection_->CloseAfterFlush();
}

void WebSocketConnection::SetLimits(const xmpp::ParserLimits& limits, std::size_t bytes_per_second) {
  XmppConnection::SetLimits(limits, bytes_per_second);
  if (framer_ != nullptr) framer_->set_max_message_bytes(limits.max_stanza_bytes);
}

void WebSocketConnection::Send(std::string_view xml) {
  if (closed_ || framer_ == nullptr) return;
  services_.metrics.BytesOut(xml.size());
  framer_->SendText(xml);
}

bool WebSocketConnection::SendKeepalive() {
  // RFC 7395 section 3.8; the kernel sees only as far as the next proxy.
  if (closed_ || framer_ == nullptr) return false;
  framer_->SendPing();
  return true;
}

std::string WebSocketConnection::TlsExporter() const {
  return services_.settings.websocket_channel_binding ? XmppConnection::TlsExporter() : std::string();
}

std::string WebSocketConnection::TlsServerEndPoint() const {
  return services_.settings.websocket_channel_binding ? XmppConnection::TlsServerEndPoint() : std::string();
}

std::string WebSocketConnection::TlsPeerCertificateDer() const {
  return is_browser_ ? std::string() : XmppConnection::TlsPeerCertificateDer();
}

void WebSocketConnection::Close() {
  if (std::exchange(closed_, true)) return;
  if (framer_ != nullptr) framer_->SendClose(kNormalClosure);
  connection_->CloseAfterFlush();
}

}  // namespace rookery::gateway
