#pragma once

#include "rookery/telemetry/metrics.h"

namespace rookery::muc {

/// rookery_muc_*.
struct MucMetrics {
  explicit MucMetrics(telemetry::Metrics& metrics);

  prometheus::Counter& stanzas;
  prometheus::Counter& said;
  prometheus::Counter& deliveries;
  prometheus::Counter& archived;
  prometheus::Counter& rooms_loaded;
  prometheus::Counter& rooms_unloaded;
  prometheus::Counter& failed_loads;
  prometheus::Counter& stanzas_without_room;
  prometheus::Counter& rooms_without_verdict;
  prometheus::Counter& checkpoints;
  prometheus::Counter& failed_checkpoints;
  prometheus::Gauge& rooms;
  prometheus::Gauge& occupants;
  prometheus::Gauge& room_bytes;
  prometheus::Gauge& unsaved_rooms;
};

}  // namespace rookery::muc
