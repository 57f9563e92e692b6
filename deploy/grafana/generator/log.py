"""The log: who owns which shards, how far they have read, and what moves them."""

from generator.board import (
    BYTES, INSTANCE, NUMBER, ORANGE, PER_SECOND, RATIO, RED, SECONDS, YELLOW, Board, Bound, Panel, Row, any_service, quantile, rate, services_with,
)

_EACH = "service, instance"
_LEGEND = "{{service}} {{instance}}"


def _sum(noun: str) -> str:
    return f"sum by ({_EACH}) ({any_service(noun)})"


def _rates(*nouns: str) -> dict[str, str]:
    return {f"{noun.removesuffix('_total').replace('_', ' ')} {{{{service}}}}": rate(any_service(noun), "service") for noun in nouns}


BOARD = Board(
    uid="rookery-log",
    title="Rookery / Log and shards",
    description="Session-manager owns the shards of `users`, muc those of `rooms`, search those of `messages`; all in the same way.",
    variables=[
        services_with("shards"), INSTANCE,
        Bound("max_unfinished_records", "shards.max-unfinished-records", 200_000),
        Bound("max_unfinished_bytes", "shards.max-unfinished-bytes", 134_217_728),
        Bound("max_follow_ups", "shards.max-follow-ups", 8_000_000),
    ],
    rows=[
        Row("Owners", [
            Panel("Shards of each owner", NUMBER, {_LEGEND: _sum("shards")},
                  "The sum of each service is the number of partitions of its topic. Less: some have no owner, and their users wait; Kafka's group takes 6 s to notice "
                  "a death, and if it lasts longer, brokers do not answer.", stacked=True),
            Panel("Owned and not live yet", NUMBER, {_LEGEND: f"{_sum('shards')} - {_sum('shards_live')}"},
                  "The owner still reads the past of these shards. Seconds are ordinary; minutes mean a long log behind an unfinished record, or a slow Kafka.",
                  steps=((1, YELLOW),)),
            Panel("From assignment to reading", SECONDS,
                  {"p50 {{service}}": quantile(0.5, any_service("shard_acquire_seconds", "_bucket"), "service"),
                   "p99 {{service}}": quantile(0.99, any_service("shard_acquire_seconds", "_bucket"), "service")},
                  "How long a shard rests when it gets a new owner, after Kafka has decided. Empty while nothing moves.", steps=((5, YELLOW), (15, RED))),
            Panel("Changes of owners", PER_SECOND, {"{{service}} {{topic}}": rate(any_service("kafka_rebalances_total"), "service, topic")},
                  "Rebalances. They come with restarts and scaling; without these, a process loses its membership: see freezes, event loop lag, and Kafka."),
            Panel("How shards were gained and lost", PER_SECOND,
                  _rates("shards_acquired_total", "shards_lost_total", "shards_superseded_total", "surrenders_total"),
                  "Lost: taken without a hand-over. Superseded: a newer owner's fence was read first. Surrenders: given up, since their work could not be done; "
                  "the log says why (`shards.given_up`)."),
            Panel("Freezes and lost partitions", PER_SECOND,
                  _rates("freezes_total") | {"lost {{service}} {{topic}}": rate(any_service("kafka_lost_partitions_total"), "service, topic")},
                  "A process that stood still for seconds: no CPU, a frozen machine, a debugger; `process.froze` in its log has the time. Its shards move as if it had died.", steps=((0.001, ORANGE),)),
        ]),
        Row("Unfinished records", [
            Panel("Unfinished records", NUMBER, {_LEGEND: _sum("unfinished_records")},
                  "Read and not finished, all shards of a process together: the committed offset of a shard cannot pass its oldest one, and a new owner "
                  "reads from there."),
            Panel("How long a record stays unfinished", SECONDS,
                  {"{{service}}": f"sum by (service) ({any_service('unfinished_records')}) / ({rate(any_service('records_applied_total'), 'service')} > 0)"},
                  "On average, from how many are unfinished and how many come (Little's law). Usually what clients need to acknowledge. The age of the oldest one "
                  "has no metric yet.", steps=((3, YELLOW), (30, RED))),
            Panel("Against the bound of records", RATIO, {_LEGEND: f"{_sum('unfinished_records')} / ({_sum('shards')} * $max_unfinished_records > 0)"},
                  "`shards.max-unfinished-records` for each of its shards, which stands at the top: put in what is configured. One shard may be full while the mean is not: "
                  "see the shards paused.", steps=((0.25, YELLOW), (0.75, RED)), most=1),
            Panel("Against the bound of bytes", RATIO, {_LEGEND: f"{_sum('unfinished_bytes')} / ({_sum('shards')} * $max_unfinished_bytes > 0)"},
                  "The same for `shards.max-unfinished-bytes`.", steps=((0.25, YELLOW), (0.75, RED)), most=1),
            Panel("Follow-ups against their bound", RATIO, {_LEGEND: f"{_sum('follow_ups')} / ({_sum('shards')} * $max_follow_ups > 0)"},
                  "What a new owner would have to say again (`shards.max-follow-ups`). It rises while one old record stays unfinished and everything else goes on.",
                  steps=((0.25, YELLOW), (0.75, RED)), most=1),
            Panel("Shards paused", PER_SECOND, _rates("shards_paused_total"),
                  "A shard reached one of these bounds and was not read. `shard.paused` in the log has the shard and the offset of its oldest unfinished record.",
                  steps=((0.001, RED),)),
        ]),
        Row("Reading", [
            Panel("Records behind", NUMBER, {"{{service}} {{instance}} {{topic}}": f"sum by (service, instance, topic) ({any_service('kafka_lag_records')})"},
                  "In the log after the last one read. It should be near zero; a rise means that the owner is too slow (its event loop) or its shards are paused."),
            Panel("Read, applied, finished", PER_SECOND,
                  {"read {{service}}": rate(any_service("kafka_consumed_records_total"), "service"),
                   "applied {{service}}": rate(any_service("records_applied_total"), "service"),
                   "finished {{service}}": rate(any_service("records_committed_total"), "service")},
                  "Three lines that should lie on each other. Finished below applied for long: something stays unfinished."),
            Panel("Refused", PER_SECOND, _rates("duplicates_refused_total", "stale_epochs_refused_total"),
                  "Said twice, or by an owner that is none any more. After a shard has moved both are ordinary: nothing was done twice."),
            Panel("Records that cannot be used", PER_SECOND, _rates("bad_records_total", "failed_records_total", "given_up_records_total", "failed_steps_total", "failed_stanzas_total", "failed_commits_total"),
                  "Bad: not readable, so written by something else, or by a version that is too new. Failed: an error of ours, tried once more, and given up when it fails again; failed steps: acquiring a shard or the like, tried until it is done; failed stanzas: of clients, whose sessions were ended. Failed commits: Kafka did not take an offset; it is said again.",
                  steps=((0.001, ORANGE),)),
            Panel("What the log has lost", PER_SECOND, _rates("expired_records_total", "log_cuts_total", "kafka_fatal_errors_total"),
                  "Expired: retention removed records before they were finished; they are gone, so make retention longer. Cuts: the end of a partition was lost "
                  "(unclean election, a topic made anew). Fatal errors: a process had written what was lost, and has acquired its shards afresh.", steps=((0.001, RED),)),
            Panel("Duplicate filter", NUMBER, {f"entries {_LEGEND}": _sum("duplicate_filter_entries")},
                  "What would be recognised when it came again: as much as `shards.duplicate-horizon` brings."),
            Panel("Duplicate filter, memory of records", BYTES, {_LEGEND: _sum("duplicate_filter_record_bytes")},
                  "A shorter `shards.duplicate-horizon` takes less, and must stay longer than any gateway or owner may need to say something again."),
        ]),
        Row("Writing", [
            Panel("Records appended", PER_SECOND, {_LEGEND: rate(any_service("kafka_appended_records_total"), _EACH)}, "Confirmed by Kafka."),
            Panel("From append to confirmation", SECONDS,
                  {"p50 {{service}}": quantile(0.5, any_service("kafka_append_seconds", "_bucket"), "service"),
                   "p99 {{service}}": quantile(0.99, any_service("kafka_append_seconds", "_bucket"), "service")},
                  "What Kafka needs, replication included; part of what a sender waits for. If it rises: the brokers' disks, their load, a replica that lags.",
                  steps=((0.1, YELLOW), (1, RED))),
            Panel("Not confirmed yet", NUMBER, {_LEGEND: _sum("kafka_in_flight_records")},
                  "At 100,000 a process stops taking more from gateways.", steps=((20_000, YELLOW), (100_000, RED))),
            Panel("Records that Kafka refused", PER_SECOND, {_LEGEND: rate(any_service("kafka_refused_records_total"), _EACH)},
                  "Rights, `message.max.bytes`, too few replicas in sync; `kafka.append_refused` in the log has Kafka's words.",
                  steps=((0.001, RED),)),
            Panel("Records that follow, and that the log does not have", PER_SECOND,
                  _rates("records_refused_total", "records_lost_total", "misplaced_records_total", "unknown_records_total"),
                  "Of those that follow from a shard's records. Refused: said again until the log takes them. Lost: larger than it ever takes. Misplaced: read in a "
                  "shard to which they do not belong; processes disagree about the number of partitions. Unknown: a later release has written them.", steps=((0.001, RED),)),
        ]),
    ],
)
