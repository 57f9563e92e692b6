#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "domain/sasl_exchange.h"
#include "protocols/xmpp/web_origins.h"
#include "rookery/xmpp/stream_parser.h"

namespace rookery::gateway {

/// The TLS that a listener asks for before a client may authenticate.
enum class TlsMode : std::uint8_t { kOff, kOptional, kRequired };

/// Where a client certificate names its user.
enum class CertificateIdentity : std::uint8_t { kXmppAddress, kCommonName };

/// The settings of every XMPP stream of this process.
struct XmppSettings {
  std::vector<std::string> domains;  // prepared; the first is named where a client named none of ours
  SaslPolicy sasl;
  CertificateIdentity certificate_identity = CertificateIdentity::kXmppAddress;
  bool registration = false;
  xmpp::ParserLimits limits_before_auth;
  xmpp::ParserLimits limits;
  std::size_t read_rate = 0;
  /// Stanzas and the like of one account on this gateway: so many a second in the long run; 0: no limit.
  std::size_t stanza_rate = 0;
  /// The same of all accounts of one address (IPv6: /64).
  std::size_t network_stanza_rate = 0;
  std::size_t max_queued_bytes = std::size_t{1} << 20;
  std::size_t max_unconfirmed = 256;
  std::size_t max_unacked = 10'000;
  int max_auth_attempts = 5;
  std::chrono::seconds negotiation_timeout{120};
  std::chrono::seconds registration_timeout{300};
  std::chrono::seconds idle_timeout{300};
  std::chrono::seconds answer_timeout{60};
  std::chrono::seconds write_timeout{60};
  bool websocket_channel_binding = false;
  std::string websocket_url;  // for host-meta; empty: there is none
  WebOrigins web_origins{{}, {}};
};

}  // namespace rookery::gateway
