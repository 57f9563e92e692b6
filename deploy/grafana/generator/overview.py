"""Is it well, how much goes through it, and where to look next."""

from generator.board import (
    BYTES, CORES, INSTANCE, INSTANCES, NUMBER, ORANGE, PER_SECOND, RATIO, RED, SECONDS, SELECTED, SERVICE, YELLOW, Board, Panel, Row, any_service, increase,
    quantile, rate, total,
)

_GATEWAY = "rookery_gateway_"
_SM = "rookery_session_manager_"

_FAILED = rate(_GATEWAY + "authentications_total", "", 'outcome!="success"')

# What must never count: an error of ours.
_OURS = " + ".join(
    (
        increase(_SM + "finished_causes_total"), increase(_SM + "records_out_of_order_total"), increase(_GATEWAY + "packet_gaps_total"),
        f"sum ({any_service('failed_tasks')})",
    )
)


def _stat(title: str, unit: str, expression: str, description: str, *steps: tuple[float, str]) -> Panel:
    return Panel(title, unit, {title: expression}, description, kind="stat", width=4, height=5, steps=steps)


BOARD = Board(
    uid="rookery-overview",
    title="Rookery / Overview",
    description="The whole cluster in one look. The other boards are behind the menu at the top right.",
    variables=[SERVICE, INSTANCE],
    rows=[
        Row("Is it well?", [
            _stat("Alerts", NUMBER, 'count(ALERTS{alertname=~"Rookery.+", alertstate="firing"}) or vector(0)',
                  "Alerts that fire. Each carries a run-book text: read that first.", (1, RED)),
            _stat("Processes not answering", NUMBER, f"count(up{{{SELECTED}}} == 0) or vector(0)",
                  "Processes whose /metrics cannot be read. One that has just been replaced leaves the list by itself; otherwise look at its last log lines.",
                  (1, RED)),
            _stat("Shards with an owner", NUMBER, f"min (rookery_gateway_shards_with_owner{{{INSTANCES}}})",
                  "As the gateway that knows fewest sees them. It should be the number of partitions of `users`. Where some are missing, their users wait: "
                  "see \"Log and shards\"."),
            _stat("Shards being acquired", NUMBER, f"sum ({any_service('shards')}) - sum ({any_service('shards_live')})",
                  "Owned, and their past is not read yet. After a restart this falls to zero within seconds; if it stays, Kafka or PostgreSQL is slow.",
                  (1, YELLOW), (8, ORANGE)),
            _stat("Sign-ins that fail", RATIO,
                  f"{_FAILED} / ({rate(_GATEWAY + 'authentications_total')} > 0) or vector(0)",
                  "Of all tries. Many failures are a client with an old password, or somebody who guesses; `temporary` among them on the gateway's board "
                  "says that accounts cannot be read.", (0.2, YELLOW), (0.5, RED)),
            _stat("Errors of ours", NUMBER, _OURS,
                  "Things that cannot happen unless Rookery has a bug, in the time shown. Keep the logs of that time and report it.", (1, RED)),
        ]),
        Row("Traffic", [
            Panel("Signed in", NUMBER, {"{{instance}}": total(_GATEWAY + "sessions", "instance")},
                  "Sessions, those that wait for their client to come back included. A fall on one gateway with a rise on the others is a reconnect; a fall on "
                  "all is a network or a shard without an owner.", stacked=True),
            Panel("Stanzas from clients", PER_SECOND, {"{{kind}}": rate(_GATEWAY + "stanzas_total", "kind", 'direction="in"')},
                  "Accepted by the doors, by kind. A rise of presence without messages is a reconnect storm.", stacked=True),
            Panel("Stanzas to clients", PER_SECOND, {"{{kind}}": rate(_GATEWAY + "stanzas_total", "kind", 'direction="out"')},
                  "Written to the doors. It should follow what comes in; if it does not, look at unfinished records and at the offline store.", stacked=True),
            Panel("From a client's stanza to its place in the log", SECONDS,
                  {"p50": quantile(0.5, _GATEWAY + "confirm_seconds_bucket"), "p99": quantile(0.99, _GATEWAY + "confirm_seconds_bucket")},
                  "Accepted to acknowledged: only then is a message safe, and the sender's client is told. A few milliseconds on an idle cluster. When p99 "
                  "rises, compare Kafka's time (\"Backends\") with the event loop lag below.", steps=((0.25, YELLOW), (1, RED))),
            Panel("Sign-ins", PER_SECOND, {"{{outcome}}": rate(_GATEWAY + "authentications_total", "outcome")},
                  "By outcome. `temporary` means that the account could not be read or that the client was slowed, not that its password was wrong."),
            Panel("Resumptions", PER_SECOND, {"{{outcome}}": rate(_GATEWAY + "resumptions_total", "outcome")},
                  "Clients that come back to a session (XEP-0198). A failed one signs in afresh and loses nothing that is in the log; many failures mean that "
                  "clients come later than `sessions.resume-timeout`."),
        ]),
        Row("Trouble", [
            Panel("Unfinished records", NUMBER, {"{{service}} {{instance}}": f"sum by (service, instance) ({any_service('unfinished_records')})"},
                  "Read from the log and not finished: mostly deliveries that a client has not acknowledged. It follows the traffic; what only rises is a "
                  "store that does not answer or clients that do not read."),
            Panel("Clients sent away", PER_SECOND, {"{{reason}}": rate(_GATEWAY + "sent_away_clients_total", "reason")},
                  "Told to come again, since the owner of their shard was missing (`no_owner`), did not answer (`no_answer`) or was not heard "
                  "(`owner_not_heard`). Should be zero: see owners in \"Log and shards\"."),
            Panel("Not delivered at once", PER_SECOND,
                  {"stored for the absent": rate(_SM + "messages_stored_offline_total"), "stored for a session": rate(_SM + "packets_stored_total"),
                   "bounced": rate(_SM + "stanzas_bounced_total"), "routed anew": rate(_SM + "messages_rerouted_total")},
                  "Stored for the absent is ordinary. Many for a session: clients that do not acknowledge in time. Bounced: errors that senders were given."),
            Panel("Event loop lag, p99", SECONDS, {"{{service}} {{instance}}": quantile(0.99, any_service("io_loop_lag_seconds", "_bucket"), "service, instance")},
                  "How late each process's I/O thread is: the sign to add replicas.", steps=((0.05, YELLOW), (0.25, RED))),
            Panel("CPU", CORES, {"{{service}}": f"sum by (service) (rate(process_cpu_seconds_total{{{SELECTED}}}[$__rate_interval]))"},
                  "Cores used by each service. \"Capacity\" has each process.", stacked=True),
            Panel("Resident memory", BYTES, {"{{service}}": f"sum by (service) (process_resident_memory_bytes{{{SELECTED}}})"},
                  "Of each service. \"Capacity\" has memory for each session.", stacked=True),
        ]),
        Row("What runs", [
            Panel("Versions", NUMBER, {"": f"count by (service, version) ({any_service('build_info')})"},
                  "How many processes of each service run which version. Two versions of one service for longer than an upgrade takes: it has stopped half-way.",
                  kind="table", width=12),
            Panel("Running for", SECONDS, {"": f"sort (time() - process_start_time_seconds{{{SELECTED}}})"},
                  "The youngest first. A process that is much younger than its like was restarted.", kind="table", width=12),
        ]),
    ],
)
