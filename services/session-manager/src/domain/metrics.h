#pragma once

#include "rookery/telemetry/metrics.h"

namespace rookery::session_manager {

/// rookery_session_manager_*.
struct SessionManagerMetrics {
  explicit SessionManagerMetrics(telemetry::Metrics& metrics);

  prometheus::Counter& stanzas_received;
  prometheus::Counter& packets_sent;
  prometheus::Counter& stanzas_resent;
  prometheus::Counter& causes_finished;
  prometheus::Counter& records_out_of_order;
  prometheus::Counter& records_unknown;
  prometheus::Counter& stanzas_repeated;
  prometheus::Counter& stanzas_failed;
  prometheus::Counter& stored_offline;
  prometheus::Counter& stored_for_session;
  prometheus::Counter& packets_orphaned;
  prometheus::Counter& spared;
  prometheus::Counter& store_statements;
  prometheus::Counter& store_retries;
  prometheus::Counter& store_refused;
  prometheus::Counter& store_no_room;
  prometheus::Counter& bounced;
  prometheus::Counter& rerouted;
  prometheus::Counter& sessions_started;
  prometheus::Counter& sessions_ended;
  prometheus::Counter& sessions_resumed;
  prometheus::Counter& sessions_attached;
  prometheus::Counter& directory_entries;
  prometheus::Counter& directory_rewrites;
  prometheus::Counter& directory_failures;
  prometheus::Counter& caps_asked;
  prometheus::Counter& caps_verified;
  prometheus::Counter& caps_refused;
  prometheus::Counter& presences_late;
  prometheus::Counter& presences_untold;
  prometheus::Counter& settings_unknown;
  prometheus::Gauge& sessions;
  prometheus::Gauge& sessions_detached;
  prometheus::Gauge& users;
  prometheus::Gauge& store_waiting_rows;
  prometheus::Gauge& store_waiting_bytes;
  prometheus::Gauge& gateways;
  prometheus::Gauge& caps_known;
};

}  // namespace rookery::session_manager
