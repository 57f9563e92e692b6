#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace rookery::load {

/// The keys that a client keeps of a password so that PBKDF2 runs once for each account (RFC 5802 section 3,
/// SCRAM-SHA-256).
struct ScramKeys {
  std::string salt;
  std::uint32_t iterations = 0;
  std::string client_key;
  std::string server_key;
};

ScramKeys DeriveScramKeys(std::string_view password, std::string_view salt, std::uint32_t iterations);

/// One SCRAM-SHA-256 exchange without channel binding. It uses `keys` if they fit the
/// server's salt, else derives and replaces them.
class ScramClient {
 public:
  ScramClient(std::string_view user, std::string_view password, ScramKeys& keys, std::string nonce);
  std::string First() const;
  /// The answer to the server's first message.
  absl::StatusOr<std::string> Final(std::string_view server_first);
  /// Checks the server's signature.
  absl::Status Verify(std::string_view server_final) const;
  bool derived() const { return derived_; }
  /// Returns what the server has to show, once Final has been made.
  const std::string& server_signature() const { return server_signature_; }

 private:
  std::string bare_;
  std::string password_;
  ScramKeys& keys_;
  std::string nonce_;
  std::string server_signature_;
  bool derived_ = false;
};

}  // namespace rookery::load
