#include "config.h"

#include <algorithm>
#include <optional>

#include "absl/strings/numbers.h"
#include "domain/text.h"
#include "rookery/app/domains.h"
#include "rookery/base/random.h"
#include "rookery/base/status.h"
#include "rookery/config/files.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/stanza_limits.h"

namespace rookery::gateway {
namespace {

std::chrono::seconds Seconds(std::chrono::milliseconds duration) {
  return std::chrono::ceil<std::chrono::seconds>(duration);
}

constexpr auto kStanzaReserve = static_cast<std::int64_t>(xmpp::kStanzaReserveBytes);

constexpr std::int64_t kMinIterations = 1'000;
constexpr std::int64_t kMaxIterations = 10'000'000;

std::optional<std::uint32_t> ParseIterations(const std::string& text) {
  std::int64_t count = 0;
  if (!absl::SimpleAtoi(text, &count) || count < kMinIterations || count > kMaxIterations)
    return std::nullopt;
  return static_cast<std::uint32_t>(count);
}

/// `domain=cert.pem:key.pem`; without a domain it is the default.
std::optional<net::TlsCertificate> ParseCertificate(const std::string& text) {
  const auto equals = text.find('=');
  const std::string domain = equals == std::string::npos ? "" : text.substr(0, equals);
  const std::string files = equals == std::string::npos ? text : text.substr(equals + 1);
  const auto colon = files.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == files.size()) return std::nullopt;
  return net::TlsCertificate{domain == "*" ? "" : domain, files.substr(0, colon), files.substr(colon + 1)};
}

}  // namespace

