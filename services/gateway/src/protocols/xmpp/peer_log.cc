#include "protocols/xmpp/peer_log.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "rookery/telemetry/log.h"

namespace rookery::gateway {
namespace {

constexpr std::array<std::string_view, 4> kEvents = {"auth.failed", "stream.error", "tls.handshake_failed",
                                                     "session.not_resumed"};

/// Only what we know: the client's own text could pass for other fields.
std::string_view KnownMechanism(std::string_view mechanism) {
  const auto found = std::find(std::begin(kSaslMechanisms), std::end(kSaslMechanisms), mechanism);
  return found == std::end(kSaslMechanisms) ? std::string_view("unknown") : std::string_view(*found);
}

std::string HashedUser(std::string_view user) {
  return user.empty() ? std::string() : telemetry::HashedJid(user);
}

}  // namespace

bool LogBudget::Allow(std::string_view network, SteadyTime now) {
  const double seconds = std::chrono::duration<double>(now - refilled_).count();
  tokens_ = std::min(kBurst, tokens_ + std::max(0.0, seconds) * kLinesPerSecond);
  refilled_ = now;
  if (tokens_ < 1 || !by_network_.Allow(network, now)) return false;
  tokens_ -= 1;
  return true;
}

PeerLog::PeerLog(telemetry::Metrics& metrics) {
  for (std::size_t i = 0; i < kEvents.size(); ++i) {
    suppressed_total_[i] = &metrics.Counter("log_lines_suppressed_total",
                                            "Log lines about peers that were too many to be written",
                                            {{"event", std::string(kEvents[i])}});
  }
  for (std::size_t i = 0; i < tls_failures_.size(); ++i) {
    tls_failures_[i] =
        &metrics.Counter("tls_handshakes_failed_total", "TLS handshakes that failed, by reason",
                         {{"reason", std::string(Name(static_cast<net::TlsFailure>(i)))}});
  }
}

bool PeerLog::Allow(Event event, const Peer& peer) {
  if (!telemetry::IsLogged(telemetry::Level::kInfo)) return false;
  LogBudget& budget = event == kResumption ? of_resumptions_ : budget_;
  if (!budget.Allow(peer.network, Clock::System().Now())) {
    ++suppressed_[event];
    suppressed_total_[event]->Increment();
    return false;
  }
  if (const std::uint64_t lines = std::exchange(suppressed_[event], 0); lines != 0)
    telemetry::LogWarn("log.suppressed", {{"of", kEvents[event]}, {"lines", lines}});
  return true;
}

void PeerLog::AuthFailed(const Peer& peer, std::string_view mechanism, SaslFailure reason,
                         std::string_view user) {
  if (!Allow(kAuth, peer)) return;
  telemetry::LogInfo("auth.failed", {{"mechanism", KnownMechanism(mechanism)},
                                     {"reason", Name(reason)},
                                     {"jid", HashedUser(user)},
                                     {"peer", peer.address}});
}

void PeerLog::AuthSucceeded(const Peer& peer, std::string_view mechanism, std::string_view user) {
  if (!telemetry::IsLogged(telemetry::Level::kDebug)) return;
  telemetry::LogDebug(
      "auth.succeeded",
      {{"mechanism", KnownMechanism(mechanism)}, {"jid", HashedUser(user)}, {"peer", peer.address}});
}

void PeerLog::NotResumed(const Peer& peer, std::string_view condition, bool is_temporary,
                         std::string_view user) {
  if (!Allow(kResumption, peer)) return;
  telemetry::LogInfo("session.not_resumed", {{"jid", HashedUser(user)},
                                             {"condition", condition},
                                             {"temporary", is_temporary},
                                             {"peer", peer.address}});
}

void PeerLog::StreamFailed(const Peer& peer, StreamError condition, std::string_view user) {
  // Our own shutdown is one line, not one for each client.
  if (condition == StreamError::kSystemShutdown || !Allow(kStream, peer)) return;
  telemetry::LogInfo("stream.error",
                     {{"condition", Name(condition)}, {"jid", HashedUser(user)}, {"peer", peer.address}});
}

void PeerLog::TlsFailed(const Peer& peer, net::TlsFailure reason, std::string_view detail) {
  tls_failures_[static_cast<std::size_t>(reason)]->Increment();
  if (reason == net::TlsFailure::kPeerClosed) {
    if (telemetry::IsLogged(telemetry::Level::kDebug))
      telemetry::LogDebug("tls.handshake_failed", {{"reason", Name(reason)}, {"peer", peer.address}});
    return;
  }
  if (!Allow(kTls, peer)) return;
  telemetry::LogInfo("tls.handshake_failed",
                     {{"reason", Name(reason)}, {"detail", detail}, {"peer", peer.address}});
}

}  // namespace rookery::gateway
