#include "protocols/xmpp/tcp_connection.h"

#include <utility>

namespace rookery::gateway {

TcpConnection::TcpConnection(const StreamServices& services, ConnectionSet& set,
                             std::unique_ptr<net::Connection> connection, TlsMode tls,
                             std::shared_ptr<net::TlsContext> start_tls, Admission::Ticket ticket)
    : XmppConnection(services, set, std::move(connection), xmpp::Framing::kStream, tls, std::move(ticket)),
      start_tls_(std::move(start_tls)) {}

void TcpConnection::OnData(std::string_view data) {
  if (closed_) return;
  Received(data.size());
  if (closed_) return;
  if (paused_) {
    pending_.append(data);  // what came with the bytes that made us pause
  } else {
    Consume(data);
  }
}

void TcpConnection::Consume(std::string_view data) {
  const std::string_view rest = Parse(data);
  if (closed_) return;
  if (!proceed_.empty()) {
    // White space belongs to no stream. Anything else was put there in the hope that we
    // take it for part of the encrypted stream.
    if (rest.find_first_not_of(" \t\r\n") != std::string_view::npos) return stream_.OnDataBeforeTls();
    connection_->Write(std::exchange(proceed_, {}));
    parser_.Reset();
    paused_ = false;
    connection_->StartTls(std::exchange(start_tls_, nullptr));
    connection_->ResumeReading();
    return;
  }
  pending_.assign(rest);
}

void TcpConnection::TakePending() {
  if (pending_.empty()) return;
  const std::string data = std::exchange(pending_, {});
  Consume(data);
}

void TcpConnection::Send(std::string_view xml) {
  if (closed_) return;
  services_.metrics.BytesOut(xml.size());
  connection_->Write(xml);
}

bool TcpConnection::SendKeepalive() {
  // RFC 6120 section 4.6.1: white space. Nobody answers it, but the kernel of a peer that
  // is gone does not acknowledge it either.
  if (!closed_) connection_->Write(" ");
  return false;
}

void TcpConnection::StartTls(std::string_view proceed) {
  proceed_ = proceed;
  PauseInput();
}

void TcpConnection::Close() {
  if (std::exchange(closed_, true)) return;
  connection_->CloseAfterFlush();
}

}  // namespace rookery::gateway