void Config::Bind(config::Schema& schema) {
  schema.Bind("domains", &domains, "virtual hosts that clients sign in to");

  schema.Bind("listeners.xmpp.address", &xmpp_address, "XMPP over TCP, host:port (empty: off)");
  schema.BindChoice("listeners.xmpp.tls", &xmpp_tls, {"off", "optional", "required"},
                    "STARTTLS on that listener");
  schema.Bind("listeners.xmpp-tls.address", &xmpp_direct_tls_address,
              "XMPP over direct TLS, host:port (empty: off)");
  schema.Bind("listeners.websocket.address", &websocket_address, "XMPP over ws, host:port (empty: off)");
  schema.Bind("listeners.websocket-tls.address", &websocket_tls_address,
              "XMPP over wss, host:port (empty: off)");
  schema.Bind("listeners.websocket.public-url", &websocket_public_url,
              "the WebSocket's URL in host-meta (empty: no host-meta)");
  schema.Bind("listeners.websocket.origins", &websocket_origins,
              "origins whose web pages may connect, or `*`; empty: those of the domains");
  schema.Bind("listeners.websocket.channel-binding", &websocket_channel_binding,
              "offer SCRAM with channel binding over wss, which no browser can do");
  schema.Bind("listeners.max-connections", &max_connections, "connections of each listener", 1, 10'000'000);
  schema.Bind("listeners.max-connections-per-address", &max_connections_per_address,
              "connections of each listener from one address; 0: no limit", 0, 10'000'000);
  schema.Bind("listeners.keepalive-idle", &keepalive_idle,
              "silence after which the kernel asks whether a client is there (TCP keepalive)");
  schema.Bind("listeners.keepalive-interval", &keepalive_interval, "between two of those probes");
  schema.Bind("listeners.keepalive-probes", &keepalive_probes,
              "unanswered probes after which a client is gone", 1, 100);

  schema.Bind("admission.max-loop-lag", &max_loop_lag,
              "more sign-ins begin while the I/O thread is not later than this");
  schema.Bind("admission.min-under-way", &min_under_way, "sign-ins that may be under way however late it is",
              1, 8192);
  schema.Bind("admission.max-waiting", &max_waiting,
              "accepted connections that wait for their sign-in to begin; more stay in the kernel's backlog",
              1, 1'000'000);
  schema.Bind("admission.max-unauthenticated-per-address", &max_unauthenticated_per_address,
              "connections of one address (IPv6: /64) that are not signed in; so many of them wait, too, "
              "once half of `admission.max-waiting` do; 0: no limit",
              0, 10'000'000);

  schema.Bind("tls.certificates", &tls_certificates,
              "`domain=cert.pem:key.pem` each; without a domain the default");
  schema.Bind("tls.client-ca-file", &tls_client_ca_file,
              "authorities for client certificates (SASL EXTERNAL)");

  schema.Bind("sasl.mechanisms", &sasl_mechanisms, "mechanisms to offer where the connection allows them");
  schema.Bind("sasl.plain-without-tls", &sasl_plain_without_tls, "allow PLAIN where nothing encrypts it");
  schema.BindSecret("sasl.fake-salt-key", &sasl_fake_salt_key,
                    "gives unknown users a stable salt: one key for all gateways");
  schema.Bind("sasl.iterations", &sasl_iterations,
              "PBKDF2 iterations shown for unknown users; the same as `scram.iterations`", kMinIterations,
              kMaxIterations);
  schema.Bind("sasl.earlier-iterations", &sasl_earlier_iterations,
              "what that was before, for as long as accounts have passwords that old: each unknown user is "
              "shown one of all these; a new one goes to the end, and one may stand there several times to "
              "be shown more often");
  schema.Bind("sasl.failure-window", &failure_window, "how long a failed sign-in counts");
  schema.Bind("sasl.max-failures-per-account", &max_failures_per_account,
              "failed sign-ins of one account in that time, on all gateways, before only networks that it is "
              "known from may try; 0: no limit",
              0, 1'000'000);
  schema.Bind("sasl.max-failures-per-network", &max_failures_per_network,
              "the same from one address (IPv6: /64), whatever the account; 0: no limit", 0, 1'000'000);
  schema.Bind("sasl.max-failures-where-known", &max_failures_where_known,
              "the same of one account from a network that it is known from; 0: no limit", 0, 1'000'000);
  schema.BindChoice("sasl.certificate-identity", &sasl_certificate_identity, {"xmpp-address", "common-name"},
                    "where a client certificate names its user; common-name is for one domain only");

  schema.Bind("registration.enabled", &registration,
              "accounts may be made in band (XEP-0077), without TLS only where PLAIN is allowed, too");
  schema.Bind("registration.per-minute", &registrations_per_minute, "attempts from one address; 0: no limit",
              0, 1'000'000);

  schema.Bind("registration.reserved-names", &reserved_names,
              "names that nobody may register in band, nor what looks like them");
  schema.Bind("registration.mixed-scripts", &mixed_scripts,
              "names may have letters of scripts that are not written together, such as Latin and Cyrillic");

  schema.Bind("limits.max-stanza-bytes", &max_stanza_bytes,
              "a stanza of an authenticated client, as it comes and as it is written", 10'000, 16 << 20);
  schema.Bind("limits.max-record-bytes", &max_record_bytes,
              "the largest record that brokers and session-managers take (their `message.max.bytes`); a "
              "stanza and the 64 KiB that the cluster may add to it must fit",
              100'000, 32 << 20);
  schema.Bind("limits.max-stanza-bytes-before-auth", &max_stanza_bytes_before_auth, "an element before that",
              1'000, 1 << 20);
  schema.Bind("limits.max-queued-bytes", &max_queued_bytes,
              "what may wait for a slow reader, besides one large stanza; and what a session has sent that "
              "the log does not have yet",
              16 << 10, 1 << 30);
  // An owner of the shard knows the newest thousand of a session one by one (DuplicateFilter).
  schema.Bind("limits.max-unconfirmed", &max_unconfirmed,
              "a session's stanzas that are not in the log yet; 1,000 at most", 1, 1'000);
  schema.Bind("limits.max-unconfirmed-bytes", &max_unconfirmed_bytes,
              "those of all sessions together; beyond it only shards with less than their part are read",
              1 << 20, std::int64_t{1} << 36);
  schema.Bind("limits.max-unconfirmed-bytes-per-shard", &max_shard_unconfirmed_bytes,
              "those of one shard's sessions; 0: its part of all", 0, std::int64_t{1} << 36);
  schema.Bind("limits.max-link-bytes", &max_link_bytes, "what may wait to be sent to one session-manager",
              1 << 20, std::int64_t{1} << 32);
  schema.Bind("limits.max-unacked", &max_unacked,
              "stanzas that a client may leave unacknowledged; above `sessions.max-unacknowledged`, that "
              "ends the session first",
              16, 1'000'000);
  schema.Bind("limits.bytes-per-second", &bytes_per_second,
              "reading from one connection, with what TLS adds; 0: no limit", 0, 1 << 30);
  schema.Bind(
      "limits.stanzas-per-second", &stanzas_per_second,
      "stanzas and the like (`<r/>`, WebSocket pings) of one account on one gateway, from its sign-in on and "
      "in the long run; ten times as many at once, then it is read more slowly; 0: no limit",
      0, 1'000'000);
  schema.Bind("limits.stanzas-per-second-per-network", &stanzas_per_second_per_network,
              "the same of all accounts of one address (IPv6: /64) together; clients behind one proxy have "
              "one address; 0: no limit",
              0, 10'000'000);
  schema.Bind("limits.auth-attempts", &auth_attempts, "failed SASL exchanges on one stream", 1, 100);
  schema.Bind("limits.negotiation-timeout", &negotiation_timeout,
              "from the beginning of the sign-in to a bound resource");
  schema.Bind("limits.registration-timeout", &registration_timeout,
              "the same once a registration form was fetched: a person types");
  schema.Bind("limits.idle-timeout", &idle_timeout, "silence of a client after which it is probed");
  schema.Bind("limits.answer-timeout", &answer_timeout, "for the answer to that probe or any `<r/>`");
  schema.Bind("limits.write-timeout", &write_timeout,
              "how long a client may take nothing of what waits for it");
  schema.Bind("limits.action-timeout", &action_timeout, "for an answer from a session-manager");
  schema.Bind("limits.owner-timeout", &owner_timeout,
              "how long clients wait for a session-manager that has their shard and answers");

  redis.Bind(schema);
  rpc.Bind(schema);
}

void Config::Validate(config::Problems& problems) const {
  std::vector<std::string> prepared = domains;
  app::PrepareDomains(prepared, problems);
  if (domains.size() > 255) problems.Add("domains", "must name at most 255");
  for (const auto& mechanism : sasl_mechanisms) {
    if (std::find(std::begin(kSaslMechanisms), std::end(kSaslMechanisms), mechanism) ==
        std::end(kSaslMechanisms)) {
      problems.Add("sasl.mechanisms", Cat("has `", mechanism, "`, which is unknown"));
    }
  }
  for (const auto& count : sasl_earlier_iterations) {
    if (!ParseIterations(count)) {
      problems.Add("sasl.earlier-iterations", Cat("has `", count, "`, which is no number from ",
                                                  kMinIterations, " to ", kMaxIterations));
    }
  }
  for (const auto& origin : websocket_origins) {
    if (!WebOrigins::IsValid(origin)) {
      problems.Add("listeners.websocket.origins",
                   Cat("has `", origin, "`, which is not like https://chat.example.org"));
    }
  }
  for (const auto& certificate : tls_certificates) {
    if (!ParseCertificate(certificate)) {
      problems.Add("tls.certificates", Cat("has `", certificate, "`, which is not domain=cert.pem:key.pem"));
    }
  }
  if (max_stanza_bytes + kStanzaReserve > max_record_bytes) {
    problems.Add(
        "limits.max-stanza-bytes",
        Cat("(", max_stanza_bytes, ") and the ", kStanzaReserve,
            " bytes that the cluster may add do not fit into limits.max-record-bytes (", max_record_bytes,
            "); to raise that, raise message.max.bytes of the brokers and of every service first"));
  }
  const bool needs_tls = !xmpp_direct_tls_address.empty() || !websocket_tls_address.empty() ||
                         (!xmpp_address.empty() && xmpp_tls != "off");
  if (needs_tls && tls_certificates.empty()) {
    problems.Add("tls.certificates", "is needed by the listeners that are on");
  }
  for (const auto& [key, duration] :
       {std::pair("limits.negotiation-timeout", negotiation_timeout),
        std::pair("limits.registration-timeout", registration_timeout),
        std::pair("limits.idle-timeout", idle_timeout), std::pair("limits.answer-timeout", answer_timeout),
        std::pair("limits.write-timeout", write_timeout), std::pair("limits.action-timeout", action_timeout),
        std::pair("limits.owner-timeout", owner_timeout), std::pair("sasl.failure-window", failure_window)}) {
    if (duration < std::chrono::seconds(1)) problems.Add(key, "must be at least 1s");
  }
  for (const auto& [key, duration] : {std::pair("listeners.keepalive-idle", keepalive_idle),
                                      std::pair("listeners.keepalive-interval", keepalive_interval)}) {
    // The kernel's bound (tcp(7)).
    if (duration < std::chrono::seconds(1) || duration > std::chrono::seconds(32'767)) {
      problems.Add(key, "must be from 1s to 32767s");
    }
  }
  if (max_loop_lag < std::chrono::milliseconds(1))
    problems.Add("admission.max-loop-lag", "must be at least 1ms");
  if (xmpp_address.empty() && xmpp_direct_tls_address.empty() && websocket_address.empty() &&
      websocket_tls_address.empty()) {
    problems.Add("listeners.xmpp.address", "or the address of another listener is needed: all are off");
  }
  // A name without a domain would be everybody's of that name.
  if (sasl_certificate_identity == "common-name" && domains.size() > 1)
    problems.Add("sasl.certificate-identity", "`common-name` is for one domain only");
  redis.Validate(problems);
  rpc.tls.Validate(problems);
}

void Config::CheckFiles(config::Problems& problems) const {
  for (const auto& text : tls_certificates) {
    const auto certificate = ParseCertificate(text);
    if (!certificate) continue;
    net::TlsOptions options;
    options.certificates.push_back(*certificate);
    const auto context = net::TlsContext::Create(std::move(options));
    if (!context.ok()) problems.Add("tls.certificates", Cat("cannot be used: ", Message(context.status())));
  }
  if (!tls_client_ca_file.empty()) {
    const auto status = config::CheckCertificates(tls_client_ca_file);
    if (!status.ok()) problems.Add("tls.client-ca-file", Cat("cannot be used: ", Message(status)));
  }
  rpc.tls.CheckFiles(problems);
}

TlsMode Config::tls_mode() const {
  if (xmpp_tls == "off") return TlsMode::kOff;
  return xmpp_tls == "optional" ? TlsMode::kOptional : TlsMode::kRequired;
}

GuessLimits Config::MakeGuessLimits() const {
  return {failure_window, static_cast<std::uint32_t>(max_failures_per_account),
          static_cast<std::uint32_t>(max_failures_per_network),
          static_cast<std::uint32_t>(max_failures_where_known)};
}

XmppSettings Config::MakeXmppSettings() const {
  XmppSettings settings;
  for (const auto& domain : domains) settings.domains.push_back(*xmpp::PrepareDomain(domain));
  settings.sasl.mechanisms = sasl_mechanisms;
  settings.sasl.plain_without_tls = sasl_plain_without_tls;
  settings.sasl.fake_salt_key = sasl_fake_salt_key;
  if (sasl_fake_salt_key.empty()) {
    // Good for one process only: another gateway shows another salt, which tells a
    // patient asker who exists.
    telemetry::LogWarn("config.no_fake_salt_key");
    settings.sasl.fake_salt_key = RandomBytes(32);
  }
  settings.sasl.iterations = static_cast<std::uint32_t>(sasl_iterations);
  for (const auto& count : sasl_earlier_iterations)
    settings.sasl.earlier_iterations.push_back(*ParseIterations(count));
  settings.certificate_identity = sasl_certificate_identity == "xmpp-address"
                                      ? CertificateIdentity::kXmppAddress
                                      : CertificateIdentity::kCommonName;
  settings.registration = registration;
  settings.limits.max_stanza_bytes = static_cast<std::size_t>(max_stanza_bytes);
  settings.limits_before_auth.max_stanza_bytes = static_cast<std::size_t>(max_stanza_bytes_before_auth);
  settings.limits_before_auth.max_depth = 16;
  settings.limits_before_auth.max_elements = 128;
  settings.limits_before_auth.max_white_space_bytes = 4096;
  settings.read_rate = static_cast<std::size_t>(bytes_per_second);
  settings.stanza_rate = static_cast<std::size_t>(stanzas_per_second);
  settings.network_stanza_rate = static_cast<std::size_t>(stanzas_per_second_per_network);
  settings.max_queued_bytes = static_cast<std::size_t>(max_queued_bytes);
  settings.max_unconfirmed = static_cast<std::size_t>(max_unconfirmed);
  settings.max_unacked = static_cast<std::size_t>(max_unacked);
  settings.max_auth_attempts = static_cast<int>(auth_attempts);
  settings.negotiation_timeout = Seconds(negotiation_timeout);
  settings.registration_timeout = Seconds(std::max(registration_timeout, negotiation_timeout));
  settings.idle_timeout = Seconds(idle_timeout);
  settings.answer_timeout = Seconds(answer_timeout);
  settings.write_timeout = Seconds(write_timeout);
  settings.websocket_channel_binding = websocket_channel_binding;
  settings.websocket_url = websocket_public_url;
  settings.web_origins = WebOrigins(websocket_origins, settings.domains);
  return settings;
}

SessionLinksOptions Config::MakeLinksOptions() const {
  SessionLinksOptions options;
  options.action_timeout = action_timeout;
  options.owner_timeout = owner_timeout;
  options.max_shard_unconfirmed_bytes = static_cast<std::size_t>(max_shard_unconfirmed_bytes);
  options.max_unconfirmed_bytes = static_cast<std::size_t>(max_unconfirmed_bytes);
  return options;
}

rpc::LinkLimits Config::MakeLinkLimits() const {
  rpc::LinkLimits limits;
  limits.max_outbox_bytes = static_cast<std::size_t>(max_link_bytes);
  return limits;
}

Admission::Options Config::MakeAdmissionOptions() const {
  Admission::Options options;
  options.control.max_loop_lag = max_loop_lag;
  options.control.min_under_way = static_cast<std::size_t>(min_under_way);
  options.max_waiting = static_cast<std::size_t>(max_waiting);
  options.max_unauthenticated_per_address = static_cast<std::size_t>(max_unauthenticated_per_address);
  return options;
}

net::TcpKeepalive Config::MakeKeepalive() const {
  return {Seconds(keepalive_idle), Seconds(keepalive_interval), static_cast<int>(keepalive_probes)};
}

net::TlsOptions Config::MakeTlsOptions(std::vector<std::string> alpn) const {
  net::TlsOptions options;
  for (const auto& certificate : tls_certificates)
    options.certificates.push_back(*ParseCertificate(certificate));
  options.alpn = std::move(alpn);
  options.client_ca_file = tls_client_ca_file;
  return options;
}

}  // namespace rookery::gateway
