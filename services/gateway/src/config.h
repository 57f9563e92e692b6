#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "adapters/session_links.h"
#include "domain/guess_guard.h"
#include "protocols/admission.h"
#include "protocols/xmpp/xmpp_settings.h"
#include "rookery/config/config.h"
#include "rookery/net/connection.h"
#include "rookery/net/tls.h"
#include "rookery/redis/client.h"
#include "rookery/rpc/server.h"
#include "rookery/rpc/session_link.h"

namespace rookery::gateway {

/// The gateway's options as an operator writes them; `--config-reference` explains each.
struct Config {
  std::vector<std::string> domains{"localhost"};

  std::string xmpp_address;
  std::string xmpp_tls = "required";
  std::string xmpp_direct_tls_address;
  std::string websocket_address;
  std::string websocket_tls_address;
  std::string websocket_public_url;
  std::vector<std::string> websocket_origins;
  bool websocket_channel_binding = false;
  std::int64_t max_connections = 100'000;
  std::int64_t max_connections_per_address = 0;
  std::chrono::milliseconds keepalive_idle{120'000};
  std::chrono::milliseconds keepalive_interval{20'000};
  std::int64_t keepalive_probes = 3;

  std::vector<std::string> tls_certificates;
  std::string tls_client_ca_file;

  std::vector<std::string> sasl_mechanisms{
      "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "EXTERNAL"};
  bool sasl_plain_without_tls = false;
  std::string sasl_fake_salt_key;
  std::int64_t sasl_iterations = 10'000;
  std::vector<std::string> sasl_earlier_iterations;
  std::string sasl_certificate_identity = "xmpp-address";
  std::chrono::milliseconds failure_window{600'000};
  std::int64_t max_failures_per_account = 10;
  std::int64_t max_failures_per_network = 100;
  std::int64_t max_failures_where_known = 100;

  std::chrono::milliseconds max_loop_lag{50};
  std::int64_t min_under_way = 64;
  std::int64_t max_waiting = 10'000;
  std::int64_t max_unauthenticated_per_address = 1'000;

  bool registration = false;
  std::int64_t registrations_per_minute = 10;
  std::vector<std::string> reserved_names{
      "abuse",      "admin", "administrator", "hostmaster", "info",    "moderator", "noreply", "operator",
      "postmaster", "root",  "security",      "staff",      "support", "sysadmin",  "system",  "webmaster"};
  bool mixed_scripts = false;

  std::int64_t max_stanza_bytes = 256 * 1024;
  std::int64_t max_record_bytes = 1'000'000;
  std::int64_t max_stanza_bytes_before_auth = 10'000;
  std::int64_t max_queued_bytes = std::int64_t{1} << 20;
  std::int64_t max_unconfirmed = 256;
  std::int64_t max_unconfirmed_bytes = std::int64_t{64} << 20;
  std::int64_t max_shard_unconfirmed_bytes = 0;
  std::int64_t max_link_bytes = std::int64_t{16} << 20;
  std::int64_t max_unacked = 10'000;
  std::int64_t bytes_per_second = std::int64_t{1} << 20;
  std::int64_t stanzas_per_second = 100;
  std::int64_t stanzas_per_second_per_network = 5'000;
  std::int64_t auth_attempts = 5;
  std::chrono::milliseconds negotiation_timeout{120'000};
  std::chrono::milliseconds registration_timeout{300'000};
  std::chrono::milliseconds idle_timeout{300'000};
  std::chrono::milliseconds answer_timeout{60'000};
  std::chrono::milliseconds write_timeout{60'000};
  std::chrono::milliseconds action_timeout{15'000};
  std::chrono::milliseconds owner_timeout{30'000};

  redis::Options redis;
  rpc::ClientOptions rpc;

  void Bind(config::Schema& schema);
  void Validate(config::Problems& problems) const;
  void CheckFiles(config::Problems& problems) const;

  /// These are for a valid configuration only.
  XmppSettings MakeXmppSettings() const;
  GuessLimits MakeGuessLimits() const;
  SessionLinksOptions MakeLinksOptions() const;
  rpc::LinkLimits MakeLinkLimits() const;
  Admission::Options MakeAdmissionOptions() const;
  net::TcpKeepalive MakeKeepalive() const;
  net::TlsOptions MakeTlsOptions(std::vector<std::string> alpn) const;
  TlsMode tls_mode() const;
};

}  // namespace rookery::gateway
