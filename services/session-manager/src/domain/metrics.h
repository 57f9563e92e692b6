#pragma once

#include "rookery/telemetry/metrics.h"

namespace rookery::session_manager {

/// rookery_session_manager_*.
struct SessionManagerMetrics {
  explicit SessionManagerMetrics(telemetry::Metrics& metrics);

  prometheus::Counter& stanzas_received;
  prometheus::Counter& packets_sent;
  prometheus::Counter& records_applied;
  prometheus::Counter& duplicates_refused;
  prometheus::Counter& stale_epochs_refused;
  prometheus::Counter& stanzas_resent;
  prometheus::Counter& stored_offline;
  prometheus::Counter& stored_for_session;
  prometheus::Counter& bounced;
  prometheus::Counter& rerouted;
  prometheus::Counter& sessions_started;
  prometheus::Counter& sessions_ended;
  prometheus::Counter& sessions_resumed;
  prometheus::Counter& sessions_attached;
  prometheus::Counter& shards_acquired;
  prometheus::Counter& shards_lost;
  prometheus::Counter& freezes;
  prometheus::Counter& bad_records;
  prometheus::Counter& directory_entries;
  prometheus::Counter& directory_rewrites;
  prometheus::Counter& directory_failures;
  prometheus::Counter& caps_asked;
  prometheus::Counter& caps_verified;
  prometheus::Counter& caps_refused;
  prometheus::Counter& presences_late;
  prometheus::Counter& presences_untold;
  prometheus::Gauge& sessions;
  prometheus::Gauge& sessions_detached;
  prometheus::Gauge& users;
  prometheus::Gauge& shards;
  prometheus::Gauge& window_records;
  prometheus::Gauge& gateways;
  prometheus::Gauge& caps_known;
  prometheus::Histogram& acquire_seconds;
};

}  // namespace rookery::session_manager
