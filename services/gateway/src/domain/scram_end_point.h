#pragma once

#include <string>
#include <string_view>

#include "domain/scram_message.h"
#include "rookery/base/scram.h"

namespace rookery::gateway {

/// The server's side of a SCRAM exchange bound to `tls-server-end-point` (RFC 5802
/// section 5, RFC 5929 section 4), which libgsasl cannot do: it knows the two
/// bindings of a connection but not the one of a certificate.
class ScramEndPoint {
 public:
  /// `first` is a parsed client-first-message that binds to tls-server-end-point;
  /// `binding` the certificate's hash.
  ScramEndPoint(const ScramClientFirst& first, ScramKey key, std::string_view binding,
                std::string_view server_nonce);

  const std::string& server_first() const { return server_first_; }

  enum class Verdict { kMalformed, kRefused, kVerified };
  /// On kVerified `*server_final` is the additional data with success.
  Verdict Verify(std::string_view client_final, std::string* server_final) const;

 private:
  ScramKey key_;
  std::string expected_binding_;  // what c= must hold
  std::string nonce_;
  std::string client_first_bare_;
  std::string server_first_;
};

}  // namespace rookery::gateway
