#pragma once

#include "rookery/telemetry/metrics.h"

namespace rookery::sharding {

/// The rookery_<service>_ metrics of shards.
struct ShardMetrics {
  explicit ShardMetrics(telemetry::Metrics& metrics);
  prometheus::Gauge& owned;
  prometheus::Gauge& live;
  prometheus::Gauge& unfinished_records;
  prometheus::Gauge& unfinished_bytes;
  prometheus::Gauge& follow_ups;
  prometheus::Gauge& remembered;
  prometheus::Gauge& remembered_bytes;
  prometheus::Counter& acquired;
  prometheus::Counter& lost;
  prometheus::Counter& paused;
  prometheus::Counter& applied;
  prometheus::Counter& committed;
  prometheus::Counter& failed_commits;
  prometheus::Counter& duplicates_refused;
  prometheus::Counter& stale_epochs_refused;
  prometheus::Counter& unreadable;
  prometheus::Counter& failed_records;
  prometheus::Counter& given_up_records;
  prometheus::Counter& failed_steps;
  prometheus::Counter& misplaced;
  prometheus::Counter& records_refused;
  prometheus::Counter& records_lost;
  prometheus::Counter& log_cuts;
  prometheus::Counter& expired;
  prometheus::Counter& freezes;
  prometheus::Counter& superseded;
  prometheus::Counter& surrenders;
  prometheus::Histogram& acquire_seconds;
};

}  // namespace rookery::sharding
