#include "protocols/xmpp/xmpp_connection.h"

#include <utility>

#include "rookery/telemetry/log.h"

namespace rookery::gateway {

XmppConnection::XmppConnection(const StreamServices& services, ConnectionSet& set,
                               std::unique_ptr<net::Connection> connection, xmpp::Framing framing,
                               TlsMode tls, Admission::Ticket ticket)
    : services_(services),
      set_(set),
      connection_(std::move(connection)),
      framing_(framing),
      last_received_(Clock::System().Now()),
      stream_(services, *this, tls, last_received_, std::move(ticket)),
      parser_(framing, stream_, services.settings.limits_before_auth) {
  connection_->SetReadRate(services.settings.read_rate);
}

void XmppConnection::OnTlsFailed(net::TlsFailure failure, std::string_view detail) {
  services_.peers.TlsFailed(peer(), failure, detail);
}

void XmppConnection::OnClosed(const absl::Status& status) {
  if (telemetry::IsLogged(telemetry::Level::kDebug)) {
    telemetry::LogDebug("connection.closed",
                        {{"peer", connection_->peer_address()}, {"status", status.ToString()}});
  }
  closed_ = true;
  stream_.OnConnectionLost();
  set_.Retire(*this);
}

void XmppConnection::PauseInput() {
  if (std::exchange(paused_, true)) return;
  if (parsing_) parser_.Pause();
  connection_->PauseReading();
}

void XmppConnection::ResumeInput() {
  if (!std::exchange(paused_, false) || closed_) return;
  // Called from within Parse, Parse goes on by itself.
  if (!parsing_) TakePending();
  if (!paused_ && !closed_) connection_->ResumeReading();
}

void XmppConnection::SetLimits(const xmpp::ParserLimits& limits, std::size_t bytes_per_second) {
  parser_.set_limits(limits);
  connection_->SetReadRate(bytes_per_second);
}

void XmppConnection::Received(std::size_t bytes) {
  last_received_ = Clock::System().Now();
  services_.metrics.BytesIn(bytes);
  stream_.OnInput(bytes);
}

std::string_view XmppConnection::Parse(std::string_view data) {
  parsing_ = true;
  while (!data.empty() && !paused_ && !closed_) {
    std::size_t used = 0;
    const xmpp::StreamParseError error = parser_.Parse(data, &used);
    data.remove_prefix(used);
    if (closed_) break;
    if (error != xmpp::StreamParseError::kNone) {
      stream_.OnParseError(error);
      break;
    }
  }
  parsing_ = false;
  return closed_ ? std::string_view() : data;
}

}  // namespace rookery::gateway
