"""Sessions, deliveries, the offline store, the directory."""

from generator.board import (
    BYTES, NUMBER, PER_SECOND, RATIO, RED, YELLOW, Board, Bound, Panel, Row, instances_of, process_row, rate, total,
)

_M = "rookery_session_manager_"

BOARD = Board(
    uid="rookery-session-manager",
    title="Rookery / Session-manager",
    description="Who is there, what is delivered, kept or returned. The shards' life has a board of its own, \"Log and shards\".",
    variables=[
        instances_of("session_manager"),
        Bound("store_waiting", "shards.store-waiting", 20_000),
        Bound("store_waiting_bytes", "shards.store-waiting-bytes", 67_108_864),
    ],
    rows=[
        Row("Sessions", [
            Panel("Sessions", NUMBER, {"{{instance}}": total(_M + "sessions", "instance")},
                  "Of the shards that each owns. It follows the number of shards; a very uneven one has few shards or one large account.", stacked=True),
            Panel("Sessions that wait for their client", NUMBER, {"{{instance}}": total(_M + "sessions_detached", "instance")},
                  "Disconnected and kept for `sessions.resume-timeout`. A jump: a gateway died, or a network.", stacked=True),
            Panel("Users in memory", NUMBER, {"{{instance}}": total(_M + "users", "instance")},
                  "Signed in, or needed for what is under way.", stacked=True),
            Panel("Sessions begin, end, return", PER_SECOND,
                  {"started": rate(_M + "sessions_started_total"), "ended": rate(_M + "sessions_ended_total"), "resumed": rate(_M + "sessions_resumed_total"),
                   "attached to a new owner": rate(_M + "sessions_attached_total")},
                  "Started and ended alike and high: clients that cannot keep a connection. Attached: shards have moved."),
            Panel("Gateways linked", NUMBER, {"{{instance}}": total(_M + "gateways", "instance")},
                  "Should be all gateways on each. Fewer on one: a network policy or a certificate of `rpc.tls`."),
        ]),
        Row("From accepted to delivered", [
            Panel("Accepted and given on", PER_SECOND,
                  {"stanzas from clients": rate(_M + "stanzas_received_total"), "packets to gateways": rate(_M + "packets_sent_total")},
                  "The second is the larger: one packet for each session that gets a stanza. The first without the second: records wait, see \"Log and shards\"."),
            Panel("Given again", PER_SECOND, {"packets after a resumption or a new link": rate(_M + "packets_resent_total")},
                  "Ordinary after a reconnect. Always, with no reconnects: links that break."),
            Panel("Refused as received before", PER_SECOND,
                  {"stanzas of clients": rate(_M + "stanzas_repeated_total"), "records": rate(_M + "duplicates_refused_total")},
                  "Gateways and new owners say again what they do not know to be safe; what was safe is refused here. Only after something has moved."),
            Panel("Records that Kafka did not take", PER_SECOND,
                  {"refused": rate(_M + "records_refused_total"), "lost": rate(_M + "records_lost_total")},
                  "Refused: a setting of the broker's is wrong (size, rights). Lost: said to nobody; messages are gone. Compare `message.max.bytes` of the "
                  "topics with `kafka.max-record-bytes`.", steps=((0.001, RED),)),
            Panel("Bounced", PER_SECOND, {"{{instance}}": rate(_M + "stanzas_bounced_total", "instance")},
                  "Stanzas answered with an error: no such user, blocked, the offline store is full. A jump on all: rosters or PostgreSQL."),
            Panel("Errors of ours", PER_SECOND,
                  {"cause was finished": rate(_M + "finished_causes_total"), "out of order": rate(_M + "records_out_of_order_total"),
                   "of no user of the shard": rate(_M + "misplaced_records_total"),
                   "of a later release": rate(_M + "unknown_records_total")},
                  "Never, unless Rookery has a bug, processes disagree about the number of partitions, or a later release is among them. Keep the logs and report it.", steps=((0.001, RED),)),
        ]),
        Row("Offline store", [
            Panel("Kept", PER_SECOND,
                  {"for the absent": rate(_M + "messages_stored_offline_total"), "for one session": rate(_M + "packets_stored_total"),
                   "of a session that nobody had": rate(_M + "packets_orphaned_total"),
                   "not given to a slow client": rate(_M + "packets_spared_total"), "of an ended session, routed anew": rate(_M + "messages_rerouted_total")},
                  "For one session: its client has not acknowledged for `shards.window-time`."),
            Panel("Rows that wait for PostgreSQL", RATIO,
                  {"{{instance}}": f"{total(_M + 'store_waiting_rows', 'instance')} / ({total(_M + 'shards', 'instance')} * $store_waiting > 0)"},
                  "Against `shards.store-waiting` for each of its shards, which stands at the top: put in what is configured. A shard that reaches its bound "
                  "is read no further; look at PostgreSQL.", steps=((0.1, YELLOW), (0.5, RED)), most=1),
            Panel("Bytes that wait for PostgreSQL", RATIO,
                  {"{{instance}}": f"{total(_M + 'store_waiting_bytes', 'instance')} / ({total(_M + 'shards', 'instance')} * $store_waiting_bytes > 0)"},
                  "The same against `shards.store-waiting-bytes`.", steps=((0.1, YELLOW), (0.5, RED)), most=1),
            Panel("Waiting, as it is", NUMBER, {"rows {{instance}}": total(_M + "store_waiting_rows", "instance")},
                  "It should empty many times a second."),
            Panel("Waiting bytes, as they are", BYTES, {"{{instance}}": total(_M + "store_waiting_bytes", "instance")}, "It should empty many times a second."),
            Panel("Statements of the store", PER_SECOND,
                  {"written": rate(_M + "store_statements_total"), "not answered, tried again": rate(_M + "store_retries_total"),
                   "rows refused for good": rate(_M + "store_refused_total"), "messages refused: no room": rate(_M + "store_no_room_total")},
                  "Statements tried again: PostgreSQL is away or slower than `pg.timeout`. Nothing is lost meanwhile; it waits in the log. Refused for good: "
                  "look for `store.refused` in the log. No room: one recipient or sender has more waiting than `shards.store-waiting` allows a single one."),
        ]),
        Row("Directory, rosters, capabilities", [
            Panel("Directory in Redis", PER_SECOND,
                  {"entries written": rate(_M + "directory_entries_total"), "all of a shard written": rate(_M + "directory_rewrites_total"),
                   "failed": rate(_M + "directory_failures_total")},
                  "Failed: Redis is away; all is written again later, and only `sessions` and new processes miss it."),
            Panel("Rosters that were away", PER_SECOND,
                  {"presence told late": rate(_M + "presences_late_total"), "presence given up": rate(_M + "presences_untold_total"),
                   "block list not known": rate(_M + "settings_unknown_total")},
                  "No roster service answered. The last is the worst: those users were taken for users who block nobody. Start roster processes.",
                  steps=((0.001, YELLOW),)),
            Panel("Capabilities (XEP-0115)", PER_SECOND,
                  {"asked": rate(_M + "caps_asked_total"), "verified": rate(_M + "caps_verified_total"), "refused": rate(_M + "caps_refused_total")},
                  "Each kind of client is asked once. Refused: its hash does not prove what it says."),
            Panel("Capabilities remembered", NUMBER, {"{{instance}}": total(_M + "caps_known", "instance")}, "Kinds of clients that were verified."),
        ]),
        process_row("session-manager", _M + "sessions", "session"),
    ],
)
