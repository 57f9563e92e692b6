#include "domain/sasl_exchange.h"

#include <gsasl.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "domain/base64.h"
#include "domain/scram_crypto.h"
#include "domain/scram_end_point.h"
#include "domain/text.h"
#include "rookery/base/check.h"
#include "rookery/base/random.h"
#include "rookery/xmpp/jid.h"

namespace rookery::gateway {
namespace {

constexpr std::string_view kExporter = "tls-exporter";
constexpr std::string_view kEndPoint = "tls-server-end-point";
// Longer than any client's message; an address has at most 3 KiB.
constexpr std::size_t kMaxMessageBytes = 8 * 1024;

bool Contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool IsPlus(std::string_view mechanism) { return mechanism.ends_with("-PLUS"); }
ScramHash HashOf(std::string_view mechanism) {
  return mechanism.starts_with("SCRAM-SHA-256") ? ScramHash::kSha256 : ScramHash::kSha1;
}
bool CanBind(const SaslChannel& channel) {
  return !channel.tls_exporter.empty() || !channel.tls_server_end_point.empty();
}

/// The properties that libgsasl may ask for in one exchange, and what it found out.
struct GsaslProperties {
  std::string salt, iterations, stored_key, server_key, exporter;  // base64, as libgsasl wants them
  std::string authcid, authzid, password;
  bool validated = false;
};

std::string PropertyOf(Gsasl_session* session, Gsasl_property property) {
  const char* value = gsasl_property_fast(session, property);
  return value == nullptr ? std::string() : std::string(value);
}

int OnGsaslProperty(Gsasl*, Gsasl_session* session, Gsasl_property property) {
  auto* p = static_cast<GsaslProperties*>(gsasl_session_hook_get(session));
  if (p == nullptr) return GSASL_NO_CALLBACK;
  const auto give = [&](const std::string& value) {
    if (value.empty()) return static_cast<int>(GSASL_NO_CALLBACK);
    return gsasl_property_set(session, property, value.c_str());
  };
  switch (property) {
    case GSASL_SCRAM_SALT:
      return give(p->salt);
    case GSASL_SCRAM_ITER:
      return give(p->iterations);
    case GSASL_SCRAM_STOREDKEY:
      return give(p->stored_key);
    case GSASL_SCRAM_SERVERKEY:
      return give(p->server_key);
    case GSASL_CB_TLS_EXPORTER:
      return give(p->exporter);
    case GSASL_VALIDATE_SIMPLE:
      // Only taken down here: whether the password is right takes longer to find out.
      p->authcid = PropertyOf(session, GSASL_AUTHID);
      p->password = PropertyOf(session, GSASL_PASSWORD);
      p->validated = true;
      return GSASL_OK;
    case GSASL_VALIDATE_EXTERNAL:
      p->authzid = PropertyOf(session, GSASL_AUTHZID);
      p->validated = true;
      return GSASL_OK;
    default:
      return GSASL_NO_CALLBACK;
  }
}

Gsasl* GsaslLibrary() {
  static Gsasl* const library = [] {
    Gsasl* made = nullptr;
    ROOKERY_CHECK(gsasl_init(&made) == GSASL_OK);
    gsasl_callback_set(made, OnGsaslProperty);
    return made;
  }();
  return library;
}

/// A server session of libgsasl.
class GsaslSession {
 public:
  explicit GsaslSession(std::string_view mechanism) {
    if (gsasl_server_start(GsaslLibrary(), std::string(mechanism).c_str(), &session_) != GSASL_OK)
      session_ = nullptr;
    if (session_ != nullptr) gsasl_session_hook_set(session_, &properties);
  }
  ~GsaslSession() {
    if (session_ != nullptr) gsasl_finish(session_);
  }
  GsaslSession(const GsaslSession&) = delete;
  GsaslSession& operator=(const GsaslSession&) = delete;

  int Step(std::string_view input, std::string* output) {
    if (session_ == nullptr) return GSASL_UNKNOWN_MECHANISM;
    char* out = nullptr;
    std::size_t size = 0;
    const int result = gsasl_step(session_, input.data(), input.size(), &out, &size);
    if (out != nullptr) {
      output->assign(out, size);
      gsasl_free(out);
    }
    return result;
  }

  GsaslProperties properties;

