#include "rookery/sharding/shard_metrics.h"

namespace rookery::sharding {

ShardMetrics::ShardMetrics(telemetry::Metrics& m)
    : owned(m.Gauge("shards", "Shards that this process owns")),
      live(m.Gauge("shards_live", "Shards that this process owns and whose past it has read")),
      unfinished_records(m.Gauge("unfinished_records", "Records read and not finished")),
      unfinished_bytes(m.Gauge("unfinished_bytes", "Their bytes")),
      follow_ups(m.Gauge("follow_ups",
                         "Records said that follow from ones not finished, or read behind these: a new owner "
                         "would say them again")),
      remembered(
          m.Gauge("duplicate_filter_entries", "Sessions and records whose repetition would be recognised")),
      remembered_bytes(m.Gauge("duplicate_filter_record_bytes", "Memory for the records among these")),
      acquired(m.Counter("shards_acquired_total", "Shards that became ours")),
      lost(m.Counter("shards_lost_total", "Shards taken from us without a hand-over")),
      paused(m.Counter("shards_paused_total", "Times that a shard was not read: too much was unfinished")),
      applied(m.Counter("records_applied_total", "Records of the log applied")),
      committed(m.Counter("records_committed_total", "Records that no owner will read again")),
      failed_commits(m.Counter("failed_commits_total", "Commits that Kafka did not take")),
      duplicates_refused(m.Counter("duplicates_refused_total", "Records refused as applied before")),
      stale_epochs_refused(
          m.Counter("stale_epochs_refused_total", "Records refused because a newer owner has spoken")),
      unreadable(m.Counter("bad_records_total", "Records that could not be read")),
      failed_records(
          m.Counter("failed_records_total", "Times that applying a record ended with an exception")),
      given_up_records(m.Counter("given_up_records_total",
                                 "Records skipped since applying them ended with an exception twice")),
      failed_steps(m.Counter(
          "failed_steps_total",
          "Times that a step in the life of a shard, or a coroutine of it, ended with an exception")),
      misplaced(m.Counter("misplaced_records_total", "Records that belong to nobody of their shard")),
      records_refused(m.Counter("records_refused_total", "Records that the log did not take")),
      records_lost(m.Counter("records_lost_total", "Records of ours that the log will never have")),
      log_cuts(m.Counter("log_cuts_total", "Shards whose log was shorter than it had been")),
      expired(m.Counter("expired_records_total",
                        "Records that the log dropped (retention) before they were finished")),
      freezes(m.Counter("freezes_total", "Times this process stood still for seconds")),
      superseded(
          m.Counter("shards_superseded_total",
                    "Shards of which the log or a store knew a newer owner before the group had said so")),
      surrenders(m.Counter("surrenders_total",
                           "Times this process gave up its shards since it could not do their work")),
      acquire_seconds(m.Histogram("shard_acquire_seconds", "From assignment to reading",
                                  {0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30})) {}

}  // namespace rookery::sharding
