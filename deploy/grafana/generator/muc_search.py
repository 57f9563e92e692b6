"""Muc and search: what they are asked, what they read, and how they are."""

from generator.board import (
    BYTES, CORES, NUMBER, PER_SECOND, RED, SECONDS, SELECTED, YELLOW, Board, Panel, Row, Variable, quantile, rate,
)

_EACH = "service, instance"
_LEGEND = "{{service}} {{instance}}"
_ANY = '__name__=~"rookery_(muc|search)_build_info"'


def _of(noun: str) -> str:
    return f'{{__name__=~"rookery_(muc|search)_{noun}", {SELECTED}}}'


def _gauge(noun: str) -> dict[str, str]:
    return {_LEGEND: f"sum by ({_EACH}) ({_of(noun)})"}


BOARD = Board(
    uid="rookery-muc-search",
    title="Rookery / Muc and search",
    description="Both own shards and answer discovery; rooms and the archive are not there yet.",
    variables=[
        Variable("service", "Service", f"label_values({{{_ANY}}}, service)"),
        Variable("instance", "Instance", f'label_values({{{_ANY}, service=~"$service"}}, instance)'),
    ],
    rows=[
        Row("Calls", [
            Panel("Calls", PER_SECOND, {_LEGEND: rate(_of("calls_total"), _EACH)},
                  "Discovery of `conference.` and `search.`. An instance without any, while others have some, is not known to session-managers.", stacked=True),
            Panel("Calls that failed", PER_SECOND, {_LEGEND: rate(_of("calls_failed_total"), _EACH)},
                  "Clients got an error. The log of the instance has the call's trace id.", steps=((0.1, YELLOW),)),
        ]),
        Row("Shards", [
            Panel("Shards of each owner", NUMBER, _gauge("shards"),
                  "The sum of each service is the number of partitions of its topic (`rooms`, `messages`). \"Log and shards\" has all about them.", stacked=True),
            Panel("Records applied", PER_SECOND, {_LEGEND: rate(_of("records_applied_total"), _EACH)},
                  "Search reads every message that is announced; muc reads what is said to rooms."),
            Panel("Records behind", NUMBER, _gauge("kafka_lag_records"), "Near zero. A rise costs freshness, not delivery: add replicas, up to one for each shard."),
        ]),
        Row("Processes", [
            Panel("Event loop lag, p99", SECONDS, {_LEGEND: quantile(0.99, _of("io_loop_lag_seconds_bucket"), _EACH)},
                  "How late the I/O thread comes to a timer. Above 50 ms: add replicas.", steps=((0.05, YELLOW), (0.25, RED))),
            Panel("CPU", CORES, {_LEGEND: f"sum by ({_EACH}) (rate(process_cpu_seconds_total{{{SELECTED}}}[$__rate_interval]))"},
                  "Cores used. Above 0.8, add replicas.", steps=((0.8, YELLOW), (1.5, RED))),
            Panel("Resident memory", BYTES, {_LEGEND: f"process_resident_memory_bytes{{{SELECTED}}}"},
                  "What the kernel counts. What only rises while the load does not is a leak: replace the process and report it."),
        ]),
    ],
)
