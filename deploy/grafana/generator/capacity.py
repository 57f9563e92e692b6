"""How full it is, and which service needs more replicas first."""

from generator.board import (
    BYTES, BYTES_PER_SECOND, CORES, INSTANCE, INSTANCES, NUMBER, RATIO, RED, SECONDS, SELECTED, SERVICE, YELLOW, Board, Bound, Panel, Row, any_service,
    memory_per, quantile, rate, total,
)

_GATEWAY = "rookery_gateway_"
_SM = "rookery_session_manager_"
_LEGEND = "{{service}} {{instance}}"
_IN, _OUT = (rate(_GATEWAY + "stanzas_total", "", f'direction="{direction}"') for direction in ("in", "out"))
_MESSAGES = rate(_GATEWAY + "stanzas_total", "", 'direction="in"', 'kind="message"')

BOARD = Board(
    uid="rookery-capacity",
    title="Rookery / Capacity",
    description="What each process has to do against what it can do. More of any service is more replicas, up to one for each shard.",
    variables=[SERVICE, INSTANCE, Bound("max_connections", "listeners.max-connections", 100_000)],
    rows=[
        Row("Which service needs more", [
            Panel("CPU of each process", CORES, {_LEGEND: f"sum by (service, instance) (rate(process_cpu_seconds_total{{{SELECTED}}}[$__rate_interval]))"},
                  "One I/O thread does almost all the work: above 0.8 there is little left. Add replicas of that service.", steps=((0.8, YELLOW), (1.5, RED)), most=1),
            Panel("Event loop lag of each process, p99", SECONDS,
                  {_LEGEND: quantile(0.99, any_service("io_loop_lag_seconds", "_bucket"), "service, instance")},
                  "The surest sign: above 50 ms, add replicas.", steps=((0.05, YELLOW), (0.25, RED))),
            Panel("Cores of each service", CORES, {"{{service}}": f"sum by (service) (rate(process_cpu_seconds_total{{{SELECTED}}}[$__rate_interval]))"},
                  "Kafka, Redis and PostgreSQL come on top.", stacked=True),
        ]),
        Row("Connections and sessions", [
            Panel("Connections of each gateway", NUMBER, {"{{instance}}": total(_GATEWAY + "connections", "instance")},
                  "All doors together. Uneven ones are the balancer's.", stacked=True),
            Panel("Fullest door of each gateway", RATIO, {"{{instance}}": f"max by (instance) ({_GATEWAY}connections{{{INSTANCES}}}) / $max_connections"},
                  "Against `listeners.max-connections`, which stands at the top: put in what is configured.", steps=((0.8, YELLOW), (0.95, RED)), most=1),
            Panel("Descriptors in use", RATIO, {_LEGEND: f"process_open_fds{{{SELECTED}}} / process_max_fds{{{SELECTED}}}"},
                  "Near 1, the kernel refuses: raise the limit of open files.", steps=((0.8, YELLOW), (0.95, RED)), most=1),
            Panel("Sessions of each session-manager", NUMBER, {"{{instance}}": total(_SM + "sessions", "instance")},
                  "They follow the shards.", stacked=True),
            Panel("Sessions, the fullest against the mean", RATIO,
                  {"max / mean": f"max ({total(_SM + 'sessions', 'instance')}) / (avg ({total(_SM + 'sessions', 'instance')}) > 0)"},
                  "1 (100 %) is even. Far above: more session-managers than shards can be shared among, or too few shards.", steps=((1.5, YELLOW), (2, RED))),
            Panel("Shards of each owner", NUMBER, {_LEGEND: f"sum by (service, instance) ({any_service('shards')})"},
                  "A process without shards does nothing: there are more replicas than partitions.", stacked=True),
        ]),
        Row("Memory", [
            Panel("Resident memory of each process", BYTES, {_LEGEND: f"process_resident_memory_bytes{{{SELECTED}}}"},
                  "Against the limit of its container, which no metric here tells."),
            memory_per("gateway", _GATEWAY + "connections", "connection"),
            memory_per("session-manager", _SM + "sessions", "session"),
            Panel("Memory of duplicate filters", BYTES, {_LEGEND: f"sum by (service, instance) ({any_service('duplicate_filter_record_bytes')})"},
                  "Of the records that would be recognised when they came again."),
            Panel("Unfinished bytes", BYTES, {_LEGEND: f"sum by (service, instance) ({any_service('unfinished_bytes')})"}, "Held until clients acknowledge."),
            Panel("Unconfirmed bytes", BYTES, {"{{instance}}": total(_GATEWAY + "unconfirmed_bytes", "instance")}, "Held by gateways until the log has them."),
        ]),
        Row("Cost", [
            Panel("CPU for each message", SECONDS,
                  {"all services": f"sum (rate(process_cpu_seconds_total{{{SELECTED}}}[$__rate_interval])) / ({_MESSAGES} > 0)"},
                  "All CPU time of our services divided by the messages that clients send, whatever else they do. The busier, the less each costs: "
                  "the README's benchmark has 19 to 42 µs at full load."),
            Panel("Stanzas out for each that comes in", NUMBER,
                  {"out / in": f"{_OUT} / ({_IN} > 0)"},
                  "Presence and carbons make it larger. Where it jumps, one change reaches very many."),
            Panel("Bytes of XML", BYTES_PER_SECOND,
                  {"in": rate(_GATEWAY + "received_bytes_total"), "out": rate(_GATEWAY + "sent_bytes_total")}, "Before encryption: what the network must carry at least."),
        ]),
    ],
)
