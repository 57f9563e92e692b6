#include "protocols/xmpp/client_stream.h"

#include <algorithm>
#include <utility>

#include "domain/text.h"
#include "protocols/xmpp/sm_id.h"
#include "protocols/xmpp/stream_xml.h"
#include "rookery/base/random.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/ns.h"

namespace rookery::gateway {
namespace {

namespace ns = xmpp::ns;
using xmpp::ErrorCondition;

// RFC 5646 section 4.4.1.
constexpr std::size_t kMaxLangBytes = 35;
constexpr std::string_view kAckRequest = "<r xmlns=\"urn:xmpp:sm:3\"/>";

/// RFC 6120 section 4.7.5: both parts are numbers of their own.
bool SpeaksVersionOne(std::string_view version) {
  const auto dot = version.find('.');
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  return dot != std::string_view::npos && ParseNumber(version.substr(0, dot), &major) &&
         ParseNumber(version.substr(dot + 1), &minor) && major >= 1;
}

bool IsTrue(std::string_view text) { return text == "true" || text == "1"; }

std::string& Scratch() {
  thread_local std::string scratch;
  // One huge stanza shall not be paid for ever after.
  if (scratch.capacity() > (std::size_t{1} << 20)) std::string().swap(scratch);
  scratch.clear();
  return scratch;
}

}  // namespace

struct ClientStream::Negotiation {
  std::unique_ptr<SaslNegotiation> sasl;
  std::unique_ptr<Registration> registration;
  std::string user;
  Cluster::RequestId request = 0;
};

ClientStream::ClientStream(const StreamServices& services, StreamTransport& transport, TlsMode tls,
                           SteadyTime now)
    : services_(services),
      transport_(transport),
      negotiation_(std::make_unique<Negotiation>()),
      since_(now),
      drained_at_(now),
      tls_(tls) {}

ClientStream::~ClientStream() { EndSession(EndReason::kConnectionLost); }

std::string_view ClientStream::domain() const { return services_.settings.domains[domain_index_]; }

// ---- the stream itself -------------------------------------------------------

void ClientStream::SendHeader(std::string_view from, std::string_view to) {
  header_sent_ = true;
  const std::string id = RandomToken(16);
  std::string& xml = Scratch();
  AppendStreamHeader(xml, transport_.framing(), {from, to, id});
  transport_.Send(xml);
}

void ClientStream::OnStreamOpen(const xmpp::Element& header, std::string_view default_ns) {
  if (phase_ == Phase::kClosed) return;
  const bool restart = phase_ == Phase::kRestart;
  if (phase_ != Phase::kHeader && !restart)
    return CloseWithError(StreamError::kBadFormat, EndReason::kClosed);
  const auto& domains = services_.settings.domains;

  const std::string_view named = header.Attr("to");
  const auto to = xmpp::PrepareDomain(named);
  const auto found = to.ok() ? std::find(domains.begin(), domains.end(), *to) : domains.end();
  // RFC 6120 section 4.7.2: our `to` is the client's `from`, if it gave one.
  const auto from = xmpp::Jid::Parse(header.Attr("from"));
  const std::string_view peer = from.ok() ? from->bare() : std::string_view();
  header_sent_ = false;
  if (found != domains.end()) {
    SendHeader(*found, peer);
  } else {
    SendHeader(domains[domain_index_], peer);
  }

  if (transport_.framing() == xmpp::Framing::kStream) {
    if (header.ns() != ns::kStreams || default_ns != ns::kClient) {
      return CloseWithError(StreamError::kInvalidNamespace, EndReason::kClosed);
    }
    if (header.name() != "stream") return CloseWithError(StreamError::kBadFormat, EndReason::kClosed);
  } else if (!header.Is("open", ns::kFraming)) {
    return CloseWithError(StreamError::kInvalidNamespace, EndReason::kClosed);
  }
  if (found == domains.end()) {
    const bool is_address = to.ok() && !named.empty();
    return CloseWithError(is_address ? StreamError::kHostUnknown : StreamError::kImproperAddressing,
                          EndReason::kClosed);
  }
  if (!SpeaksVersionOne(header.Attr("version"))) {
    return CloseWithError(StreamError::kUnsupportedVersion, EndReason::kClosed);
  }
  const auto index = static_cast<std::uint8_t>(found - domains.begin());
  // Who has authenticated is a user of that domain and of no other.
  if (restart && index != domain_index_)
    return CloseWithError(StreamError::kNotAuthorized, EndReason::kClosed);
  domain_index_ = index;
  const std::string* lang = header.FindAttr("lang", ns::kXml);
  lang_ = lang != nullptr && lang->size() <= kMaxLangBytes ? *lang : std::string();
  OfferFeatures();
}

void ClientStream::OfferFeatures() {
  const XmppSettings& settings = services_.settings;
  std::string& xml = Scratch();
  if (phase_ == Phase::kRestart) {
    phase_ = Phase::kBinding;
    FeaturesAfterAuth features;
    features.limits = {settings.limits.max_stanza_bytes, settings.idle_timeout.count()};
    const auto& caps = services_.cluster.facts().caps;
    if (const auto known = caps.find(domain()); known != caps.end()) {
      features.caps_node = known->second.node;
      features.caps_ver = known->second.ver;
    }
    AppendFeaturesAfterAuth(xml, transport_.framing(), features);
    return transport_.Send(xml);
  }
  phase_ = Phase::kNegotiating;
  negotiation_->sasl = std::make_unique<SaslNegotiation>(services_, transport_, *this, domain());
  negotiation_->registration = std::make_unique<Registration>(services_, transport_, domain());
  FeaturesBeforeAuth features;
  features.starttls = tls_ != TlsMode::kOff && transport_.can_start_tls() && !transport_.is_tls();
  features.starttls_required = tls_ == TlsMode::kRequired && !transport_.is_tls();
  features.mechanisms = negotiation_->sasl->mechanisms();
  features.channel_bindings = negotiation_->sasl->channel_bindings();
  features.registration = settings.registration;
  features.limits = {settings.limits_before_auth.max_stanza_bytes, settings.negotiation_timeout.count()};
  AppendFeatures(xml, transport_.framing(), features);
  transport_.Send(xml);
}

void ClientStream::OnParseError(xmpp::StreamParseError error) {
  CloseWithError(ToStreamError(error), EndReason::kClosed);
}

void ClientStream::OnElement(const xmpp::Element& element) {
  if (phase_ == Phase::kClosed) return;
  const bool may_authenticate =
      phase_ == Phase::kNegotiating && (tls_ != TlsMode::kRequired || transport_.is_tls());
  if (element.ns() == ns::kStreamManagement) return HandleStreamManagement(element);
  if (phase_ == Phase::kNegotiating && element.Is("starttls", ns::kTls)) return StartTls();
  if (phase_ == Phase::kNegotiating && element.ns() == ns::kSasl) {
    if (!may_authenticate) {
      std::string& xml = Scratch();
      AppendSaslFailure(xml, Name(SaslFailure::kEncryptionRequired));
      return transport_.Send(xml);
    }
    if (negotiation_->sasl->Handle(element)) return;
  }
  if (transport_.framing() == xmpp::Framing::kWebSocket && element.Is("close", ns::kFraming)) {
    return OnStreamClose();
  }
  CloseWithError(StreamError::kUnsupportedStanzaType, EndReason::kClosed);
}

void ClientStream::StartTls() {
  if (transport_.is_tls() || !transport_.can_start_tls() || tls_ == TlsMode::kOff) {
    // RFC 6120 section 5.4.2.2.
    transport_.Send(Cat("<failure xmlns=\"", ns::kTls, "\"/>"));
    return Close();
  }
  transport_.StartTls(Cat("<proceed xmlns=\"", ns::kTls, "\"/>"));
}

void ClientStream::OnDataBeforeTls() {
  if (phase_ == Phase::kClosed) return;
  transport_.Send(Cat("<failure xmlns=\"", ns::kTls, "\"/>"));
  Close();
}

void ClientStream::OnTlsEstablished() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kHeader;
  header_sent_ = false;
}

