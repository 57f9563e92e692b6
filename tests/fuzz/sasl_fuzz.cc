// The gateway's SASL exchange. Lines of the input: the mechanism, then messages of the
// client; a line `*` lets the account store fail. The last byte chooses the channel. In
// a message `%n` stands for the server's nonce, so that final messages get beyond it.

#include <memory>
#include <string>
#include <vector>

#include "domain/sasl_exchange.h"
#include "domain/scram_crypto.h"
#include "fuzz_input.h"
#include "rookery/base/scram.h"

namespace {

using rookery::MakeScramKey;
using rookery::ScramHash;
using rookery::ScramKey;
using rookery::fuzz::Input;
using rookery::fuzz::Require;
using namespace rookery::gateway;  // NOLINT: what is tested

using Kind = SaslExchange::Outcome::Kind;

const std::vector<ScramKey>& Keys() {
  static const std::vector<ScramKey> keys = {
      MakeScramKey(ScramHash::kSha1, "secret", "salt-of-16-bytes", 1),
      MakeScramKey(ScramHash::kSha256, "secret", "salt-of-16-bytes", 1)};
  return keys;
}

std::string WithNonce(std::string_view message, const std::string& nonce) {
  std::string out(message);
  if (const std::size_t at = out.find("%n"); at != std::string::npos) out.replace(at, 2, nonce);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t choice = input.Byte();
  SaslPolicy policy;
  for (std::string_view mechanism : kSaslMechanisms) policy.mechanisms.emplace_back(mechanism);
  policy.plain_without_tls = (choice & 1) != 0;
  policy.fake_salt_key = "of the cluster";
  policy.iterations = 1;
  SaslChannel channel;
  channel.encrypted = (choice & 2) != 0;
  if (choice & 4) channel.tls_exporter = std::string(32, 'e');
  if (choice & 8) channel.tls_server_end_point = std::string(32, 'p');
  if (choice & 16) channel.certificate_users.emplace_back("juliet@example.com");
  if (choice & 32) channel.certificate_users.emplace_back("romeo@example.com");
  const bool known = (choice & 64) != 0;

  SaslExchange exchange(policy, channel, "example.com");
  const std::string_view mechanism = input.Until('\n');
  SaslExchange::Outcome outcome;
  std::string nonce;
  if (choice & 128) {
    outcome = exchange.Start(mechanism, std::nullopt);
  } else {
    outcome = exchange.Start(mechanism, input.Until('\n'));
  }
  bool checked = false;
  for (int step = 0; step < 16; ++step) {
    switch (outcome.kind) {
      case Kind::kChallenge:
        if (outcome.data.starts_with("r=")) nonce = outcome.data.substr(2, outcome.data.find(',') - 2);
        if (input.empty()) return 0;
        outcome = exchange.Respond(WithNonce(input.Until('\n'), nonce));
        break;
      case Kind::kLookUp:
        Require(exchange.user().ends_with("@example.com"), "the identity is a user of the domain");
        outcome = input.Rest().starts_with("*")
                      ? exchange.CredentialsUnavailable()
                      : exchange.CredentialsFound(known ? Keys() : std::vector<ScramKey>());
        break;
      case Kind::kCheckPassword: {
        const auto& check = exchange.password_check();
        checked = VerifyPassword(check.key, check.password);
        Require(!checked || check.password == "secret", "only the password opens the key");
        outcome = exchange.PasswordChecked(checked);
        break;
      }
      case Kind::kSuccess:
        Require(known, "an unknown user does not sign in");
        if (mechanism == "PLAIN") Require(checked, "the password was right");
        if (mechanism == "EXTERNAL") Require((choice & 48) != 0, "the certificate speaks for the user");
        // It is over: whatever comes now fails.
        Require(exchange.Respond(input.Rest()).kind == Kind::kFailure, "over is over");
        return 0;
      case Kind::kFailure:
        Require(!Name(outcome.failure).empty(), "a failure has a name");
        Require(exchange.Respond(input.Rest()).kind == Kind::kFailure, "over is over");
        Require(exchange.CredentialsFound(Keys()).kind == Kind::kFailure, "over is over");
        Require(exchange.PasswordChecked(true).kind == Kind::kFailure, "over is over");
        return 0;
    }
  }
  return 0;
}
