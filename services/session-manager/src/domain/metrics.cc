#include "domain/metrics.h"

namespace rookery::session_manager {

SessionManagerMetrics::SessionManagerMetrics(telemetry::Metrics& m)
    : stanzas_received(m.Counter("stanzas_received_total", "Stanzas that clients sent")),
      packets_sent(m.Counter("packets_sent_total", "Stanzas given to gateways, one for each session")),
      stanzas_resent(
          m.Counter("packets_resent_total", "Packets given again after a resumption or a new link")),
      causes_finished(m.Counter("finished_causes_total",
                                "Records that follow from one that was finished before: an error of ours")),
      records_out_of_order(
          m.Counter("records_out_of_order_total",
                    "Records of a client's stanza behind those of a later one: an error of ours")),
      records_unknown(
          m.Counter("unknown_records_total", "Records of a kind that only a later release knows")),
      stanzas_repeated(m.Counter("stanzas_repeated_total", "Client stanzas refused as received before")),
      stanzas_failed(m.Counter("failed_stanzas_total",
                               "Client stanzas whose handling ended with an exception, and their session")),
      stored_offline(m.Counter("messages_stored_offline_total", "Messages kept for an absent user")),
      stored_for_session(m.Counter("packets_stored_total", "Packets kept in the store for one session")),
      packets_orphaned(m.Counter("packets_orphaned_total", "Packets in the store whose session nobody had")),
      spared(m.Counter("packets_spared_total",
                       "Stanzas that sessions were not given, since their clients had too much to take")),
      store_statements(m.Counter("store_statements_total", "Statements that write what waits")),
      store_retries(m.Counter("store_retries_total", "Those that the store could not answer")),
      store_refused(
          m.Counter("store_refused_total", "Rows that the store refuses whenever they are written")),
      store_no_room(m.Counter("store_no_room_total",
                              "Messages refused while the store was away: too many of the same recipient or "
                              "sender waited for it")),
      bounced(m.Counter("stanzas_bounced_total", "Stanzas answered with an error")),
      rerouted(m.Counter("messages_rerouted_total", "Messages of an ended session routed anew")),
      sessions_started(m.Counter("sessions_started_total", "Sessions started")),
      sessions_ended(m.Counter("sessions_ended_total", "Sessions ended")),
      sessions_resumed(m.Counter("sessions_resumed_total", "Sessions resumed (XEP-0198)")),
      sessions_attached(
          m.Counter("sessions_attached_total", "Sessions that gateways attached to a new owner")),
      directory_entries(m.Counter("directory_entries_total", "Sessions written to the directory in Redis")),
      directory_rewrites(
          m.Counter("directory_rewrites_total", "Times that all sessions of a shard were written to Redis")),
      directory_failures(
          m.Counter("directory_failures_total", "Writes to the directory that failed; all follows later")),
      caps_asked(m.Counter("caps_asked_total", "Clients asked what they can do (XEP-0115)")),
      caps_verified(m.Counter("caps_verified_total", "Capabilities that their hash has proved")),
      caps_refused(m.Counter("caps_refused_total", "Capabilities that were not proved or not told")),
      presences_late(m.Counter("presences_late_total", "Presences told when the roster was back")),
      presences_untold(
          m.Counter("presences_untold_total", "Presences given up: too much waited for the roster already")),
      settings_unknown(m.Counter("settings_unknown_total",
                                 "Users taken for users who have set nothing: no roster service answered")),
      sessions(m.Gauge("sessions", "Sessions of our shards")),
      sessions_detached(m.Gauge("sessions_detached", "Sessions that wait for their client")),
      users(m.Gauge("users", "Users in memory")),
      store_waiting_rows(m.Gauge("store_waiting_rows", "Rows that wait to be written to PostgreSQL")),
      store_waiting_bytes(m.Gauge("store_waiting_bytes", "The same in bytes")),
      gateways(m.Gauge("gateways", "Gateways linked")),
      caps_known(m.Gauge("caps_known", "Verified capabilities remembered")) {}

}  // namespace rookery::session_manager
