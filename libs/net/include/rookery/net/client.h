#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/net/connection.h"

namespace rookery::net {

struct TlsClientOptions {
  /// PEM file of authorities; empty: the system's.
  std::string ca_file;
  /// Checks the chain and the name. Off only with a server of our own.
  bool verify = true;
  std::vector<std::string> alpn;
};

/// A client's TLS settings, shared by its connections.
class TlsClientContext {
 public:
  static absl::StatusOr<std::shared_ptr<TlsClientContext>> Create(const TlsClientOptions& options);
  virtual ~TlsClientContext() = default;
};

/// Connects to `host:port` within `timeout`; `done` runs on the I/O thread, never
/// within the call. A host name is resolved off the I/O thread; its addresses are
/// tried in order. INVALID_ARGUMENT, UNAVAILABLE, DEADLINE_EXCEEDED.
void ConnectTcp(asio::io_context& io, const std::string& address, std::chrono::milliseconds timeout,
                std::function<void(absl::StatusOr<std::unique_ptr<Connection>>)> done);

/// Turns a connection of this library into TLS as client: at once for direct TLS
/// (before or after Start), or in the middle for STARTTLS. OnTlsEstablished follows.
void StartTlsClient(Connection& connection, std::shared_ptr<TlsClientContext> context,
                    const std::string& server_name);

}  // namespace rookery::net
