#include "protocols/xmpp/established_stream.h"

#include <utility>

#include "protocols/xmpp/client_stanza.h"
#include "protocols/xmpp/stream_xml.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/ns.h"

namespace rookery::gateway {

EstablishedStream::EstablishedStream(const StreamServices& services, StreamTransport& transport,
                                     StreamControl& stream, InputBudget& budget, SteadyTime now)
    : services_(services),
      transport_(transport),
      stream_(stream),
      budget_(budget),
      acks_(services.cluster, transport),
      queued_pace_(now),
      kept_pace_(now),
      silence_(now) {}

void EstablishedStream::Begin(ClientSession& session, std::string lang, std::uint64_t inbound_base,
                              SteadyTime now) {
  session_ = &session;
  lang_ = std::move(lang);
  acks_.Begin(session, inbound_base);
  queued_pace_ = kept_pace_ = OutputPace(now);
  silence_ = SilenceWatch(now);
  telemetry::LogInfo("session.started", {{"jid", telemetry::HashedJid(session.user())},
                                         {"tls", transport_.is_tls()},
                                         {"resumed", session.outbound.stream_management()}});
}

void EstablishedStream::End(EndReason reason) {
  if (session_ == nullptr) return;
  if (is_closing_) reason = EndReason::kClosed;
  telemetry::LogInfo("session.detached", {{"jid", telemetry::HashedJid(session_->user())},
                                          {"closed", reason == EndReason::kClosed}});
  services_.cluster.End(*std::exchange(session_, nullptr), reason);
}

// ---- what the client says ----------------------------------------------------

bool EstablishedStream::OnStreamClose() {
  if (session_ == nullptr || session_->inbound.unconfirmed().empty()) return true;
  is_closing_ = true;
  PauseInput();
  return false;
}

void EstablishedStream::OnInput() {
  if (session_ != nullptr && !budget_.OnInput()) PauseInput();
}

void EstablishedStream::OnControlFrame() {
  if (!budget_.OnBrought() || IsBehind()) PauseInput();
}

void EstablishedStream::PauseInput() {
  if (!std::exchange(input_paused_, true)) transport_.PauseInput();
}

void EstablishedStream::OnStanza(xmpp::Stanza stanza) {
  const XmppSettings& settings = services_.settings;
  services_.metrics.StanzaIn(stanza.kind());
  const ClientStanzaVerdict verdict =
      PrepareClientStanza(stanza, {session_->full_jid, lang_, settings.limits.max_stanza_bytes});
  if (verdict.foreign_from) return stream_.CloseWithError(StreamError::kInvalidFrom, EndReason::kClosed);
  services_.cluster.SendStanza(*session_, std::move(stanza), verdict.refused);

  const bool is_over_budget = !budget_.OnBrought();
  const InboundWindow& inbound = session_->inbound;
  const bool full = inbound.unconfirmed().size() >= settings.max_unconfirmed ||
                    inbound.unconfirmed_bytes() >= settings.max_queued_bytes;
  if (is_over_budget || full || IsBehind() || !services_.cluster.MayRead(*session_)) PauseInput();
}

void EstablishedStream::OnConfirmed() {
  if (is_closing_) {
    if (session_ == nullptr || !session_->inbound.unconfirmed().empty()) return;
    acks_.SendOwed();
    return stream_.CloseInOrder();
  }
  if (input_paused_ && services_.cluster.MayRead(*session_)) OnUncongested();
}

void EstablishedStream::OnUncongested() {
  if (session_ == nullptr || !input_paused_ || is_closing_) return;
  const XmppSettings& settings = services_.settings;
  const InboundWindow& inbound = session_->inbound;
  // Its own bounds: OnConfirmed, OnDrained or OnTick follows.
  if (budget_.IsUsedUp() || queued_pace_.IsOver(transport_.queued_bytes(), settings.max_queued_bytes / 2) ||
      inbound.unconfirmed().size() > settings.max_unconfirmed / 2 ||
      inbound.unconfirmed_bytes() > settings.max_queued_bytes / 2) {
    return;
  }
  input_paused_ = false;
  transport_.ResumeInput();
}

bool EstablishedStream::IsBehind() const {
  return queued_pace_.IsOver(transport_.queued_bytes(), services_.settings.max_queued_bytes / 4 * 3);
}

void EstablishedStream::OnElement(const xmpp::Element& element) {
  if (acks_.is_asked() && element.name() == "a") {
    budget_.OnAskedFor();
  } else if (!budget_.OnBrought() || IsBehind()) {
    PauseInput();
  }
  if (element.ns() == xmpp::ns::kStreamManagement) {
    const std::string& name = element.name();
    if (name == "enable") return acks_.Enable(element);
    if (name == "r") return acks_.Acknowledge();
    if (name == "a") return HandleAck(element);
    if (name == "resume") {
      std::string& xml = StreamScratch();
      AppendStreamManagementFailed(xml, "unexpected-request", nullptr);
      return transport_.Send(xml);
    }
  }
  stream_.CloseWithError(StreamError::kUnsupportedStanzaType, EndReason::kClosed);
}

void EstablishedStream::HandleAck(const xmpp::Element& element) {
  std::uint32_t h = 0;
  switch (acks_.HandleAnswer(element, &h)) {
    case StreamAcks::Answer::kMalformed:
      return stream_.CloseWithError(StreamError::kBadFormat, EndReason::kClosed);
    case StreamAcks::Answer::kTooHigh:
      return stream_.CloseWithError(StreamError::kUndefinedCondition, EndReason::kClosed, {},
                                    HandledCountTooHigh(h, session_->outbound.sent_h()));
    case StreamAcks::Answer::kAdvanced:
      silence_.Answered();
      return Ask();
    case StreamAcks::Answer::kUnchanged:
      return silence_.Answered();
  }
}

// ---- what the client is given ------------------------------------------------

void EstablishedStream::OnPacket(const xmpp::Stanza& stanza, std::string_view to) {
  if (session_ == nullptr || is_closing_ || IsDeaf()) return;
  services_.metrics.StanzaOut(stanza.kind());
  std::string& xml = StreamScratch();
  xmpp::AppendXml(xml, stanza, transport_.framing(), to);
  queued_pace_.Add(xml.size(), transport_.queued_bytes());
  // The packet has been recorded already.
  const OutboundWindow& outbound = session_->outbound;
  kept_pace_.Add(xml.size(), outbound.unacked().size() > 1 ? outbound.kept_bytes() : 0);
  transport_.Send(xml);
  if (IsOutputFull()) CloseAsSlow();
}

bool EstablishedStream::IsDeaf() {
  // What the kernel takes for a peer that has gone would count as given. That it has gone is seen when what
  // it said before has been read; then all of this goes to somebody else.
  is_deaf_ = is_deaf_ || (input_paused_ && transport_.has_peer_closed());
  return is_deaf_;
}

bool EstablishedStream::IsOutputFull() const {
  if (session_ == nullptr) return transport_.queued_bytes() > services_.settings.max_queued_bytes;
  const XmppSettings& settings = services_.settings;
  const OutboundWindow& outbound = session_->outbound;
  return queued_pace_.IsOver(transport_.queued_bytes(), settings.max_queued_bytes) ||
         outbound.unacked().size() > settings.max_unacked ||
         kept_pace_.IsOver(outbound.kept_bytes(), settings.max_queued_bytes);
}

void EstablishedStream::CloseAsSlow() {
  services_.metrics.slow_readers.Increment();
  stream_.CloseWithError(StreamError::kResourceConstraint, EndReason::kConnectionLost);
}

void EstablishedStream::OnDrained() {
  if (is_closing_ || IsDeaf()) return;
  if (session_->outbound.Drained()) services_.cluster.Delivered(*session_);
  if (session_ != nullptr && input_paused_ && services_.cluster.MayRead(*session_)) OnUncongested();
}

void EstablishedStream::OnBatchEnd() {
  // Whatever is written to a peer that has gone costs what it said before.
  if (session_ == nullptr || IsDeaf()) return;
  acks_.SendOwed();
  Ask();
}

void EstablishedStream::Ask() {
  if (!is_closing_ && acks_.Ask()) silence_.Asked(Clock::System().Now());
}

void EstablishedStream::OnSessionEnded(std::string_view condition, std::string_view text) {
  if (session_ == nullptr) return;
  session_ = nullptr;  // gone already: there is nothing to end
  // Whoever waits for the log has not been told yet that nothing is lost.
  if (condition.empty() && !is_closing_) return stream_.Close();
  stream_.CloseWithError(ParseStreamError(condition).value_or(StreamError::kInternalServerError),
                         EndReason::kClosed, text);
}

// ---- time --------------------------------------------------------------------

void EstablishedStream::OnTick(SteadyTime now, SteadyTime last_received) {
  const XmppSettings& settings = services_.settings;
  if (queued_pace_.Stalled(now, transport_.queued_bytes(), transport_.taken_bytes()) >
      settings.write_timeout) {
    services_.metrics.slow_readers.Increment();
    return stream_.CloseWithError(StreamError::kConnectionTimeout, EndReason::kConnectionLost);
  }
  budget_.OnTick(now);
  if (input_paused_ && session_ != nullptr && services_.cluster.MayRead(*session_)) OnUncongested();
  if (input_paused_) {
    if (transport_.is_broken())
      return stream_.CloseWithError(StreamError::kConnectionTimeout, EndReason::kConnectionLost);
    return silence_.Unheard(now);
  }
  switch (silence_.Check(now, last_received, settings.idle_timeout, settings.answer_timeout)) {
    case SilenceWatch::Due::kNothing:
      return;
    case SilenceWatch::Due::kProbe:
      return Probe(now);
    case SilenceWatch::Due::kGone:
      return stream_.CloseWithError(StreamError::kConnectionTimeout, EndReason::kConnectionLost);
  }
}

void EstablishedStream::Probe(SteadyTime now) {
  const bool asked = acks_.is_enabled() ? acks_.Probe() : transport_.SendKeepalive();
  if (asked) silence_.Asked(now);
}

}  // namespace rookery::gateway