void ClientStream::OnAuthenticated(const std::string& user) {
  negotiation_->user = user;
  phase_ = Phase::kRestart;
  header_sent_ = false;
  transport_.SetLimits(services_.settings.limits, services_.settings.read_rate);
  transport_.RestartStream();
}

void ClientStream::OnTooManyAttempts() { CloseWithError(StreamError::kPolicyViolation, EndReason::kClosed); }

void ClientStream::OnStreamClose() {
  if (phase_ == Phase::kClosed) return;
  // What has left counts as given, though OnDrained may not have come yet.
  if (transport_.queued_bytes() == 0) OnDrained();
  EndSession(EndReason::kClosed);
  Close();
}

void ClientStream::CloseWithError(StreamError error, EndReason reason, std::string_view text,
                                  std::string_view application) {
  if (phase_ == Phase::kClosed) return;
  services_.metrics.StreamErrorSent(error);
  EndSession(reason);
  if (!header_sent_) SendHeader(domain(), {});
  std::string& xml = Scratch();
  AppendStreamError(xml, transport_.framing(), {error, text, application});
  transport_.Send(xml);
  Close();
}

void ClientStream::Close() {
  phase_ = Phase::kClosed;
  if (header_sent_) {
    std::string& xml = Scratch();
    AppendStreamClose(xml, transport_.framing());
    transport_.Send(xml);
  }
  transport_.Close();
}

