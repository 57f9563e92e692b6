#include "protocols/xmpp/websocket_connection.h"

#include <algorithm>
#include <utility>

#include "domain/text.h"
#include "protocols/xmpp/host_meta.h"

namespace rookery::gateway {
namespace {

constexpr std::string_view kPath = "/xmpp-websocket";
constexpr std::uint16_t kNormalClosure = 1000;

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
  if (!request.ok()) return Respond({400, "text/plain; charset=utf-8", {}, "bad request\n"});
  if (!request->has_value()) return;

  const net::HttpRequest& http = **request;
  const std::string_view path = PathOf(http.target);
  if (http.method != "GET")
    return Respond({405, "text/plain; charset=utf-8", {{"Allow", "GET"}}, "GET only\n"});
  if (path == "/.well-known/host-meta" || path == "/.well-known/host-meta.json") {
    std::string url = services_.settings.websocket_url;
    if (url.empty()) url = Cat(is_tls() ? "wss://" : "ws://", http.Header("host"), kPath);
    const bool json = path != "/.well-known/host-meta";
    return Respond({200,
                    json ? "application/json" : "application/xrd+xml",
                    {{"Access-Control-Allow-Origin", "*"}},
                    json ? HostMetaJson(url) : HostMetaXml(url)});
  }
  if (path != kPath) return Respond({404, "text/plain; charset=utf-8", {}, "not found\n"});
  const auto upgrade = net::AcceptWebSocket(http, "xmpp");
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

void WebSocketConnection::Close() {
  if (std::exchange(closed_, true)) return;
  if (framer_ != nullptr) framer_->SendClose(kNormalClosure);
  connection_->CloseAfterFlush();
}

}  // namespace rookery::gateway
