#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace rookery::net {

struct TlsCertificate {
  /// Virtual host (SNI) it is for; empty: the default.
  std::string domain;
  std::string certificate_file;  // PEM chain
  std::string key_file;
};

struct TlsOptions {
  std::vector<TlsCertificate> certificates;
  /// ALPN names to accept, best first: "xmpp-client", "http/1.1". A client that
  /// offers only others is refused (XEP-0368).
  std::vector<std::string> alpn;
  /// PEM file of authorities for client certificates; empty: none are asked for.
  std::string client_ca_file;
};

/// A server's TLS settings: TLS 1.2 and 1.3, a certificate for each virtual host by SNI.
/// I/O thread only, except for construction.
class TlsContext {
 public:
  /// NOT_FOUND or INVALID_ARGUMENT names the file.
  static absl::StatusOr<std::shared_ptr<TlsContext>> Create(TlsOptions options);
  virtual ~TlsContext() = default;
  /// Reads the files again; on an error the old certificates stay in force.
  virtual absl::Status Reload() = 0;
  /// Reload if a file has changed since.
  virtual absl::Status ReloadIfChanged() = 0;
};

}  // namespace rookery::net