void ClientStream::EndSession(EndReason reason) {
  if (negotiation_ != nullptr && negotiation_->request != 0) {
    services_.cluster.Cancel(std::exchange(negotiation_->request, 0));
  }
  if (session_ == nullptr) return;
  telemetry::LogInfo("session.detached", {{"jid", telemetry::HashedJid(session_->user())},
                                          {"closed", reason == EndReason::kClosed}});
  services_.cluster.End(*std::exchange(session_, nullptr), reason);
}

void ClientStream::OnConnectionLost() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  EndSession(EndReason::kConnectionLost);
}

void ClientStream::Shutdown() { CloseWithError(StreamError::kSystemShutdown, EndReason::kConnectionLost); }

void ClientStream::OnTick(SteadyTime now, SteadyTime last_received) {
  const XmppSettings& settings = services_.settings;
  if (phase_ == Phase::kClosed) return;
  if (phase_ != Phase::kLive) {
    if (now - since_ > settings.negotiation_timeout)
      CloseWithError(StreamError::kConnectionTimeout, EndReason::kClosed);
    return;
  }
  if (transport_.queued_bytes() == 0) {
    drained_at_ = now;
  } else if (now - drained_at_ > settings.write_timeout) {
    services_.metrics.slow_readers.Increment();
    return CloseWithError(StreamError::kConnectionTimeout, EndReason::kConnectionLost);
  }
  if ((ack_requested_ || probed_) && now - asked_at_ > settings.answer_timeout && last_received < asked_at_) {
    return CloseWithError(StreamError::kConnectionTimeout, EndReason::kConnectionLost);
  }
  if (now - last_received > settings.idle_timeout && now - since_ > settings.idle_timeout) {
    since_ = now;
    if (session_->outbound.stream_management()) {
      if (!ack_requested_) RequestAck();
    } else if (transport_.SendKeepalive()) {
      probed_ = true;
      asked_at_ = now;
    }
  }
}

// ---- binding -----------------------------------------------------------------

void ClientStream::Bind(const xmpp::Stanza& iq) {
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
  negotiation_->request = services_.cluster.Start(
      negotiation_->user, resource, *this,
      [this, id = iq.id()](ClientSession* session, const Refusal& refusal) {
        negotiation_->request = 0;
        if (session == nullptr) {
          const auto condition = xmpp::ParseErrorCondition(refusal.condition);
          SendBindError(id, refusal.temporary ? ErrorCondition::kResourceConstraint
                                              : condition.value_or(ErrorCondition::kInternalServerError));
        } else {
          xmpp::Element bind("bind", ns::kBind);
          bind.Add("jid").SetText(session->full_jid);
          xmpp::Stanza result;
          result.set_kind(common::v1::STANZA_KIND_IQ);
          result.set_type("result");
          result.set_id(id);
          xmpp::SetPayload(result, bind);
          std::string& xml = Scratch();
          xmpp::AppendXml(xml, result, transport_.framing());
          transport_.Send(xml);
          GoLive(*session);
        }
        transport_.ResumeInput();
      });
}

