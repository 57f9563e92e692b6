#include "protocols/xmpp/xmpp_metrics.h"

namespace rookery::gateway {
namespace {

constexpr std::array<std::string_view, 4> kKinds = {"other", "message", "presence", "iq"};
constexpr std::string_view kUnknownMechanism = "unknown";

}  // namespace

XmppMetrics::XmppMetrics(telemetry::Metrics& m)
    : resumed(m.Counter("resumptions_total", "Sessions asked to be resumed", {{"outcome", "resumed"}})),
      resumptions_failed(
          m.Counter("resumptions_total", "Sessions asked to be resumed", {{"outcome", "failed"}})),
      registered(m.Counter("registrations_total", "Accounts asked for in band", {{"outcome", "created"}})),
      registrations_refused(
          m.Counter("registrations_total", "Accounts asked for in band", {{"outcome", "refused"}})),
      slow_readers(m.Counter("slow_readers_total", "Streams closed since their client did not read")),
      origins_refused(
          m.Counter("websocket_origins_refused_total", "WebSockets refused to a foreign web page")),
      sign_ins_slowed(
          m.Counter("sign_ins_slowed_total",
                    "Tries to sign in refused since others from there, or of the account, failed")),
      bytes_in_(m.Counter("received_bytes_total", "Bytes of XML from clients")),
      bytes_out_(m.Counter("sent_bytes_total", "Bytes of XML to clients")) {
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    const std::string kind(kKinds[i]);
    stanzas_in_[i] =
        &m.Counter("stanzas_total", "Stanzas by direction and kind", {{"direction", "in"}, {"kind", kind}});
    stanzas_out_[i] =
        &m.Counter("stanzas_total", "Stanzas by direction and kind", {{"direction", "out"}, {"kind", kind}});
  }
  for (std::size_t i = 0; i < kStreamErrorNames.size(); ++i) {
    stream_errors_[i] = &m.Counter("stream_errors_total", "Streams closed with an error, by its condition",
                                   {{"condition", std::string(kStreamErrorNames[i])}});
  }
  const auto add = [&](std::string_view name) {
    const std::string mechanism(name);
    const auto counter = [&](const char* outcome) {
      return &m.Counter("authentications_total", "SASL exchanges by mechanism and outcome",
                        {{"mechanism", mechanism}, {"outcome", outcome}});
    };
    auth_[mechanism] = {counter("success"), counter("failure"), counter("temporary")};
  };
  for (const auto mechanism : kSaslMechanisms) add(mechanism);
  add(kUnknownMechanism);
}

void XmppMetrics::Authenticated(std::string_view mechanism, SaslFailure failure) {
  auto found = auth_.find(mechanism);
  if (found == auth_.end()) found = auth_.find(kUnknownMechanism);
  if (failure == SaslFailure::kNone) {
    found->second.success->Increment();
  } else if (failure == SaslFailure::kTemporaryAuthFailure) {
    found->second.temporary->Increment();
  } else {
    found->second.failure->Increment();
  }
}

}  // namespace rookery::gateway
