#pragma once

#include "rookery/telemetry/metrics.h"

namespace rookery::gateway {

/// Of the links to session-managers, and of the sessions and requests that go over them.
struct SessionLinksMetrics {
  explicit SessionLinksMetrics(telemetry::Metrics& metrics);

  prometheus::Gauge& sessions;
  prometheus::Gauge& shards_owned;
  prometheus::Gauge& waiting;
  prometheus::Gauge& unconfirmed_bytes;
  prometheus::Gauge& unread;
  prometheus::Counter& stale;
  prometheus::Counter& duplicates;
  prometheus::Counter& gaps;
  prometheus::Counter& attached;
  prometheus::Counter& resent;
  prometheus::Counter& overdue;
  prometheus::Counter& without_owner;
  prometheus::Counter& without_answer;
  prometheus::Counter& unheard;
  prometheus::Counter& standstills;
  prometheus::Histogram& confirm_seconds;
};

}  // namespace rookery::gateway
