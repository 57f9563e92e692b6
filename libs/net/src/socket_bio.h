#pragma once

#include <openssl/bio.h>

namespace rookery::net {

/// A BIO on a non-blocking socket that it doesn't own. OpenSSL's own writes with
/// write(2), which raises SIGPIPE on a broken connection.
BIO* NewSocketBio(int descriptor);

}  // namespace rookery::net
