#include "adapters/session_links_metrics.h"

namespace rookery::gateway {

SessionLinksMetrics::SessionLinksMetrics(telemetry::Metrics& m)
    : sessions(m.Gauge("sessions", "Sessions, waiting ones included")),
      shards_owned(m.Gauge("shards_with_owner", "Shards whose owner is known and linked")),
      waiting(m.Gauge("actions_waiting", "Actions without an answer")),
      unconfirmed_bytes(m.Gauge("unconfirmed_bytes", "Bytes of client stanzas that are not in the log yet")),
      unread(m.Gauge("unread_clients", "Clients that are not read since too much is unconfirmed")),
      stale(m.Counter("stale_actions_total", "Actions dropped since their epoch is over")),
      duplicates(m.Counter("duplicate_packets_total", "Packets dropped since they were given before")),
      gaps(m.Counter("packet_gaps_total", "Sessions broken since a packet was missing")),
      attached(m.Counter("attached_sessions_total", "Sessions attached to a new owner")),
      resent(m.Counter("resent_stanzas_total", "Client stanzas sent again to a new owner")),
      overdue(m.Counter("overdue_actions_total", "Actions that failed for want of an answer")),
      without_owner(
          m.Counter("sent_away_clients_total", "Clients told to come again", {{"reason", "no_owner"}})),
      without_answer(
          m.Counter("sent_away_clients_total", "Clients told to come again", {{"reason", "no_answer"}})),
      unheard(m.Counter("sent_away_clients_total", "Clients told to come again",
                        {{"reason", "owner_not_heard"}})),
      standstills(m.Counter("standstills_total", "Times that this process stood still for too long")),
      confirm_seconds(m.Histogram("confirm_seconds", "From a client's stanza to its confirmation",
                                  {.001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30})) {}

}  // namespace rookery::gateway
