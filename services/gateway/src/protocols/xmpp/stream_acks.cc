#include "protocols/xmpp/stream_acks.h"

#include <algorithm>
#include <string>

#include "domain/text.h"
#include "protocols/xmpp/sm_id.h"
#include "protocols/xmpp/stream_xml.h"

namespace rookery::gateway {
namespace {

constexpr std::string_view kRequest = "<r xmlns=\"urn:xmpp:sm:3\"/>";

bool IsTrue(std::string_view text) { return text == "true" || text == "1"; }

}  // namespace

void StreamAcks::Begin(ClientSession& session, std::uint64_t inbound_base) {
  session_ = &session;
  inbound_base_ = inbound_base;
}

void StreamAcks::Enable(const xmpp::Element& element) {
  if (is_enabled()) return Fail("unexpected-request");
  const bool resume = IsTrue(element.Attr("resume"));
  session_->outbound.EnableStreamManagement(resume);
  inbound_base_ = session_->inbound.received();
  cluster_.StreamManagementEnabled(*session_);
  const std::string id = resume ? SmId{session_->id, inbound_base_}.ToText() : std::string();
  std::string& xml = StreamScratch();
  AppendEnabled(xml, {id, cluster_.facts().resumption_seconds});
  transport_.Send(xml);
}

void StreamAcks::Acknowledge() {
  // XEP-0198 names no answer to acks that nobody has agreed on.
  if (!is_enabled()) return Fail("unexpected-request");
  const InboundWindow& inbound = session_->inbound;
  owed_ = inbound.confirmed() < inbound.received() ? inbound.received() : 0;
  const auto h = static_cast<std::uint32_t>(std::max(inbound.confirmed(), inbound_base_) - inbound_base_);
  transport_.Send(Cat("<a xmlns=\"urn:xmpp:sm:3\" h=\"", h, "\"/>"));
}

void StreamAcks::SendOwed() {
  if (owed_ != 0 && session_->inbound.confirmed() >= owed_) Acknowledge();
}

bool StreamAcks::Probe() {
  if (asked_) return false;
  asked_ = true;
  transport_.Send(kRequest);
  return true;
}

bool StreamAcks::Ask() { return is_enabled() && !session_->outbound.unacked().empty() && Probe(); }

StreamAcks::Answer StreamAcks::HandleAnswer(const xmpp::Element& element, std::uint32_t* h) {
  if (!is_enabled()) {
    Fail("unexpected-request");
    return Answer::kUnchanged;
  }
  if (!ParseNumber(element.Attr("h"), h)) return Answer::kMalformed;
  asked_ = false;
  switch (session_->outbound.Acknowledge(*h)) {
    case OutboundWindow::Ack::kTooHigh:
      return Answer::kTooHigh;
    case OutboundWindow::Ack::kAdvanced:
      cluster_.Delivered(*session_);
      return Answer::kAdvanced;
    case OutboundWindow::Ack::kUnchanged:
      break;
  }
  return Answer::kUnchanged;
}

void StreamAcks::Fail(std::string_view condition) {
  std::string& xml = StreamScratch();
  AppendStreamManagementFailed(xml, condition, nullptr);
  transport_.Send(xml);
}

}  // namespace rookery::gateway
