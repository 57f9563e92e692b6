#include "protocols/xmpp/client_stream.h"

#include <string>
#include <utility>

#include "domain/text.h"
#include "protocols/xmpp/stream_xml.h"
#include "rookery/base/random.h"
#include "rookery/xmpp/ns.h"

namespace rookery::gateway {

namespace ns = xmpp::ns;

ClientStream::ClientStream(const StreamServices& services, StreamTransport& transport, TlsMode tls,
                           SteadyTime now, Admission::Ticket ticket)
    : services_(services),
      transport_(transport),
      established_(services, transport, *this, budget_, now),
      negotiation_(std::make_unique<StreamNegotiation>(services, transport, established_,
                                                       static_cast<StreamNegotiation::Owner&>(*this), budget_,
                                                       tls, now, std::move(ticket))) {}

ClientStream::~ClientStream() { End(EndReason::kConnectionLost); }

// ---- what the client says ----------------------------------------------------

void ClientStream::OnStreamOpen(const xmpp::Element& header, std::string_view default_ns) {
  if (closed_) return;
  if (negotiation_ == nullptr) return CloseWithError(StreamError::kBadFormat, EndReason::kClosed);
  negotiation_->OnStreamOpen(header, default_ns);
}

void ClientStream::OnStanza(xmpp::Stanza stanza) {
  if (closed_) return;
  if (negotiation_ != nullptr) {
    if (negotiation_->IsOutputFull()) return established_.CloseAsSlow();
    negotiation_->OnStanza(std::move(stanza));
  } else {
    established_.OnStanza(std::move(stanza));
  }
}

void ClientStream::OnElement(const xmpp::Element& element) {
  if (closed_) return;
  if (negotiation_ != nullptr) {
    if (negotiation_->IsOutputFull()) return established_.CloseAsSlow();
    negotiation_->OnElement(element);
  } else {
    established_.OnElement(element);
  }
}

void ClientStream::OnStreamClose() {
  if (closed_) return;
  client_has_closed_ = true;
  // Its client reads what is before the end of our stream. Bytes that have left count as given, though
  // OnDrained may not have come yet.
  transport_.Flush();
  if (closed_) return;
  if (transport_.queued_bytes() == 0) OnDrained();
  if (negotiation_ == nullptr && !established_.OnStreamClose()) return;
  CloseInOrder();
}

void ClientStream::CloseInOrder() {
  End(EndReason::kClosed);
  Close();
}

void ClientStream::OnParseError(xmpp::StreamParseError error) {
  CloseWithError(ToStreamError(error), EndReason::kClosed);
}

void ClientStream::OnDataBeforeTls() {
  if (closed_) return;
  transport_.Send(Cat("<failure xmlns=\"", ns::kTls, "\"/>"));
  Close();
}

// ---- the connection ----------------------------------------------------------

void ClientStream::OnInput(std::size_t bytes) {
  if (closed_) return;
  if (negotiation_ != nullptr && !negotiation_->MayReceive(bytes))
    return CloseWithError(StreamError::kPolicyViolation, EndReason::kClosed);
  if (established_.IsOutputFull()) return established_.CloseAsSlow();
  if (negotiation_ != nullptr) {
    negotiation_->OnInput();
  } else {
    established_.OnInput();
  }
}

void ClientStream::OnControlFrame() {
  if (closed_) return;
  if (negotiation_ != nullptr) {
    negotiation_->OnControlFrame();
  } else {
    established_.OnControlFrame();
  }
}

void ClientStream::OnTlsEstablished() {
  if (!closed_ && negotiation_ != nullptr) negotiation_->OnTlsEstablished();
}

void ClientStream::OnDrained() {
  if (!closed_ && negotiation_ == nullptr) established_.OnDrained();
}

void ClientStream::OnConnectionLost() {
  if (std::exchange(closed_, true)) return;
  // A client that has closed its stream may be gone before it has what was queued for it.
  End(client_has_closed_ ? EndReason::kClosed : EndReason::kConnectionLost);
}

void ClientStream::Shutdown() { CloseWithError(StreamError::kSystemShutdown, EndReason::kConnectionLost); }

void ClientStream::OnTick(SteadyTime now, SteadyTime last_received) {
  if (closed_) return;
  if (negotiation_ == nullptr) return established_.OnTick(now, last_received);
  if (!negotiation_->OnTick(now)) CloseWithError(StreamError::kConnectionTimeout, EndReason::kClosed);
}

// ---- for the parts -----------------------------------------------------------

void ClientStream::SendHeader(std::string_view from, std::string_view to) {
  header_sent_ = true;
  const std::string id = RandomToken(16);
  std::string& xml = StreamScratch();
  AppendStreamHeader(xml, transport_.framing(), {from, to, id});
  transport_.Send(xml);
}

void ClientStream::OnSession(ClientSession& session, std::uint64_t inbound_base) {
  // It is the caller: it goes when this returns.
  const auto negotiation = std::move(negotiation_);
  established_.Begin(session, negotiation->lang(), inbound_base, Clock::System().Now());
}

void ClientStream::CloseWithError(StreamError error, EndReason reason, std::string_view text,
                                  std::string_view application) {
  if (closed_) return;
  services_.metrics.StreamErrorSent(error);
  services_.peers.StreamFailed(transport_.peer(), error,
                               negotiation_ != nullptr ? negotiation_->user() : established_.user());
  End(reason);
  // After a session has begun the header has been sent.
  if (!header_sent_) SendHeader(negotiation_->domain(), {});
  std::string& xml = StreamScratch();
  AppendStreamError(xml, transport_.framing(), {error, text, application});
  transport_.Send(xml);
  Close();
}

void ClientStream::Close() {
  closed_ = true;
  if (header_sent_) {
    std::string& xml = StreamScratch();
    AppendStreamClose(xml, transport_.framing());
    transport_.Send(xml);
  }
  transport_.Close();
}

void ClientStream::End(EndReason reason) {
  if (negotiation_ != nullptr) negotiation_->Abandon();
  established_.End(reason);
}

}  // namespace rookery::gateway