 private:
  Gsasl_session* session_ = nullptr;
};

SaslFailure FailureOf(int gsasl_result) {
  switch (gsasl_result) {
    case GSASL_MECHANISM_PARSE_ERROR:
    case GSASL_BASE64_ERROR:
      return SaslFailure::kMalformedRequest;
    case GSASL_MALLOC_ERROR:
    case GSASL_CRYPTO_ERROR:
      return SaslFailure::kTemporaryAuthFailure;
    default:
      return SaslFailure::kNotAuthorized;
  }
}

}  // namespace

std::string_view Name(SaslFailure failure) {
  switch (failure) {
    case SaslFailure::kAborted:
      return "aborted";
    case SaslFailure::kEncryptionRequired:
      return "encryption-required";
    case SaslFailure::kIncorrectEncoding:
      return "incorrect-encoding";
    case SaslFailure::kInvalidAuthzid:
      return "invalid-authzid";
    case SaslFailure::kInvalidMechanism:
      return "invalid-mechanism";
    case SaslFailure::kMalformedRequest:
      return "malformed-request";
    case SaslFailure::kMechanismTooWeak:
      return "mechanism-too-weak";
    case SaslFailure::kNone:
    case SaslFailure::kNotAuthorized:
      return "not-authorized";
    case SaslFailure::kTemporaryAuthFailure:
      return "temporary-auth-failure";
  }
  return "not-authorized";
}

std::vector<std::string_view> OfferedMechanisms(const SaslPolicy& policy, const SaslChannel& channel) {
  std::vector<std::string_view> offered;
  for (const std::string_view mechanism : kSaslMechanisms) {
    if (!Contains(policy.mechanisms, mechanism)) continue;
    if (mechanism == "EXTERNAL" && channel.certificate_users.empty()) continue;
    if (IsPlus(mechanism) && !CanBind(channel)) continue;
    if (mechanism == "PLAIN" && !channel.encrypted && !policy.plain_without_tls) continue;
    offered.push_back(mechanism);
  }
  return offered;
}

/// A SCRAM exchange after its first message, by libgsasl or by us.
class SaslExchange::Scram {
 public:
  explicit Scram(std::string_view mechanism) : session(std::in_place, mechanism) {}
  Scram(const ScramClientFirst& first, ScramKey key, std::string_view binding)
      : end_point(std::in_place, first, std::move(key), binding, RandomToken(18)) {}

