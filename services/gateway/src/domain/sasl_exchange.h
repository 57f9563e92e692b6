#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "domain/scram_message.h"
#include "rookery/base/scram.h"

namespace rookery::gateway {

/// RFC 6120 section 6.5.
enum class SaslFailure : std::uint8_t {
  kNone,
  kAborted,
  kEncryptionRequired,
  kIncorrectEncoding,
  kInvalidAuthzid,
  kInvalidMechanism,
  kMalformedRequest,
  kMechanismTooWeak,
  kNotAuthorized,
  kTemporaryAuthFailure,
};
/// The condition's element name.
std::string_view Name(SaslFailure failure);

/// The operator's rules; the same for every exchange.
struct SaslPolicy {
  /// Out of kSaslMechanisms, in any order.
  std::vector<std::string> mechanisms;
  /// PLAIN also where nothing encrypts the stream.
  bool plain_without_tls = false;
  /// Secret of the cluster: see FakeScramKey.
  std::string fake_salt_key;
  /// The iterations in an unknown user's challenge: as many as session-managers use for new passwords of real
  /// ones, or as many as they used for older ones.
  std::uint32_t iterations = 10'000;
  std::vector<std::uint32_t> earlier_iterations;
};

/// Every mechanism there is here, strongest first.
inline constexpr std::string_view kSaslMechanisms[] = {
    "EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"};

/// The properties of the connection that an exchange needs.
struct SaslChannel {
  bool encrypted = false;
  std::string tls_exporter;          // RFC 9266; empty: not to be had
  std::string tls_server_end_point;  // RFC 5929; empty: not to be had
  /// Bare JIDs that the client's certificate speaks for; it has been verified.
  std::vector<std::string> certificate_users;
};

/// The mechanisms to offer on such a connection, strongest first.
std::vector<std::string_view> OfferedMechanisms(const SaslPolicy& policy, const SaslChannel& channel);

/// One exchange with one mechanism, server side: a pure function of what is put in.
/// No I/O, no clock, no wait; randomness only in the server's nonce. Whoever
/// drives it does the two things that take time, when asked to:
///
///     Start ─┬─▶ kChallenge ──▶ Respond ─┐   any number of times
///            ├─▶ kLookUp ──▶ CredentialsFound / CredentialsUnavailable
///            ├─▶ kCheckPassword ──▶ PasswordChecked
///            └─▶ kSuccess or kFailure: over
///
/// Every input is hostile and of any length or content; each call answers with one
/// Outcome and leaves the object in a state where any further call is a kFailure.
/// A user who does not exist takes the same steps and gets the same answers as one
/// who does, up to the last.
///
/// SCRAM and PLAIN and EXTERNAL go through libgsasl, with one exception: libgsasl
/// binds to `tls-exporter` only, so an exchange bound to `tls-server-end-point`
/// is verified here (scram_end_point.h).
class SaslExchange {
 public:
  struct Outcome {
    enum class Kind : std::uint8_t { kChallenge, kSuccess, kFailure, kLookUp, kCheckPassword };
    Kind kind = Kind::kFailure;
    SaslFailure failure = SaslFailure::kNone;  // kFailure
    std::string data;                          // kChallenge; kSuccess: additional data, may be empty
  };
  struct PasswordCheck {
    ScramKey key;
    std::string password;  // prepared
  };

  /// `policy` and `channel` must outlive the exchange. `domain`: the stream's, prepared;
  /// the identity is a user of it.
  SaslExchange(const SaslPolicy& policy, const SaslChannel& channel, std::string_view domain);
  ~SaslExchange();
  SaslExchange(const SaslExchange&) = delete;
  SaslExchange& operator=(const SaslExchange&) = delete;

  /// Once, first. nullopt: the client sent no initial response.
  Outcome Start(std::string_view mechanism, std::optional<std::string_view> initial_response);
  Outcome Respond(std::string_view response);
  /// Whether Respond would look at a proof, and so say whether it is right.
  bool IsProof(std::string_view response) const;
  /// After kLookUp. No keys: there is no such user.
  Outcome CredentialsFound(const std::vector<ScramKey>& keys);
  Outcome CredentialsUnavailable();
  /// After kCheckPassword: VerifyPassword(check.key, check.password) is to be run
  /// where burning is allowed.
  Outcome PasswordChecked(bool matches);
  const PasswordCheck& password_check() const { return password_check_; }

  /// Its proof follows the credentials, as an answer to what they are.
  bool is_scram() const { return mechanism_.starts_with("SCRAM-"); }
  /// The bare JID that signs in; known from kLookUp on.
  const std::string& user() const { return user_; }

 private:
  class Scram;
  enum class State : std::uint8_t { kNew, kWantMessage, kWantCredentials, kWantCheck, kWantFinal, kOver };

  Outcome Fail(SaslFailure failure);
  Outcome Succeed(std::string data);
  Outcome HandleFirst(std::string_view message);
  Outcome HandleScramFirst(std::string_view message);
  Outcome HandlePlain(std::string_view message);
  Outcome HandleExternal(std::string_view message);
  /// Sets user_ from a name, and checks the authorisation identity against it.
  SaslFailure Identify(std::string_view name, std::string_view authzid);
  bool offers_plus() const;

  const SaslPolicy& policy_;
  const SaslChannel& channel_;
  const std::string domain_;
  std::string_view mechanism_;  // an element of kSaslMechanisms
  State state_ = State::kNew;
  std::string user_;
  std::string first_message_;
  std::string binding_;
  bool known_user_ = false;
  PasswordCheck password_check_;
  std::unique_ptr<Scram> scram_;
};

}  // namespace rookery::gateway
