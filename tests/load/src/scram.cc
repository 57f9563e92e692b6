#include "scram.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "rookery/base/absl_view.h"
#include "rookery/base/scram.h"
#include "rookery/base/status.h"

namespace rookery::load {
namespace {

constexpr ScramHash kHash = ScramHash::kSha256;

std::string Hmac(std::string_view key, std::string_view data) { return rookery::Hmac(kHash, key, data); }

std::string Base64(std::string_view data) { return absl::Base64Escape(AbslView(data)); }

}  // namespace

ScramKeys DeriveScramKeys(std::string_view password, std::string_view salt, std::uint32_t iterations) {
  const std::string salted = SaltedPassword(kHash, password, salt, iterations);
  return {std::string(salt), iterations, Hmac(salted, "Client Key"), Hmac(salted, "Server Key")};
}

ScramClient::ScramClient(std::string_view user, std::string_view password, ScramKeys& keys, std::string nonce)
    : bare_(absl::StrCat("n=", AbslView(user), ",r=", nonce)),
      password_(password),
      keys_(keys),
      nonce_(std::move(nonce)) {}

std::string ScramClient::First() const { return "n,," + bare_; }

absl::StatusOr<std::string> ScramClient::Final(std::string_view server_first) {
  std::string nonce, salt;
  std::uint32_t iterations = 0;
  for (absl::string_view field : absl::StrSplit(AbslView(server_first), ',')) {
    if (field.size() < 2 || field[1] != '=')
      return absl::InvalidArgumentError("SCRAM: malformed server-first");
    const absl::string_view value = field.substr(2);
    if (field[0] == 'r') nonce = std::string(value);
    if (field[0] == 's' && !absl::Base64Unescape(value, &salt)) salt.clear();
    if (field[0] == 'i' && !absl::SimpleAtoi(value, &iterations)) iterations = 0;
  }
  if (!nonce.starts_with(nonce_) || nonce.size() == nonce_.size() || salt.empty() || iterations == 0 ||
      iterations > 1'000'000) {
    return absl::InvalidArgumentError("SCRAM: bad nonce, salt or iteration count");
  }
  if (keys_.salt != salt || keys_.iterations != iterations) {
    keys_ = DeriveScramKeys(password_, salt, iterations);
    derived_ = true;
  }
  const std::string without_proof = "c=biws,r=" + nonce;
  const std::string message = absl::StrCat(bare_, ",", AbslView(server_first), ",", without_proof);
  const std::string stored = Digest(kHash, keys_.client_key);
  std::string proof = Hmac(stored, message);
  for (std::size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ keys_.client_key[i]);
  server_signature_ = Hmac(keys_.server_key, message);
  return absl::StrCat(without_proof, ",p=", Base64(proof));
}

absl::Status ScramClient::Verify(std::string_view server_final) const {
  if (server_signature_.empty() || !server_final.starts_with("v=") ||
      server_final.substr(2) != std::string_view(Base64(server_signature_))) {
    return absl::UnauthenticatedError("SCRAM: the server's signature is wrong");
  }
  return absl::OkStatus();
}

}  // namespace rookery::load
