#include "config.h"

#include <algorithm>

#include "rookery/app/domains.h"

namespace rookery::session_manager {

void Config::Bind(config::Schema& schema) {
  schema.Bind("domains", &settings.domains, "virtual hosts that this cluster serves");
  schema.Bind("registration.enabled", &settings.registration,
              "let clients create and remove accounts (XEP-0077); passwords can be changed in any case");
  schema.Bind("registration.reuse-after", &settings.name_reuse_after,
              "how long nobody may have the name of an account that was removed");
  schema.Bind("sessions.resume-timeout", &settings.resume_timeout,
              "how long a session waits for its client (XEP-0198)");
  schema.Bind("sessions.link-grace", &settings.link_grace,
              "how long a session without XEP-0198 survives the loss of the link to its gateway");
  schema.Bind("sessions.max-per-user", &settings.max_sessions_per_user, "sessions of one user", 1, 10'000);
  schema.Bind(
      "sessions.max-unacknowledged", &settings.max_unacked_packets,
      "stanzas that may wait for one client before its session is ended; others may send half of them", 16,
      1'000'000);
  schema.Bind("sessions.max-unacknowledged-bytes", &settings.max_unacked_bytes,
              "the same in bytes, besides one stanza", 65'536, 1'000'000'000);
  schema.Bind(
      "sessions.max-under-way-bytes", &settings.max_under_way_bytes,
      "how much of that is on its way to the client at a time, besides one large stanza; at most half of "
      "the gateways' `limits.max-queued-bytes`",
      65'536, 1'000'000'000);
  schema.Bind("sessions.max-directed-presence", &settings.max_directed_presence,
              "addresses that one session may send directed presence to", 0, 100'000);
  schema.Bind("shards.window-time", &settings.window_time,
              "a stanza that is not acknowledged for so long goes to the store");
  schema.Bind("shards.store-waiting", &settings.max_store_waiting,
              "rows of one shard that may wait for PostgreSQL before the shard is read no further; messages "
              "for one recipient have an eighth of it (`offline.max-messages` at most), those of one sender "
              "a sixteenth: while PostgreSQL is away more are refused",
              100, 10'000'000);
  schema.Bind("shards.store-waiting-bytes", &settings.max_store_waiting_bytes, "the same in bytes", 65'536,
              10'000'000'000);
  schema.Bind("shards.attach-timeout", &settings.attach_timeout, "a new owner waits so long for gateways");
  schema.Bind("offline.max-messages", &settings.max_offline_messages,
              "messages kept for one absent user; each sender may have half of what others leave, and all "
              "who are not in the user's roster no more than half",
              0, 100'000);
  schema.Bind("offline.max-bytes", &settings.max_offline_bytes, "the same in bytes", 0,
              std::int64_t{1} << 32);
  schema.Bind("roster.max-items", &settings.max_roster_items, "items of one roster", 1, 1'000'000);
  schema.Bind("roster.max-pending-requests", &settings.max_pending_requests,
              "subscription requests kept for one user; at most half of `sessions.max-unacknowledged`", 1,
              1'000'000);
  schema.Bind("blocking.max-addresses", &settings.max_blocked_addresses,
              "addresses that one user may block (XEP-0191)", 1, 100'000);
  schema.Bind("vcards.max-bytes", &settings.max_vcard_bytes, "bytes of an account's vCard (XEP-0054)", 1'024,
              200'000);
  schema.Bind("vcards.max-photo-bytes", &settings.max_photo_bytes,
              "bytes of a photo in it, which take a third more there", 0, 200'000);
  schema.Bind("scram.iterations", &scram_iterations,
              "PBKDF2 iterations of new passwords; who raises it raises `sasl.iterations` of the gateways, "
              "and adds the old number to their `sasl.earlier-iterations`",
              4'096, 10'000'000);
  schema.Bind("links.max-queued-bytes", &max_link_bytes, "what may wait to be sent to one gateway", 1 << 20,
              std::int64_t{1} << 32);
  member.Bind(schema);
  pg.Bind(schema);
}

void Config::Validate(config::Problems& problems) {
  app::PrepareDomains(settings.domains, problems);
  member.Validate(problems);
  pg.Validate(problems);
  // Strangers may cause them, and all are shown at sign-in.
  if (settings.max_pending_requests > settings.max_unacked_packets / 2)
    problems.Add("roster.max-pending-requests", "must be at most half of `sessions.max-unacknowledged`");
  settings.duplicate_horizon = member.shards.duplicate_horizon;
}

void Config::CheckFiles(config::Problems& problems) const {
  member.CheckFiles(problems);
  pg.CheckFiles(problems);
}

}  // namespace rookery::session_manager
