#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "protocols/admission.h"
#include "protocols/connection_set.h"
#include "protocols/xmpp/stream_services.h"
#include "rookery/net/connection.h"
#include "rookery/net/tls.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::gateway {

/// The XMPP listeners of this process. Owned by the app; I/O thread only.
class XmppServer {
 public:
  struct Listen {
    enum class Kind { kTcp, kTcpDirectTls, kWebSocket, kWebSocketTls };
    Kind kind = Kind::kTcp;
    std::string name;  // as in `listeners.<name>`, in logs and metrics
    std::string address;
    TlsMode tls_mode = TlsMode::kOff;      // kTcp
    std::shared_ptr<net::TlsContext> tls;  // unless kWebSocket, or kTcp with kOff
    std::size_t max_connections = 0;
    std::size_t max_connections_per_address = 0;
    net::TcpKeepalive keepalive = {};
  };

  XmppServer(asio::io_context& io, StreamServices services, const Admission::Options& admission,
             ConnectionSet& set, telemetry::Metrics& metrics);
  ~XmppServer();

  /// Logs `<name>.listening` with the bound address.
  absl::Status Add(const Listen& listen);
  /// Accepts no more, and closes those that still wait for their sign-in to begin; the other
  /// connections live on.
  void Stop();
  bool is_listening() const { return listening_; }

 private:
  struct Entry;

  asio::io_context& io_;
  const StreamServices services_;
  ConnectionSet& set_;
  telemetry::Metrics& metrics_;
  Admission admission_;
  std::vector<std::unique_ptr<Entry>> entries_;
  bool listening_ = false;
};

}  // namespace rookery::gateway
