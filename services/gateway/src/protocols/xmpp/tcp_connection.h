#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "protocols/xmpp/xmpp_connection.h"
#include "rookery/net/tls.h"

namespace rookery::gateway {

/// XMPP over TCP (RFC 6120 section 3), plain, with STARTTLS or with TLS from the start
/// (XEP-0368).
class TcpConnection final : public XmppConnection {
 public:
  /// `start_tls` is nullptr where there is no STARTTLS.
  TcpConnection(const StreamServices& services, ConnectionSet& set,
                std::unique_ptr<net::Connection> connection, TlsMode tls,
                std::shared_ptr<net::TlsContext> start_tls, Admission::Ticket ticket);

  void OnData(std::string_view data) override;

  void Send(std::string_view xml) override;
  bool SendKeepalive() override;
  void RestartStream() override { parser_.Reset(); }
  bool can_start_tls() const override { return start_tls_ != nullptr; }
  void StartTls(std::string_view proceed) override;
  void Close() override;

 private:
  void TakePending() override;
  void Consume(std::string_view data);

  std::shared_ptr<net::TlsContext> start_tls_;
  std::string proceed_;  // not empty: <starttls/> has been read
  std::string pending_;  // read but not parsed, while paused
};

}  // namespace rookery::gateway
