#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "scram.h"

namespace rookery::load {

/// The server's side of one SCRAM-SHA-256 exchange: it asks a second client what the right one would say.
class ScramServer {
 public:
  explicit ScramServer(std::string password) : password_(std::move(password)) {}

  /// For the text of `<auth/>`; what stands in `<challenge/>`.
  std::string Challenge(std::string_view auth) {
    const std::string first = Decode(auth);  // n,,n=user,r=nonce
    const std::size_t nonce = first.find(",r=");
    user_ = first.substr(5, nonce - 5);
    nonce_ = first.substr(nonce + 3);
    server_first_ = absl::StrCat("r=", nonce_, "server,s=", absl::Base64Escape("salt"), ",i=10");
    return absl::Base64Escape(server_first_);
  }
  /// For the text of `<response/>`; what stands in `<success/>`. Nothing: wrong.
  std::optional<std::string> Success(std::string_view response) {
    ScramKeys keys = DeriveScramKeys(password_, "salt", 10);
    ScramClient twin(user_, password_, keys, nonce_);
    const absl::StatusOr<std::string> final = twin.Final(server_first_);
    if (!final.ok() || *final != Decode(response)) return std::nullopt;
    return absl::Base64Escape(absl::StrCat("v=", absl::Base64Escape(twin.server_signature())));
  }
  const std::string& user() const { return user_; }

 private:
  static std::string Decode(std::string_view base64) {
    std::string out;
    absl::Base64Unescape(absl::string_view(base64.data(), base64.size()), &out);
    return out;
  }

  const std::string password_;
  std::string user_, nonce_, server_first_;
};

}  // namespace rookery::load
