#include "client.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "rookery/base/absl_view.h"
#include "rookery/base/random.h"

namespace rookery::load {
namespace {

std::string FromBase64(std::string_view text) {
  std::string out;
  absl::Base64Unescape(AbslView(text), &out);
  return out;
}

absl::Status Unexpected(std::string_view when, std::string_view element) {
  return absl::FailedPreconditionError(absl::StrCat(AbslView(when), ": ", AbslView(element.substr(0, 200))));
}

}  // namespace

Client::Client(Network& network, Account& account, Options options)
    : network_(network),
      account_(account),
      options_(options),
      scanner_([this](std::string_view e) { OnElement(e); }) {}

Client::~Client() = default;

std::string Client::bare_jid() const { return absl::StrCat(account_.user, "@", network_.domain); }

void Client::Connect(const std::string& address, bool resume) {
  resuming_ = resume && resumable();
  state_ = State::kConnecting;
  attempt_ = std::make_shared<int>(0);
  scanner_.Reset();
  net::ConnectTcp(
      network_.io, address, std::chrono::seconds(30),
      [this, attempt = std::weak_ptr<int>(attempt_)](absl::StatusOr<std::unique_ptr<net::Connection>> c) {
        if (attempt.expired()) return;
        if (!c.ok()) return Fail(c.status());
        connection_ = std::move(*c);
        connection_->Start(this);
        if (network_.tls != nullptr) {
          net::StartTlsClient(*connection_, network_.tls, network_.domain);
        } else {
          state_ = State::kFirstFeatures;
          OpenStream();
        }
      });
}

void Client::OnTlsEstablished() {
  state_ = State::kFirstFeatures;
  OpenStream();
}

void Client::OpenStream() {
  Send(
      absl::StrCat("<?xml version='1.0'?><stream:stream to='", network_.domain,
                   "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"));
}

void Client::Send(std::string_view xml) {
  if (connection_ != nullptr) connection_->Write(xml);
}

void Client::Close() {
  if (connection_ == nullptr) return;
  state_ = State::kOff;
  connection_->Write("</stream:stream>");
  connection_->CloseAfterFlush();
}

void Client::Cut() {
  attempt_.reset();
  connection_.reset();
  state_ = State::kOff;
}

void Client::Fail(absl::Status status) {
  Cut();
  if (on_end) on_end(status);
}

void Client::OnClosed(const absl::Status& status) {
  const bool wanted = state_ == State::kOff;
  Cut();
  if (on_end)
    on_end(wanted ? absl::OkStatus() : status.ok() ? absl::UnavailableError("the server closed") : status);
}

void Client::OnData(std::string_view data) { scanner_.Feed(data); }

void Client::SignIn() {
  state_ = State::kChallenge;
  scram_ = std::make_unique<ScramClient>(account_.user, account_.password, account_.keys, RandomToken(18));
  Send(absl::StrCat("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>",
                    absl::Base64Escape(scram_->First()), "</auth>"));
}

void Client::BecomeReady() {
  state_ = State::kReady;
  scram_.reset();
  if (on_ready) on_ready();
}

void Client::OnElement(std::string_view element) {
  if (state_ == State::kOff || connection_ == nullptr) return;
  const std::string_view name = NameOf(element);
  if (name == "stream:stream") {
    if (element.starts_with("</")) Fail(absl::UnavailableError("the server ended the stream"));
    return;
  }
  if (name == "stream:error") return Fail(Unexpected("stream error", element));
  switch (state_) {
    case State::kFirstFeatures:
      if (name != "stream:features") return Fail(Unexpected("features", element));
      if (!options_.registers) return SignIn();
      state_ = State::kRegister;
      return Send(absl::StrCat("<iq type='set' id='register'><query xmlns='jabber:iq:register'><username>",
                               account_.user, "</username><password>", account_.password,
                               "</password></query></iq>"));
    case State::kRegister:
      if (AttributeOf(element, "type") != "result" && element.find("<conflict") == std::string_view::npos) {
        return Fail(Unexpected("registration", element));
      }
      return SignIn();
    case State::kChallenge: {
      if (name != "challenge") return Fail(Unexpected("sign-in", element));
      absl::StatusOr<std::string> answer = scram_->Final(FromBase64(TextOf(element, "challenge")));
      if (!answer.ok()) return Fail(answer.status());
      state_ = State::kSuccess;
      return Send(absl::StrCat("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>",
                               absl::Base64Escape(*answer), "</response>"));
    }
    case State::kSuccess: {
      if (name != "success") return Fail(Unexpected("sign-in", element));
      if (absl::Status verified = scram_->Verify(FromBase64(TextOf(element, "success"))); !verified.ok()) {
        return Fail(verified);
      }
      if (!options_.binds) return BecomeReady();
      state_ = State::kSecondFeatures;
      scanner_.Reset();
      return OpenStream();
    }
    case State::kSecondFeatures:
      if (name != "stream:features") return Fail(Unexpected("features", element));
      if (resuming_) {
        state_ = State::kResume;
        return Send(
            absl::StrCat("<resume xmlns='urn:xmpp:sm:3' h='", handled_, "' previd='", resume_id_, "'/>"));
      }
      state_ = State::kBind;
      return Send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    case State::kBind:
      if (name != "iq" || AttributeOf(element, "type") != "result") return Fail(Unexpected("bind", element));
      jid_ = std::string(TextOf(element, "jid"));
      if (!options_.stream_management) return BecomeReady();
      state_ = State::kEnable;
      return Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    case State::kEnable:
      if (name != "enabled") return Fail(Unexpected("stream management", element));
      resume_id_ = std::string(AttributeOf(element, "id"));
      handled_ = 0;
      return BecomeReady();
    case State::kResume:
      if (name != "resumed") return Fail(Unexpected("resumption", element));
      return BecomeReady();
    case State::kReady:
      return OnReadyElement(element);
    case State::kOff:
    case State::kConnecting:
      return;
  }
}

void Client::OnReadyElement(std::string_view element) {
  const std::string_view name = NameOf(element);
  if (name == "r") return Send(absl::StrCat("<a xmlns='urn:xmpp:sm:3' h='", handled_, "'/>"));
  if (name != "message" && name != "presence" && name != "iq") return;
  ++handled_;
  if (on_stanza) on_stanza(element);
}

}  // namespace rookery::load
