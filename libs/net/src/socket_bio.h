#pragma once

#include <openssl/bio.h>

#include <cstddef>

namespace rookery::net {

/// A non-blocking socket under TLS. OpenSSL reads on until it has data for its caller, so how much it may
/// read at a time is decided here: a peer may send records without any.
struct TlsSocket {
  int descriptor = -1;
  /// How many bytes may still be read; then the socket looks empty.
  std::size_t may_read = 0;
  /// How many have been read.
  std::size_t taken = 0;
};

/// A BIO on a socket that it doesn't own. OpenSSL's own writes with write(2), which raises SIGPIPE on a
/// broken connection. `socket` must outlive it.
BIO* NewSocketBio(TlsSocket& socket);

}  // namespace rookery::net