void ClientStream::SendBindError(const std::string& id, ErrorCondition condition) {
  xmpp::Stanza request;
  request.set_kind(common::v1::STANZA_KIND_IQ);
  request.set_type("set");
  request.set_id(id);
  std::string& xml = Scratch();
  xmpp::AppendXml(xml, xmpp::MakeError(request, condition), transport_.framing());
  transport_.Send(xml);
}

void ClientStream::GoLive(ClientSession& session) {
  session_ = &session;
  phase_ = Phase::kLive;
  since_ = drained_at_ = Clock::System().Now();
  negotiation_.reset();
  telemetry::LogInfo("session.started", {{"jid", telemetry::HashedJid(session.user())},
                                         {"tls", transport_.is_tls()},
                                         {"resumed", session.outbound.stream_management()}});
}

// ---- stanzas of the client ---------------------------------------------------

void ClientStream::OnStanza(xmpp::Stanza stanza) {
  if (phase_ == Phase::kLive) return ForwardStanza(std::move(stanza));
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kNegotiating && (tls_ != TlsMode::kRequired || transport_.is_tls()) &&
      negotiation_->registration->Handle(stanza)) {
    return;
  }
  if (phase_ == Phase::kBinding && stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() == "set" &&
      stanza.payload_namespace() == ns::kBind && stanza.payload_name() == "bind") {
    return Bind(stanza);
  }
  // RFC 6120 sections 4.9.3.12 and 7.1.
  CloseWithError(StreamError::kNotAuthorized, EndReason::kClosed);
}

bool ClientStream::StampFrom(xmpp::Stanza& stanza) const {
  const std::string& own = session_->full_jid;
  if (stanza.from() == own) return true;
  if (!stanza.from().empty() && stanza.from() != session_->user()) {
    // RFC 6120 section 8.1.2.1: compared as addresses, not as text.
    const auto claimed = xmpp::Jid::Parse(stanza.from());
    if (!claimed.ok() || (claimed->str() != own && claimed->str() != session_->user())) return false;
  }
  stanza.set_from(own);
  return true;
}

void ClientStream::ForwardStanza(xmpp::Stanza stanza) {
  services_.metrics.StanzaIn(stanza.kind());
  if (!StampFrom(stanza)) return CloseWithError(StreamError::kInvalidFrom, EndReason::kClosed);
  bool to_malformed = false;
  if (!stanza.to().empty()) {
    const auto to = xmpp::Jid::Parse(stanza.to());
    if (!to.ok()) {
      to_malformed = true;
      stanza.clear_to();
    } else if (to->str() != stanza.to()) {
      stanza.set_to(std::string(to->str()));
    }
  }
  // RFC 6120 section 8.1.5.
  if (stanza.lang().empty() && !lang_.empty()) stanza.set_lang(lang_);

  services_.cluster.SendStanza(*session_, std::move(stanza), to_malformed);
  const bool full = session_->inbound.unconfirmed().size() >= services_.settings.max_unconfirmed ||
                    session_->inbound.unconfirmed_bytes() >= services_.settings.max_queued_bytes;
  if (!input_paused_ && (full || services_.cluster.is_congested(*session_))) {
    input_paused_ = true;
    transport_.PauseInput();
  }
}

void ClientStream::OnConfirmed() {
  if (input_paused_ && !services_.cluster.is_congested(*session_)) OnUncongested();
}