  std::optional<GsaslSession> session;
  std::optional<ScramEndPoint> end_point;
};

SaslExchange::SaslExchange(const SaslPolicy& policy, const SaslChannel& channel, std::string_view domain)
    : policy_(policy), channel_(channel), domain_(domain) {}

SaslExchange::~SaslExchange() {
  if (!password_check_.password.empty()) {
    std::fill(password_check_.password.begin(), password_check_.password.end(), '\0');
  }
}

SaslExchange::Outcome SaslExchange::Fail(SaslFailure failure) {
  state_ = State::kOver;
  return {Outcome::Kind::kFailure, failure, {}};
}

SaslExchange::Outcome SaslExchange::Succeed(std::string data) {
  state_ = State::kOver;
  return {Outcome::Kind::kSuccess, SaslFailure::kNone, std::move(data)};
}

bool SaslExchange::offers_plus() const {
  if (!CanBind(channel_)) return false;
  return Contains(policy_.mechanisms, "SCRAM-SHA-256-PLUS") ||
         Contains(policy_.mechanisms, "SCRAM-SHA-1-PLUS");
}

SaslExchange::Outcome SaslExchange::Start(std::string_view mechanism,
                                          std::optional<std::string_view> initial_response) {
  if (state_ != State::kNew) return Fail(SaslFailure::kMalformedRequest);
  const auto* known = std::find(std::begin(kSaslMechanisms), std::end(kSaslMechanisms), mechanism);
  if (known == std::end(kSaslMechanisms)) return Fail(SaslFailure::kInvalidMechanism);
  mechanism_ = *known;
  if (!Contains(policy_.mechanisms, mechanism_)) {
    // Ours, but not here: RFC 6120 section 6.5.8 for the weak, 6.5.7 for the rest.
    return Fail(mechanism_ == "PLAIN" ? SaslFailure::kMechanismTooWeak : SaslFailure::kInvalidMechanism);
  }
  if (mechanism_ == "PLAIN" && !channel_.encrypted && !policy_.plain_without_tls) {
    return Fail(SaslFailure::kEncryptionRequired);
  }
  if (IsPlus(mechanism_) && !CanBind(channel_)) return Fail(SaslFailure::kInvalidMechanism);
  if (mechanism_ == "EXTERNAL" && channel_.certificate_users.empty())
    return Fail(SaslFailure::kInvalidMechanism);

  state_ = State::kWantMessage;
  if (!initial_response) return {Outcome::Kind::kChallenge, SaslFailure::kNone, {}};
  return HandleFirst(*initial_response);
}

SaslExchange::Outcome SaslExchange::Respond(std::string_view response) {
  if (state_ == State::kWantMessage) return HandleFirst(response);
  if (state_ != State::kWantFinal) return Fail(SaslFailure::kMalformedRequest);
  if (!IsProof(response)) return Fail(SaslFailure::kMalformedRequest);

  std::string server_final;
  if (scram_->end_point) {
    switch (scram_->end_point->Verify(response, &server_final)) {
      case ScramEndPoint::Verdict::kMalformed:
        return Fail(SaslFailure::kMalformedRequest);
      case ScramEndPoint::Verdict::kRefused:
        return Fail(SaslFailure::kNotAuthorized);
      case ScramEndPoint::Verdict::kVerified:
        break;
    }
  } else {
    const int result = scram_->session->Step(response, &server_final);
    if (result != GSASL_OK) return Fail(FailureOf(result));
  }
  if (!known_user_) return Fail(SaslFailure::kNotAuthorized);
  return Succeed(std::move(server_final));
}

bool SaslExchange::IsProof(std::string_view response) const {
  // libgsasl is laxer about base64 than the RFC.
  return state_ == State::kWantFinal && response.size() <= kMaxMessageBytes &&
         response.find('\0') == std::string_view::npos && ParseScramClientFinal(response).has_value();
}

SaslExchange::Outcome SaslExchange::HandleFirst(std::string_view message) {
  if (message.size() > kMaxMessageBytes) return Fail(SaslFailure::kMalformedRequest);
  if (is_scram()) return HandleScramFirst(message);
  return mechanism_ == "PLAIN" ? HandlePlain(message) : HandleExternal(message);
}

SaslFailure SaslExchange::Identify(std::string_view name, std::string_view authzid) {
  auto local = xmpp::PrepareLocal(name);
  if (!local.ok() || local->empty()) return SaslFailure::kNotAuthorized;
  user_ = Cat(*local, "@", domain_);
  if (authzid.empty()) return SaslFailure::kNone;
  const auto wanted = xmpp::Jid::Parse(authzid);
  return wanted.ok() && wanted->str() == user_ ? SaslFailure::kNone : SaslFailure::kInvalidAuthzid;
}

SaslExchange::Outcome SaslExchange::HandleScramFirst(std::string_view message) {
  const auto first = ParseScramClientFirst(message);
  if (!first) return Fail(SaslFailure::kMalformedRequest);
  if (IsPlus(mechanism_)) {
    // RFC 5802 section 6: with a -PLUS mechanism the client must bind, and to
    // something that both have.
    const bool bound = (first->binding == kExporter && !channel_.tls_exporter.empty()) ||
                       (first->binding == kEndPoint && !channel_.tls_server_end_point.empty());
    if (!bound) return Fail(SaslFailure::kNotAuthorized);
    binding_ = first->binding;
  } else if (first->flag == 'p') {
    return Fail(SaslFailure::kMalformedRequest);
  } else if (first->flag == 'y' && offers_plus()) {
    // The client saw no -PLUS although we offered it: somebody took it out.
    return Fail(SaslFailure::kNotAuthorized);
  }
  if (const SaslFailure failure = Identify(first->user, first->authzid); failure != SaslFailure::kNone) {
    return Fail(failure);
  }
  first_message_ = message;
  state_ = State::kWantCredentials;
  return {Outcome::Kind::kLookUp, SaslFailure::kNone, {}};
}

SaslExchange::Outcome SaslExchange::HandlePlain(std::string_view message) {
  GsaslSession session(mechanism_);
  std::string output;
  const int result = session.Step(message, &output);
  if (result != GSASL_OK || !session.properties.validated) {
    return Fail(result == GSASL_OK ? SaslFailure::kMalformedRequest : FailureOf(result));
  }
  const GsaslProperties& found = session.properties;
  auto password = xmpp::PreparePassword(found.password);
  // RFC 4616 section 2. libgsasl gives the name where there is no authorisation identity,
  // which could then not be told from one that is wrong.
  const std::string_view authzid = message.substr(0, message.find('\0'));
  const SaslFailure failure = Identify(found.authcid, authzid);
  if (failure != SaslFailure::kNone) return Fail(failure);
  if (!password.ok()) return Fail(SaslFailure::kNotAuthorized);
  password_check_.password = std::move(*password);
  state_ = State::kWantCredentials;
  return {Outcome::Kind::kLookUp, SaslFailure::kNone, {}};
}

SaslExchange::Outcome SaslExchange::HandleExternal(std::string_view message) {
  GsaslSession session(mechanism_);
  std::string output;
  const int result = session.Step(message, &output);
  // An empty message asks for the identity that the certificate names.
  if (!message.empty() && (result != GSASL_OK || !session.properties.validated))
    return Fail(FailureOf(result));
  const std::string& authzid = session.properties.authzid;

  // XEP-0178 section 3: of several addresses the client must name one.
  const std::string suffix = Cat("@", domain_);
  std::vector<std::string_view> here;
  for (const auto& user : channel_.certificate_users) {
    if (user.ends_with(suffix)) here.push_back(user);
  }
  if (!authzid.empty()) {
    const auto wanted = xmpp::Jid::Parse(authzid);
    if (!wanted.ok() || std::find(here.begin(), here.end(), wanted->str()) == here.end()) {
      return Fail(SaslFailure::kInvalidAuthzid);
    }
    user_ = wanted->str();
  } else if (here.size() == 1) {
    user_ = here.front();
  } else {
    return Fail(here.empty() ? SaslFailure::kNotAuthorized : SaslFailure::kInvalidAuthzid);
  }
  state_ = State::kWantCredentials;
  return {Outcome::Kind::kLookUp, SaslFailure::kNone, {}};
}

SaslExchange::Outcome SaslExchange::CredentialsUnavailable() {
  return Fail(SaslFailure::kTemporaryAuthFailure);
}

SaslExchange::Outcome SaslExchange::CredentialsFound(const std::vector<ScramKey>& keys) {
  if (state_ != State::kWantCredentials) return Fail(SaslFailure::kMalformedRequest);
  if (mechanism_ == "EXTERNAL") return keys.empty() ? Fail(SaslFailure::kNotAuthorized) : Succeed({});

  const auto usable = [](const ScramKey& key) {
    return key.stored_key.size() == DigestSize(key.hash) && key.server_key.size() == DigestSize(key.hash) &&
           !key.salt.empty() && key.iterations > 0;
  };
  const bool plain = mechanism_ == "PLAIN";
  const ScramHash wanted = plain ? ScramHash::kSha256 : HashOf(mechanism_);
  const ScramKey* found = nullptr;
  for (const auto& key : keys) {
    if (!usable(key)) continue;
    if (key.hash == wanted) found = &key;
    if (plain && found == nullptr) found = &key;
  }
  known_user_ = found != nullptr;
  const std::string& secret = policy_.fake_salt_key;
  ScramKey key =
      known_user_
          ? *found
          : FakeScramKey(wanted, secret, user_,
                         FakeIterations(secret, user_, policy_.iterations, policy_.earlier_iterations));

  if (plain) {
    password_check_.key = std::move(key);
    state_ = State::kWantCheck;
    return {Outcome::Kind::kCheckPassword, SaslFailure::kNone, {}};
  }

  std::string challenge;
  if (binding_ == kEndPoint) {
    const auto first = ParseScramClientFirst(first_message_);
    scram_ = std::make_unique<Scram>(*first, std::move(key), channel_.tls_server_end_point);
    challenge = scram_->end_point->server_first();
  } else {
    scram_ = std::make_unique<Scram>(mechanism_);
    GsaslProperties& properties = scram_->session->properties;
    properties.salt = EncodeBase64(key.salt);
    properties.iterations = Cat(key.iterations);
    properties.stored_key = EncodeBase64(key.stored_key);
    properties.server_key = EncodeBase64(key.server_key);
    // Only where the exchange is bound: libgsasl takes a binding that it can have for
    // one that was offered.
    if (binding_ == kExporter) properties.exporter = EncodeBase64(channel_.tls_exporter);
    const int result = scram_->session->Step(first_message_, &challenge);
    if (result != GSASL_NEEDS_MORE) return Fail(FailureOf(result));
  }
  first_message_ = {};
  state_ = State::kWantFinal;
  return {Outcome::Kind::kChallenge, SaslFailure::kNone, std::move(challenge)};
}

SaslExchange::Outcome SaslExchange::PasswordChecked(bool matches) {
  if (state_ != State::kWantCheck) return Fail(SaslFailure::kMalformedRequest);
  return matches && known_user_ ? Succeed({}) : Fail(SaslFailure::kNotAuthorized);
}

}  // namespace rookery::gateway
