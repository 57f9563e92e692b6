#include "protocols/xmpp/stream_negotiation.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "domain/text.h"
#include "protocols/xmpp/sm_id.h"
#include "protocols/xmpp/stream_header.h"
#include "protocols/xmpp/stream_xml.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/stanza_limits.h"

namespace rookery::gateway {
namespace {

namespace ns = xmpp::ns;
using xmpp::ErrorCondition;

// A client that takes longer for its next step is not what keeps us busy, whatever it sends meanwhile.
constexpr std::chrono::seconds kIdleAfter{1};
// All that a client says before it has authenticated is not larger than so many elements
// of the largest size: several attempts, and a form or two.
constexpr std::size_t kElementsBeforeAuth = 16;
// No more of what it is answered may wait for it.
constexpr std::size_t kAnswersBeforeAuth = 4;
// A client asks for the session that it had, perhaps for one before that, and binds then.
constexpr int kMaxResumptionsRefused = 5;
constexpr std::string_view kNotAuthorized = "not-authorized";

}  // namespace

StreamNegotiation::StreamNegotiation(const StreamServices& services, StreamTransport& transport,
                                     SessionClient& client, Owner& owner, InputBudget& budget, TlsMode tls,
                                     SteadyTime now, Admission::Ticket ticket)
    : services_(services),
      transport_(transport),
      client_(client),
      owner_(owner),
      budget_(budget),
      tls_(tls),
      since_(now),
      progressed_at_(now),
      pace_(now),
      ticket_(std::move(ticket)) {}

StreamNegotiation::~StreamNegotiation() { Abandon(); }

void StreamNegotiation::Abandon() {
  ticket_.Release();
  if (request_ != 0) services_.cluster.Cancel(std::exchange(request_, 0));
}

bool StreamNegotiation::is_our_turn() const {
  return request_ != 0 || (sasl_ != nullptr && sasl_->is_waiting()) ||
         (registration_ != nullptr && registration_->is_waiting());
}

bool StreamNegotiation::OnTick(SteadyTime now) {
  if (!is_our_turn() && now - progressed_at_ > kIdleAfter) ticket_.Idle();
  const XmppSettings& settings = services_.settings;
  const bool fills_form = registration_ != nullptr && registration_->form_sent();
  if (now - since_ > (fills_form ? settings.registration_timeout : settings.negotiation_timeout))
    return false;
  if (pace_.Stalled(now, transport_.queued_bytes(), transport_.taken_bytes()) > settings.write_timeout)
    return false;
  budget_.OnTick(now);
  if (is_over_budget_ && !is_our_turn()) ResumeInput();
  return true;
}

bool StreamNegotiation::MayReceive(std::size_t bytes) {
  if (!user().empty()) return true;
  received_ += bytes;
  return received_ <= kElementsBeforeAuth * services_.settings.limits_before_auth.max_stanza_bytes;
}

bool StreamNegotiation::IsOutputFull() const {
  const XmppSettings& settings = services_.settings;
  const std::size_t before_auth = kAnswersBeforeAuth * settings.limits_before_auth.max_stanza_bytes;
  return transport_.queued_bytes() >
         (user().empty() ? std::min(before_auth, settings.max_queued_bytes) : settings.max_queued_bytes);
}

void StreamNegotiation::OnInput() {
  if (!budget_.OnInput()) PauseForBudget();
}

void StreamNegotiation::OnControlFrame() {
  if (!budget_.OnBrought()) PauseForBudget();
}

void StreamNegotiation::PauseForBudget() {
  is_over_budget_ = true;
  transport_.PauseInput();
}

void StreamNegotiation::ResumeInput() {
  // Else OnTick follows.
  if (is_over_budget_ && budget_.IsUsedUp()) return;
  is_over_budget_ = false;
  transport_.ResumeInput();
}

// ---- headers and features ----------------------------------------------------

void StreamNegotiation::OnStreamOpen(const xmpp::Element& header, std::string_view default_ns) {
  budget_.OnAskedFor();
  const bool restart = phase_ == Phase::kRestart;
  if (phase_ != Phase::kHeader && !restart)
    return owner_.CloseWithError(StreamError::kBadFormat, EndReason::kClosed);
  const auto& domains = services_.settings.domains;
  ClientHeader client = ReadHeader(header, default_ns, transport_.framing(), domains);
  // RFC 6120 section 4.7.2: our `to` is the client's `from`, if it gave one.
  owner_.SendHeader(domains[client.domain.value_or(domain_index_)], client.peer);
  if (client.error) return owner_.CloseWithError(*client.error, EndReason::kClosed);
  // A client that has authenticated is a user of that domain and of no other.
  if (restart && *client.domain != domain_index_)
    return owner_.CloseWithError(StreamError::kNotAuthorized, EndReason::kClosed);
  domain_index_ = static_cast<std::uint8_t>(*client.domain);
  lang_ = std::move(client.lang);
  Progress();
  if (restart) {
    OfferBinding();
  } else {
    OfferMechanisms();
  }
}

void StreamNegotiation::OfferMechanisms() {
  phase_ = Phase::kAuthenticating;
  sasl_ = std::make_unique<SaslNegotiation>(services_, transport_, *this, domain());
  registration_ = std::make_unique<Registration>(services_, transport_, domain());
  const XmppSettings& settings = services_.settings;
  FeaturesBeforeAuth features;
  features.starttls = tls_ != TlsMode::kOff && transport_.can_start_tls() && !transport_.is_tls();
  features.starttls_required = tls_ == TlsMode::kRequired && !transport_.is_tls();
  features.mechanisms = sasl_->mechanisms();
  features.channel_bindings = sasl_->channel_bindings();
  features.registration = registration_->is_open();
  features.limits = {settings.limits_before_auth.max_stanza_bytes, settings.negotiation_timeout.count()};
  std::string& xml = StreamScratch();
  AppendFeatures(xml, transport_.framing(), features);
  transport_.Send(xml);
}

void StreamNegotiation::OfferBinding() {
  phase_ = Phase::kBinding;
  const XmppSettings& settings = services_.settings;
  FeaturesAfterAuth features;
  features.limits = {settings.limits.max_stanza_bytes, settings.idle_timeout.count()};
  const auto& caps = services_.cluster.facts().caps;
  if (const auto known = caps.find(domain()); known != caps.end()) {
    features.caps_node = known->second.node;
    features.caps_ver = known->second.ver;
  }
  std::string& xml = StreamScratch();
  AppendFeaturesAfterAuth(xml, transport_.framing(), features);
  transport_.Send(xml);
}

void StreamNegotiation::OnTlsEstablished() {
  phase_ = Phase::kHeader;
  Progress();
  owner_.ExpectHeader();
}

// ---- what the client says ----------------------------------------------------

// In a WebSocket each message is a document of its own: one may come before the client has opened a stream.
// It has no answer but a stream error.
bool StreamNegotiation::has_stream() const {
  return phase_ == Phase::kAuthenticating || phase_ == Phase::kBinding;
}

bool StreamNegotiation::may_authenticate() const { return tls_ != TlsMode::kRequired || transport_.is_tls(); }

void StreamNegotiation::OnElement(const xmpp::Element& element) {
  if (!budget_.OnBrought()) PauseForBudget();
  if (has_stream() && element.ns() == ns::kStreamManagement) return HandleStreamManagement(element);
  if (phase_ == Phase::kAuthenticating && element.Is("starttls", ns::kTls)) return StartTls();
  if (phase_ == Phase::kAuthenticating && element.ns() == ns::kSasl) {
    if (!may_authenticate()) {
      std::string& xml = StreamScratch();
      AppendSaslFailure(xml, Name(SaslFailure::kEncryptionRequired));
      return transport_.Send(xml);
    }
    if (sasl_->Handle(element)) return;
  }
  owner_.CloseWithError(StreamError::kUnsupportedStanzaType, EndReason::kClosed);
}

void StreamNegotiation::OnStanza(xmpp::Stanza stanza) {
  if (!budget_.OnBrought()) PauseForBudget();
  if (has_stream() && RefuseUnfit(stanza)) return;
  if (phase_ == Phase::kAuthenticating && may_authenticate() && registration_->Handle(stanza)) return;
  if (phase_ == Phase::kBinding && stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() == "set" &&
      stanza.payload_namespace() == ns::kBind && stanza.payload_name() == "bind") {
    return Bind(stanza);
  }
  // RFC 6120 sections 4.9.3.12 and 7.1.
  owner_.CloseWithError(StreamError::kNotAuthorized, EndReason::kClosed);
}

bool StreamNegotiation::RefuseUnfit(xmpp::Stanza& stanza) {
  const auto wrong = xmpp::CheckStanza(stanza, services_.settings.limits.max_stanza_bytes);
  if (!wrong || stanza.type() == "error" || stanza.type() == "result") return false;
  xmpp::StripRefused(stanza);
  stanza.clear_from();
  stanza.clear_to();
  std::string& xml = StreamScratch();
  xmpp::AppendXml(xml, xmpp::MakeError(stanza, *wrong), transport_.framing());
  transport_.Send(xml);
  return true;
}

void StreamNegotiation::StartTls() {
  if (transport_.is_tls() || !transport_.can_start_tls() || tls_ == TlsMode::kOff) {
    // RFC 6120 section 5.4.2.2.
    transport_.Send(Cat("<failure xmlns=\"", ns::kTls, "\"/>"));
    return owner_.Close();
  }
  transport_.StartTls(Cat("<proceed xmlns=\"", ns::kTls, "\"/>"));
}

void StreamNegotiation::OnAuthenticated(Identity identity) {
  identity_ = std::move(identity);
  phase_ = Phase::kRestart;
  Progress();
  budget_.Begin(services_.account_budgets.Of(user(), progressed_at_),
                services_.network_budgets.Of(transport_.peer().network, progressed_at_));
  owner_.ExpectHeader();
  transport_.SetLimits(services_.settings.limits, services_.settings.read_rate);
  transport_.RestartStream();
}

void StreamNegotiation::OnTooManyAttempts() {
  owner_.CloseWithError(StreamError::kPolicyViolation, EndReason::kClosed);
}

// ---- a session ---------------------------------------------------------------

void StreamNegotiation::Bind(const xmpp::Stanza& iq) {
  const auto payload = xmpp::ParsePayload(iq.payload());
  // RFC 6120 section 8.2.3: an IQ without id is none.
  if (!payload.ok() || payload->size() != 1 || iq.id().empty())
    return SendBindError(iq.id(), ErrorCondition::kBadRequest);
  std::string resource;
  if (const xmpp::Element* asked = payload->front().Find("resource", ns::kBind)) {
    if (const std::string text = asked->Text(); !text.empty()) {
      // RFC 6120 section 7.7.2.1.
      auto prepared = xmpp::PrepareResource(text);
      if (!prepared.ok()) return SendBindError(iq.id(), ErrorCondition::kBadRequest);
      resource = std::move(*prepared);
    }
  }
  transport_.PauseInput();
  request_ = services_.cluster.Start(
      identity_, resource, client_,
      [this, id = iq.id()](ClientSession* session, const ActionFailure& refusal) {
        request_ = 0;
        if (session == nullptr) {
          if (refusal.condition == kNotAuthorized) return OnCredentialsChanged();
          const auto condition = xmpp::ParseErrorCondition(refusal.condition);
          SendBindError(id, refusal.temporary ? ErrorCondition::kResourceConstraint
                                              : condition.value_or(ErrorCondition::kInternalServerError));
          return ResumeInput();
        }
        xmpp::Element bind("bind", ns::kBind);
        bind.Add("jid").SetText(session->full_jid);
        xmpp::Stanza result;
        result.set_kind(common::v1::STANZA_KIND_IQ);
        result.set_type("result");
        result.set_id(id);
        xmpp::SetPayload(result, bind);
        StreamTransport& transport = transport_;
        std::string& xml = StreamScratch();
        xmpp::AppendXml(xml, result, transport.framing());
        transport.Send(xml);
        owner_.OnSession(*session, 0);
        transport.ResumeInput();
      });
}

void StreamNegotiation::OnCredentialsChanged() {
  owner_.CloseWithError(StreamError::kNotAuthorized, EndReason::kClosed, "the password has changed since");
}

void StreamNegotiation::SendBindError(const std::string& id, ErrorCondition condition) {
  xmpp::Stanza request;
  request.set_kind(common::v1::STANZA_KIND_IQ);
  request.set_type("set");
  request.set_id(id);
  std::string& xml = StreamScratch();
  xmpp::AppendXml(xml, xmpp::MakeError(request, condition), transport_.framing());
  transport_.Send(xml);
}

void StreamNegotiation::HandleStreamManagement(const xmpp::Element& element) {
  const std::string& name = element.name();
  if (name == "resume") return Resume(element);
  if (name != "enable" && name != "r" && name != "a")
    return owner_.CloseWithError(StreamError::kUnsupportedStanzaType, EndReason::kClosed);
  std::string& xml = StreamScratch();
  AppendStreamManagementFailed(xml, "unexpected-request", nullptr);
  transport_.Send(xml);
}

void StreamNegotiation::Resume(const xmpp::Element& element) {
  const std::string previd(element.Attr("previd"));
  std::uint32_t h = 0;
  std::string_view refused;
  const auto id = SmId::Parse(previd);
  if (phase_ != Phase::kBinding) {
    refused = "unexpected-request";
  } else if (previd.empty() || !ParseNumber(element.Attr("h"), &h)) {
    refused = "bad-request";
  } else if (!id) {
    refused = "item-not-found";
  }
  if (!refused.empty()) return RefuseResumption(refused, nullptr);
  transport_.PauseInput();
  request_ =
      services_.cluster.Resume(id->session, identity_, h, client_,
                               [this, previd, base = id->inbound_base, h](const Cluster::Resumption& answer) {
                                 request_ = 0;
                                 OnResumed(answer, previd, base, h);
                               });
}

void StreamNegotiation::RefuseResumption(std::string_view condition, const std::uint32_t* ended_h) {
  std::string& xml = StreamScratch();
  AppendStreamManagementFailed(xml, condition, ended_h);
  transport_.Send(xml);
  if (++resumptions_refused_ >= kMaxResumptionsRefused)
    owner_.CloseWithError(StreamError::kPolicyViolation, EndReason::kClosed);
}

void StreamNegotiation::OnResumed(const Cluster::Resumption& resumption, std::string_view previd,
                                  std::uint64_t inbound_base, std::uint32_t h) {
  const auto wire_h = [inbound_base](std::uint64_t count) {
    return static_cast<std::uint32_t>(count - std::min(count, inbound_base));
  };
  if (resumption.session != nullptr) {
    services_.metrics.resumed.Increment();
    StreamTransport& transport = transport_;
    std::string& xml = StreamScratch();
    const InboundWindow& inbound = resumption.session->inbound;
    Append(xml, "<resumed xmlns=\"", ns::kStreamManagement, "\" h=\"", wire_h(inbound.confirmed()),
           "\" previd=\"");
    xmpp::AppendEscaped(xml, previd);
    xml.append("\"/>");
    transport.Send(xml);
    owner_.OnSession(*resumption.session, std::min(inbound_base, inbound.received()));
    return transport.ResumeInput();
  }
  services_.metrics.resumptions_failed.Increment();
  services_.peers.NotResumed(transport_.peer(), resumption.refusal.condition, resumption.refusal.temporary,
                             user());
  if (resumption.handled_too_high) {
    return owner_.CloseWithError(StreamError::kUndefinedCondition, EndReason::kClosed, {},
                                 HandledCountTooHigh(h, resumption.sent_count));
  }
  if (resumption.refusal.condition == kNotAuthorized) return OnCredentialsChanged();
  // <failed/> would make the client give up a session that waits for it. Sent away, it comes
  // again and asks again.
  if (resumption.refusal.temporary)
    return owner_.CloseWithError(StreamError::kResourceConstraint, EndReason::kClosed);
  const std::uint32_t ended_h = wire_h(resumption.ended_count);
  const auto condition = xmpp::ParseErrorCondition(resumption.refusal.condition);
  RefuseResumption(xmpp::Name(condition.value_or(ErrorCondition::kInternalServerError)),
                   resumption.has_ended_count ? &ended_h : nullptr);
  ResumeInput();
}

}  // namespace rookery::gateway
