#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/net/tls.h"

namespace rookery::net {

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, SslDeleter>;

struct SslCtxDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslCtxPtr = std::unique_ptr<SSL_CTX, SslCtxDeleter>;

/// The oldest error in OpenSSL's queue of this thread as text; empties the queue.
std::string TakeOpenSslError();

/// Certificates and settings as read at one moment. A connection keeps the one that
/// it began with, so a reload never changes a handshake halfway.
class TlsSnapshot {
 public:
  struct Entry {
    std::string domain;  // lower case; "*.example.org" for a wildcard
    SslCtxPtr context;
  };
  TlsSnapshot(std::vector<Entry> entries, std::string alpn_wire);

  /// The context for an SNI name; the default if none fits.
  SSL_CTX* Choose(std::string_view server_name) const;
  /// A server side for one connection; null when memory is out.
  SslPtr NewServer() const;

 private:
  static int OnServerName(SSL* ssl, int* alert, void* self);
  static int OnAlpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned int in_size, void* self);

  std::vector<Entry> entries_;
  std::size_t default_ = 0;
  std::string alpn_wire_;
};

/// The server contexts that Connection::StartTls takes.
class ServerTlsContext : public TlsContext {
 public:
  virtual std::shared_ptr<const TlsSnapshot> snapshot() const = 0;
};

}  // namespace rookery::net
