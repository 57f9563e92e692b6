#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "domain/address_limiter.h"
#include "domain/sasl_exchange.h"
#include "protocols/xmpp/stream_error.h"
#include "rookery/base/clock.h"
#include "rookery/net/connection.h"
#include "rookery/telemetry/metrics.h"

namespace rookery::gateway {

/// The other end of a connection, as logs and limits name it.
struct Peer {
  std::string address;
  std::string network;  // net::Connection::peer_network
};

/// So many log lines a minute for each network, and so many for all together: a flood of bad
/// sign-ins neither fills the disk nor hides those of others for long. Decides only.
class LogBudget {
 public:
  bool Allow(std::string_view network, SteadyTime now);

 private:
  static constexpr std::uint32_t kLinesPerMinute = 20;  // of one network
  static constexpr double kLinesPerSecond = 20;         // of all, in the long run
  static constexpr double kBurst = 500;

  AddressLimiter by_network_{kLinesPerMinute};
  double tokens_ = kBurst;
  SteadyTime refilled_{};
};

/// Logs what peers do that an operator looks for at night and a tool such as fail2ban matches. The events and
/// fields are an interface: README.md of the root names them. No password and no address of a user but as
/// hash. Process-wide; I/O thread only.
class PeerLog {
 public:
  explicit PeerLog(telemetry::Metrics& metrics);

  /// `auth.failed`. `user`: the account, as far as the exchange got; may be empty.
  void AuthFailed(const Peer& peer, std::string_view mechanism, SaslFailure reason, std::string_view user);
  /// `auth.succeeded`, at debug.
  void AuthSucceeded(const Peer& peer, std::string_view mechanism, std::string_view user);
  /// `session.not_resumed`, of a user who has signed in.
  void NotResumed(const Peer& peer, std::string_view condition, bool is_temporary, std::string_view user);
  /// `stream.error`. `user` may be empty.
  void StreamFailed(const Peer& peer, StreamError condition, std::string_view user);
  /// `tls.handshake_failed`. One whose peer only went away is counted, and logged at debug: health
  /// checks and port scans do nothing else.
  void TlsFailed(const Peer& peer, net::TlsFailure reason, std::string_view detail);

 private:
  enum Event : std::uint8_t { kAuth, kStream, kTls, kResumption };
  /// Whether a line may be written. What was kept back before is told first.
  bool Allow(Event event, const Peer& peer);

  LogBudget budget_;
  /// One of their own: after an outage there are many, and they must not hide who guesses passwords.
  LogBudget of_resumptions_;
  std::array<std::uint64_t, 4> suppressed_{};
  std::array<prometheus::Counter*, 4> suppressed_total_;
  std::array<prometheus::Counter*, net::kTlsFailures> tls_failures_;
};

}  // namespace rookery::gateway