void ClientStream::OnUncongested() {
  if (phase_ != Phase::kLive || !input_paused_) return;
  const XmppSettings& settings = services_.settings;
  // Its own bound: OnConfirmed follows.
  if (session_->inbound.unconfirmed().size() > settings.max_unconfirmed / 2 ||
      session_->inbound.unconfirmed_bytes() > settings.max_queued_bytes / 2) {
    return;
  }
  input_paused_ = false;
  transport_.ResumeInput();
}

// ---- packets to the client ---------------------------------------------------

void ClientStream::OnPacket(const xmpp::Stanza& stanza, std::string_view to) {
  if (phase_ != Phase::kLive) return;
  services_.metrics.StanzaOut(stanza.kind());
  std::string& xml = Scratch();
  xmpp::AppendXml(xml, stanza, transport_.framing(), to);
  transport_.Send(xml);
  LimitOutput();
}

void ClientStream::LimitOutput() {
  const XmppSettings& settings = services_.settings;
  const OutboundWindow& outbound = session_->outbound;
  if (transport_.queued_bytes() <= settings.max_queued_bytes &&
      outbound.unacked().size() <= settings.max_unacked &&
      outbound.kept_bytes() <= settings.max_queued_bytes) {
    return;
  }
  OnOutputFull();
}

void ClientStream::OnOutputFull() {
  if (phase_ == Phase::kClosed) return;
  services_.metrics.slow_readers.Increment();
  CloseWithError(StreamError::kResourceConstraint, EndReason::kConnectionLost);
}

void ClientStream::OnDrained() {
  if (phase_ == Phase::kLive && session_->outbound.Drained()) services_.cluster.Delivered(*session_);
}

void ClientStream::OnBatchEnd() {
  if (phase_ != Phase::kLive) return;
  if (ack_owed_ != 0 && session_->inbound.confirmed() >= ack_owed_) SendAck();
  if (session_->outbound.stream_management() && !ack_requested_ && !session_->outbound.unacked().empty())
    RequestAck();
}

void ClientStream::OnSessionEnded(std::string_view condition, std::string_view text) {
  if (phase_ == Phase::kClosed) return;
  session_ = nullptr;  // gone already: there is nothing to end
  if (condition.empty()) return Close();
  CloseWithError(ParseStreamError(condition).value_or(StreamError::kInternalServerError), EndReason::kClosed,
                 text);
}

// ---- XEP-0198 ----------------------------------------------------------------

void ClientStream::HandleStreamManagement(const xmpp::Element& element) {
  const std::string& name = element.name();
  const bool enabled = phase_ == Phase::kLive && session_->outbound.stream_management();
  if (name == "enable") return Enable(element);
  if (name == "resume") return Resume(element);
  if (name == "r" && enabled) return SendAck();
  if (name == "a" && enabled) return HandleAck(element);
  // Acks that nobody has agreed on. XEP-0198 names no answer; not a stanza either way.
  if (name == "r" || name == "a") {
    std::string& xml = Scratch();
    AppendStreamManagementFailed(xml, "unexpected-request", nullptr);
    return transport_.Send(xml);
  }
  CloseWithError(StreamError::kUnsupportedStanzaType, EndReason::kClosed);
}

void ClientStream::Enable(const xmpp::Element& element) {
  std::string& xml = Scratch();
  if (phase_ != Phase::kLive || session_->outbound.stream_management()) {
    AppendStreamManagementFailed(xml, "unexpected-request", nullptr);
    return transport_.Send(xml);
  }
  const bool resume = IsTrue(element.Attr("resume"));
  session_->outbound.EnableStreamManagement(resume);
  inbound_base_ = session_->inbound.received();
  services_.cluster.StreamManagementEnabled(*session_);
  const std::string id = resume ? SmId{session_->id, inbound_base_}.ToText() : std::string();
  AppendEnabled(xml, {id, services_.cluster.facts().resumption_seconds});
  transport_.Send(xml);
}

