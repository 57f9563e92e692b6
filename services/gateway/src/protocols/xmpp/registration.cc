#include "protocols/xmpp/registration.h"

#include <utility>

#include "domain/text.h"
#include "rookery/base/clock.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::gateway {
namespace {

namespace ns = xmpp::ns;
using xmpp::ErrorCondition;

}  // namespace

Registration::~Registration() {
  if (request_ != 0) services_.cluster.Cancel(request_);
}

bool Registration::is_open() const {
  const XmppSettings& settings = services_.settings;
  return settings.registration && (transport_.is_tls() || settings.sasl.plain_without_tls);
}

bool Registration::Handle(const xmpp::Stanza& stanza) {
  if (stanza.kind() != common::v1::STANZA_KIND_IQ || stanza.payload_namespace() != ns::kRegister ||
      stanza.payload_name() != "query") {
    return false;
  }
  const bool get = stanza.type() == "get";
  if (!get && stanza.type() != "set") return false;
  if (!is_open()) {
    Refuse(stanza, get ? ErrorCondition::kServiceUnavailable : ErrorCondition::kNotAllowed);
  } else if (get) {
    SendForm(stanza);
  } else {
    Create(stanza);
  }
  return true;
}

void Registration::SendForm(const xmpp::Stanza& request) {
  xmpp::Element query("query", ns::kRegister);
  query.Add("instructions").SetText("Choose a username and a password.");
  query.Add("username");
  query.Add("password");
  Reply(xmpp::MakeResult(request, query));
  form_sent_ = true;
}

void Registration::Create(const xmpp::Stanza& request) {
  const auto payload = xmpp::ParsePayload(request.payload());
  if (!payload.ok() || payload->size() != 1) return Refuse(request, ErrorCondition::kBadRequest);
  const xmpp::Element& query = payload->front();
  // XEP-0077 section 3.2: to remove an account one must have signed in to it.
  if (query.Find("remove", ns::kRegister) != nullptr)
    return Refuse(request, ErrorCondition::kUnexpectedRequest);
  const xmpp::Element* username = query.Find("username", ns::kRegister);
  const xmpp::Element* password = query.Find("password", ns::kRegister);
  if (username == nullptr || password == nullptr) return Refuse(request, ErrorCondition::kNotAcceptable);
  auto local = xmpp::PrepareLocal(username->Text());
  auto prepared = xmpp::PreparePassword(password->Text());
  if (!local.ok() || local->empty() || !prepared.ok() || prepared->empty()) {
    return Refuse(request, ErrorCondition::kNotAcceptable);
  }
  if (!services_.names.Allows(*local)) return Refuse(request, ErrorCondition::kNotAcceptable);
  if (!services_.registrations.Allow(transport_.peer().network, Clock::System().Now())) {
    return Refuse(request, ErrorCondition::kResourceConstraint);
  }

  pending_ = request;
  pending_.clear_payload();
  transport_.PauseInput();
  const std::string user = Cat(*local, "@", domain_);
  request_ = services_.cluster.CreateAccount(user, *prepared, [this, user](const ActionFailure* refusal) {
    request_ = 0;
    if (refusal == nullptr) {
      services_.metrics.registered.Increment();
      telemetry::LogInfo("account.registered", {{"jid", telemetry::HashedJid(user)}});
      Reply(xmpp::MakeResult(pending_));
    } else {
      const auto condition = xmpp::ParseErrorCondition(refusal->condition);
      Refuse(pending_, refusal->temporary ? ErrorCondition::kResourceConstraint
                                          : condition.value_or(ErrorCondition::kInternalServerError));
    }
    transport_.ResumeInput();
  });
}

void Registration::Reply(xmpp::Stanza answer) {
  // The client has no address yet, whatever it wrote. `from` is what it asked: the answer
  // to a request without `to` has none, and some clients look for exactly that.
  answer.clear_to();
  std::string xml;
  xmpp::AppendXml(xml, answer, transport_.framing());
  transport_.Send(xml);
}

void Registration::Refuse(const xmpp::Stanza& request, ErrorCondition condition) {
  services_.metrics.registrations_refused.Increment();
  Reply(xmpp::MakeError(request, condition));
}

}  // namespace rookery::gateway
