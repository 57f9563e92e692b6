#include "protocols/xmpp/sasl_negotiation.h"

#include <utility>

#include "domain/base64.h"
#include "domain/certificate_identity.h"
#include "domain/text.h"
#include "protocols/xmpp/stream_xml.h"

namespace rookery::gateway {

SaslNegotiation::SaslNegotiation(const StreamServices& services, StreamTransport& transport, Owner& owner,
                                 std::string_view domain)
    : services_(services),
      transport_(transport),
      owner_(owner),
      domain_(domain),
      self_(std::make_shared<SaslNegotiation*>(this)) {
  channel_.encrypted = transport.is_tls();
  if (!channel_.encrypted) return;
  channel_.tls_exporter = transport.TlsExporter();
  channel_.tls_server_end_point = transport.TlsServerEndPoint();
  const std::string certificate = transport.TlsPeerCertificateDer();
  if (certificate.empty()) return;
  channel_.certificate_users = services.settings.certificate_identity == CertificateIdentity::kXmppAddress
                                   ? XmppAddressesOf(certificate)
                                   : CommonNameUsersOf(certificate, domain);
  // RFC 6120 section 6.3.4: EXTERNAL is offered only where it can succeed.
  const std::string suffix = Cat("@", domain);
  std::erase_if(channel_.certificate_users, [&](const std::string& user) { return !user.ends_with(suffix); });
}

SaslNegotiation::~SaslNegotiation() {
  // Whoever does not wait for the answer to a password has guessed all the same.
  if (try_ != nullptr && mechanism_ == "PLAIN") try_->Failed([](bool) {});
  if (request_ != 0) services_.cluster.Cancel(request_);
}

std::vector<std::string_view> SaslNegotiation::channel_bindings() const {
  std::vector<std::string_view> types;
  if (!channel_.tls_exporter.empty()) types.emplace_back("tls-exporter");
  if (!channel_.tls_server_end_point.empty()) types.emplace_back("tls-server-end-point");
  return types;
}

bool SaslNegotiation::Handle(const xmpp::Element& element) {
  if (element.name() == "auth") {
    Begin(element);
  } else if (element.name() == "response") {
    const auto data = DecodeBase64(element.Text());
    if (exchange_ == nullptr) {
      Fail(SaslFailure::kMalformedRequest);
    } else if (!data) {
      Fail(SaslFailure::kIncorrectEncoding);
    } else if (exchange_->IsProof(*data)) {
      AskLeave([this, proof = *data] { return exchange_->Respond(proof); });
    } else {
      Continue(exchange_->Respond(*data));
    }
  } else if (element.name() == "abort") {
    Fail(SaslFailure::kAborted);
  } else {
    return false;
  }
  return true;
}

void SaslNegotiation::Begin(const xmpp::Element& auth) {
  // A client that begins again must abort first: tries are few, and each may ask the cluster.
  if (exchange_ != nullptr) return Fail(SaslFailure::kMalformedRequest);
  mechanism_ = auth.Attr("mechanism");
  exchange_ = std::make_unique<SaslExchange>(services_.settings.sasl, channel_, domain_);
  const std::string text = auth.Text();
  // RFC 6120 section 6.4.2: no text is no initial response, "=" is an empty one.
  std::optional<std::string> initial;
  if (text == "=") {
    initial.emplace();
  } else if (!text.empty()) {
    initial = DecodeBase64(text);
    if (!initial) return Fail(SaslFailure::kIncorrectEncoding);
  }
  Continue(exchange_->Start(mechanism_, initial ? std::optional<std::string_view>(*initial) : std::nullopt));
}

void SaslNegotiation::Continue(SaslExchange::Outcome outcome) {
  std::string xml;
  switch (outcome.kind) {
    case SaslExchange::Outcome::Kind::kChallenge:
      AppendSaslData(xml, "challenge", outcome.data);
      transport_.Send(xml);
      return Resume();
    case SaslExchange::Outcome::Kind::kFailure:
      return Fail(outcome.failure);
    case SaslExchange::Outcome::Kind::kLookUp:
      return WaitForCredentials();
    case SaslExchange::Outcome::Kind::kCheckPassword:
      return WaitForPassword();
    case SaslExchange::Outcome::Kind::kSuccess: {
      if (try_ != nullptr) try_->Succeeded();
      try_.reset();
      services_.metrics.Authenticated(mechanism_, SaslFailure::kNone);
      services_.peers.AuthSucceeded(transport_.peer(), mechanism_, exchange_->user());
      AppendSaslData(xml, "success", outcome.data);
      transport_.Send(xml);
      const Identity identity(exchange_->user(), credentials_version_, account_generation_);
      exchange_.reset();
      owner_.OnAuthenticated(identity);
      return Resume();
    }
  }
}

void SaslNegotiation::Wait() {
  waiting_ = true;
  transport_.PauseInput();
}

void SaslNegotiation::WaitForCredentials() {
  Wait();
  request_ = services_.cluster.LookUp(exchange_->user(), [this](Cluster::Lookup lookup) {
    request_ = 0;
    credentials_version_ = lookup.version;
    account_generation_ = lookup.generation;
    if (lookup.failed) return Continue(exchange_->CredentialsUnavailable());
    // Whoever may not go on is challenged like everybody: the answer to the proof tells nobody why.
    if (exchange_->is_scram()) return Continue(exchange_->CredentialsFound(lookup.keys));
    AskLeave([this, keys = std::move(lookup.keys)] { return exchange_->CredentialsFound(keys); });
  });
}

void SaslNegotiation::AskLeave(std::function<SaslExchange::Outcome()> go_on) {
  Wait();
  services_.guesses.Ask(exchange_->user(), account_generation_, transport_.peer().network,
                        [weak = std::weak_ptr<SaslNegotiation*>(self_),
                         go_on = std::move(go_on)](std::unique_ptr<GuessGuard::Try> granted) {
                          const auto self = weak.lock();
                          if (self == nullptr) return;
                          if (granted == nullptr) return (*self)->Slow();
                          (*self)->try_ = std::move(granted);
                          (*self)->Continue(go_on());
                        });
}

void SaslNegotiation::Slow() {
  services_.metrics.sign_ins_slowed.Increment();
  is_slowed_ = true;
  Fail(SaslFailure::kTemporaryAuthFailure);
}

void SaslNegotiation::WaitForPassword() {
  const SaslExchange::PasswordCheck& check = exchange_->password_check();
  const bool accepted = services_.passwords.Check(
      check.key, check.password, [weak = std::weak_ptr<SaslNegotiation*>(self_)](bool matches) {
        const auto self = weak.lock();
        if (self != nullptr) (*self)->Continue((*self)->exchange_->PasswordChecked(matches));
      });
  if (!accepted) Continue(exchange_->CredentialsUnavailable());
}

void SaslNegotiation::Resume() {
  if (std::exchange(waiting_, false)) transport_.ResumeInput();
}

void SaslNegotiation::Fail(SaslFailure failure) {
  services_.peers.AuthFailed(transport_.peer(), mechanism_, failure,
                             exchange_ != nullptr ? std::string_view(exchange_->user()) : std::string_view());
  services_.metrics.Authenticated(mechanism_, failure);
  exchange_.reset();
  const auto tried = std::move(try_);
  if (tried == nullptr || failure == SaslFailure::kTemporaryAuthFailure) return Tell(failure);
  Wait();
  tried->Failed([weak = std::weak_ptr<SaslNegotiation*>(self_), failure](bool is_refused) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    (*self)->is_slowed_ = is_refused;
    (*self)->Tell(is_refused ? SaslFailure::kTemporaryAuthFailure : failure);
  });
}

void SaslNegotiation::Tell(SaslFailure failure) {
  std::string xml;
  AppendSaslFailure(xml, Name(failure));
  transport_.Send(xml);
  // An account store that is away is not the client's fault.
  const bool is_clients_fault =
      std::exchange(is_slowed_, false) || failure != SaslFailure::kTemporaryAuthFailure;
  if (is_clients_fault && ++attempts_ >= services_.settings.max_auth_attempts) {
    return owner_.OnTooManyAttempts();
  }
  Resume();
}

}  // namespace rookery::gateway