void ClientStream::Resume(const xmpp::Element& element) {
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
  if (!refused.empty()) {
    std::string& xml = Scratch();
    AppendStreamManagementFailed(xml, refused, nullptr);
    return transport_.Send(xml);
  }
  transport_.PauseInput();
  negotiation_->request = services_.cluster.Resume(
      id->session, negotiation_->user, h, *this,
      [this, previd, base = id->inbound_base, h](const Cluster::Resumption& resumption) {
        negotiation_->request = 0;
        OnResumed(resumption, previd, base, h);
        if (phase_ != Phase::kClosed) transport_.ResumeInput();
      });
}

void ClientStream::OnResumed(const Cluster::Resumption& resumption, std::string_view previd,
                             std::uint64_t inbound_base, std::uint32_t h) {
  const auto wire_h = [inbound_base](std::uint64_t count) {
    return static_cast<std::uint32_t>(count - std::min(count, inbound_base));
  };
  std::string& xml = Scratch();
  if (resumption.session != nullptr) {
    services_.metrics.resumed.Increment();
    inbound_base_ = std::min(inbound_base, resumption.session->inbound.received());
    Append(xml, "<resumed xmlns=\"", ns::kStreamManagement, "\" h=\"",
           wire_h(resumption.session->inbound.confirmed()), "\" previd=\"");
    xmpp::AppendEscaped(xml, previd);
    xml.append("\"/>");
    transport_.Send(xml);
    return GoLive(*resumption.session);
  }
  services_.metrics.resumptions_failed.Increment();
  telemetry::LogInfo("session.not_resumed", {{"jid", telemetry::HashedJid(negotiation_->user)},
                                             {"condition", resumption.refusal.condition},
                                             {"temporary", resumption.refusal.temporary}});
  if (resumption.handled_too_high) return CloseHandledTooHigh(h, resumption.sent_count);
  // <failed/> would make the client give up a session that waits for it. Sent away, it comes
  // again and asks again.
  if (resumption.refusal.temporary)
    return CloseWithError(StreamError::kResourceConstraint, EndReason::kClosed);
  const std::uint32_t ended_h = wire_h(resumption.ended_count);
  const auto condition = xmpp::ParseErrorCondition(resumption.refusal.condition);
  AppendStreamManagementFailed(xml, xmpp::Name(condition.value_or(ErrorCondition::kInternalServerError)),
                               resumption.has_ended_count ? &ended_h : nullptr);
  transport_.Send(xml);
}

void ClientStream::SendAck() {
  const InboundWindow& inbound = session_->inbound;
  // Only what is in the log; for the rest another <a/> follows once it is.
  ack_owed_ = inbound.confirmed() < inbound.received() ? inbound.received() : 0;
  const auto h = static_cast<std::uint32_t>(std::max(inbound.confirmed(), inbound_base_) - inbound_base_);
  transport_.Send(Cat("<a xmlns=\"urn:xmpp:sm:3\" h=\"", h, "\"/>"));
}

void ClientStream::RequestAck() {
  ack_requested_ = true;
  asked_at_ = Clock::System().Now();
  transport_.Send(kAckRequest);
}

void ClientStream::HandleAck(const xmpp::Element& element) {
  std::uint32_t h = 0;
  if (!ParseNumber(element.Attr("h"), &h)) return CloseWithError(StreamError::kBadFormat, EndReason::kClosed);
  ack_requested_ = false;
  OutboundWindow& outbound = session_->outbound;
  switch (outbound.Acknowledge(h)) {
    case OutboundWindow::Ack::kTooHigh:
      return CloseHandledTooHigh(h, outbound.sent_h());
    case OutboundWindow::Ack::kAdvanced:
      services_.cluster.Delivered(*session_);
      break;
    case OutboundWindow::Ack::kUnchanged:
      return;  // asking on would be a loop with who never takes more
  }
  if (!outbound.unacked().empty()) RequestAck();
}

void ClientStream::CloseHandledTooHigh(std::uint32_t h, std::uint32_t sent) {
  CloseWithError(StreamError::kUndefinedCondition, EndReason::kClosed, {},
                 Cat("<handled-count-too-high xmlns=\"", ns::kStreamManagement, "\" h=\"", h,
                     "\" send-count=\"", sent, "\"/>"));
}

}  // namespace rookery::gateway
