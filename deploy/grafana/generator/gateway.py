"""Doors, sign-ins, streams, and what goes on to session-managers."""

from generator.board import (
    BYTES, BYTES_PER_SECOND, NUMBER, ORANGE, PER_SECOND, RATIO, RED, SECONDS, YELLOW, Board, Bound, Panel, Row, instances_of, process_row, quantile,
    rate, total,
)

_M = "rookery_gateway_"

BOARD = Board(
    uid="rookery-gateway",
    title="Rookery / Gateway and doors",
    description="What clients meet: connections, TLS, sign-ins, streams; and how their stanzas get on.",
    variables=[instances_of("gateway"), Bound("max_connections", "listeners.max-connections", 100_000)],
    rows=[
        Row("Doors", [
            Panel("Open connections, by door", NUMBER, {"{{listener}}": total(_M + "connections", "listener")},
                  "A door that falls to zero while others do not: its certificate, its load balancer or its port.", stacked=True),
            Panel("Fullest door of each gateway", RATIO, {"{{instance}}": f"max by (instance) ({_M}connections{{instance=~\"$instance\"}}) / $max_connections"},
                  "Against `listeners.max-connections`, which stands at the top of this board: put in what is configured. Near 1, connections are refused: "
                  "add gateways.", steps=((0.8, YELLOW), (0.95, RED)), most=1),
            Panel("Descriptors in use", RATIO,
                  {"{{instance}}": 'process_open_fds{service="gateway", instance=~"$instance"} / process_max_fds{service="gateway", instance=~"$instance"}'},
                  "Every connection is one. Near 1, the kernel refuses connections: raise the limit of open files (LimitNOFILE, ulimit -n).",
                  steps=((0.8, YELLOW), (0.95, RED)), most=1),
            Panel("Connections accepted", PER_SECOND, {"{{listener}}": rate(_M + "accepted_connections_total", "listener")},
                  "A peak is a reconnect; a plateau with few sign-ins is somebody who only connects."),
            Panel("Connections refused over a limit", PER_SECOND, {"{{listener}}": rate(_M + "refused_connections_total", "listener")},
                  "`listeners.max-connections` or `listeners.max-connections-per-address` was reached. Many from behind one address: raise the second; "
                  "otherwise add gateways.", steps=((1, RED),)),
            Panel("TLS handshakes that failed", PER_SECOND, {"{{reason}}": rate(_M + "tls_handshakes_failed_total", "reason")},
                  "`alert`: mostly clients that do not trust our certificate, so look whether it has run out. `version`, `cipher`: old clients. `peer-closed` "
                  "and `not-tls`: health checks and scanners."),
        ]),
        Row("Reconnect storms", [
            Panel("Waiting for their sign-in to begin", NUMBER, {"{{instance}}": total(_M + "connections_waiting", "instance")},
                  "Accepted and not let in yet, in the order in which they came (`admission.max-waiting`). It should empty by itself; if it does not, add "
                  "gateways or look at session-managers."),
            Panel("Sign-ins under way and their limit", NUMBER,
                  {"under way {{instance}}": total(_M + "sign_ins_under_way", "instance"), "limit {{instance}}": total(_M + "sign_ins_limit", "instance")},
                  "The limit falls to `admission.min-under-way` while the I/O thread is late. Both lines together for long: sign-ins are what the gateway does."),
            Panel("Admitted and refused", PER_SECOND,
                  {"admitted": rate(_M + "admitted_connections_total"), "{{reason}}": rate(_M + "admission_refused_total", "reason")},
                  "`gone`: gave up while waiting. `address-limit`: `admission.max-unauthenticated-per-address` was reached; where a proxy hides addresses, "
                  "that limit must be higher."),
        ]),
        Row("Sign-ins", [
            Panel("Sign-ins that succeed, by mechanism", PER_SECOND, {"{{mechanism}}": rate(_M + "authentications_total", "mechanism", 'outcome="success"')},
                  "PLAIN where there should be none is a client that ought to be updated.", stacked=True),
            Panel("Sign-ins that fail, by mechanism", PER_SECOND, {"{{mechanism}}": rate(_M + "authentications_total", "mechanism", 'outcome="failure"')},
                  "Wrong passwords and aborted exchanges. `auth.failed` in the log has the reason, the account's hash and the address.", stacked=True),
            Panel("Not to be decided now, or slowed", PER_SECOND,
                  {"temporary": rate(_M + "authentications_total", "", 'outcome="temporary"'), "slowed": rate(_M + "sign_ins_slowed_total")},
                  "Clients were told to try again. `slowed`: too many failures of an account or an address, so somebody guesses. Without that: PostgreSQL or "
                  "the owner of the shard is away.", steps=((1, YELLOW),)),
            Panel("Accounts made in band", PER_SECOND, {"{{outcome}}": rate(_M + "registrations_total", "outcome")},
                  "Only where `registration.enabled` is set. A steady rate that nobody expects is a robot: lower `registration.per-minute` or switch it off."),
            Panel("Resumptions", PER_SECOND, {"{{outcome}}": rate(_M + "resumptions_total", "outcome")},
                  "`failed`: the session had ended, mostly since the client came later than `sessions.resume-timeout`."),
            Panel("Refused to foreign web pages", PER_SECOND, {"WebSockets": rate(_M + "websocket_origins_refused_total")},
                  "A page of ours among them is missing in `listeners.websocket.origins`."),
        ]),
        Row("Streams", [
            Panel("Sessions", NUMBER, {"{{instance}}": total(_M + "sessions", "instance")},
                  "Those that wait for their client included. Very uneven gateways: the balancer holds connections where they were; it evens out with time.",
                  stacked=True),
            Panel("Stanzas", PER_SECOND, {"{{direction}} {{kind}}": rate(_M + "stanzas_total", "direction, kind")}, "By direction and kind."),
            Panel("Bytes of XML", BYTES_PER_SECOND, {"in": rate(_M + "received_bytes_total"), "out": rate(_M + "sent_bytes_total")},
                  "Before encryption."),
            Panel("Streams closed with an error", PER_SECOND, {"{{condition}}": f"{rate(_M + 'stream_errors_total', 'condition')} > 0"},
                  "`system-shutdown`: a drain. `reset`: no owner for the shard. `connection-timeout`: silent clients. `policy-violation` and "
                  "`not-well-formed`: bad clients, `stream.error` in the log has the address."),
            Panel("Slow readers", PER_SECOND, {"{{instance}}": rate(_M + "slow_readers_total", "instance")},
                  "Streams closed since their client did not read what was written. On one gateway only: its network."),
            Panel("Log lines left out", PER_SECOND, {"{{event}}": rate(_M + "log_lines_suppressed_total", "event")},
                  "About peers, over 20 a second. What counts here is not in the log."),
        ]),
        Row("On to session-managers", [
            Panel("From a client's stanza to its confirmation", SECONDS,
                  {f"p{q * 100:g}": quantile(q, _M + "confirm_seconds_bucket") for q in (0.5, 0.9, 0.99)},
                  "Accepted to acknowledged. Compare Kafka's append time on \"Backends\": what is above it is links and event loops.",
                  steps=((0.25, YELLOW), (1, RED))),
            Panel("The same, p99 of each gateway", SECONDS, {"{{instance}}": quantile(0.99, _M + "confirm_seconds_bucket", "instance")},
                  "One gateway alone: its links or its event loop. All: session-managers or Kafka.", steps=((0.25, YELLOW), (1, RED))),
            Panel("Stanzas that are not in the log yet", BYTES, {"{{instance}}": total(_M + "unconfirmed_bytes", "instance")},
                  "Kept until they are confirmed. It rises while a shard has no owner; too much, and clients are not read (next panel)."),
            Panel("Clients that are not read", NUMBER, {"{{instance}}": total(_M + "unread_clients", "instance")},
                  "Too much of theirs, or of their shard's, is unconfirmed. They are read again once their shard has an owner that answers.",
                  steps=((1, YELLOW), (100, RED))),
            Panel("Requests without an answer", NUMBER, {"{{instance}}": total(_M + "actions_waiting", "instance")},
                  "Sign-ins, resumptions and the like that wait for a session-manager."),
            Panel("Requests that failed", PER_SECOND,
                  {"no answer in time": rate(_M + "overdue_actions_total"), "of an epoch that is over": rate(_M + "stale_actions_total")},
                  "The first: session-managers are overloaded or frozen. The second is ordinary while shards move."),
            Panel("Shards with an owner", NUMBER, {"{{instance}}": total(_M + "shards_with_owner", "instance")},
                  "Should be the number of partitions of `users` on every gateway. Fewer on one: its links. Fewer on all: a shard has no owner."),
            Panel("Links to session-managers", NUMBER, {"{{instance}}": total(_M + "links_up", "instance")},
                  "One for each session-manager. Fewer on one gateway only: a network policy, a certificate of `rpc.tls`, or Redis did not tell of the new one."),
            Panel("Links lost", PER_SECOND, {"{{instance}}": rate(_M + "links_lost_total", "instance")},
                  "Also those that could not be opened. Ordinary while session-managers restart."),
            Panel("Clients sent away", PER_SECOND, {"{{reason}}": rate(_M + "sent_away_clients_total", "reason")},
                  "They come back and resume; many at once are a storm. Find out why the shards had no owner.", steps=((0.1, ORANGE),)),
            Panel("After a shard has moved", PER_SECOND,
                  {"sessions attached": rate(_M + "attached_sessions_total"), "stanzas sent again": rate(_M + "resent_stanzas_total"),
                   "packets given twice and dropped": rate(_M + "duplicate_packets_total")},
                  "Recovery at work; zero otherwise."),
            Panel("Standstills and gaps", PER_SECOND, {"standstills": rate(_M + "standstills_total"), "packet gaps": rate(_M + "packet_gaps_total")},
                  "Standstill: the process got no CPU for seconds (a frozen machine, a CPU limit that is too low). Gap: an error of ours; report it.",
                  steps=((0.001, RED),)),
        ]),
        process_row("gateway", _M + "connections", "connection"),
    ],
)
