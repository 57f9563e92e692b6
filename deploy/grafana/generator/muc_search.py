"""Muc and search: rooms, what they read, what search is asked, and how they are."""

from generator.board import (
    BYTES, CORES, NUMBER, PER_SECOND, RED, SECONDS, SELECTED, YELLOW, Board, Panel, Row, Variable, quantile, rate, total,
)

_EACH = "service, instance"
_LEGEND = "{{service}} {{instance}}"
_MUC = "rookery_muc_"
_ANY = '__name__=~"rookery_(muc|search)_build_info"'


def _of(noun: str) -> str:
    return f'{{__name__=~"rookery_(muc|search)_{noun}", {SELECTED}}}'


def _muc(noun: str) -> dict[str, str]:
    return {"{{instance}}": total(_MUC + noun, "instance")}


def _gauge(noun: str) -> dict[str, str]:
    return {_LEGEND: f"sum by ({_EACH}) ({_of(noun)})"}


BOARD = Board(
    uid="rookery-muc-search",
    title="Rookery / Muc and search",
    description="Rooms, as muc has them, and search, which owns shards and answers discovery; the archive is not there yet.",
    variables=[
        Variable("service", "Service", f"label_values({{{_ANY}}}, service)"),
        Variable("instance", "Instance", f'label_values({{{_ANY}, service=~"$service"}}, instance)'),
    ],
    rows=[
        Row("Rooms", [
            Panel("Rooms in memory", NUMBER, _muc("rooms"),
                  "Those in which something happened within the last minute; the others are in PostgreSQL only, whoever is in them. An instance without any owns no "
                  "shard of `rooms`.", stacked=True),
            Panel("Occupants", NUMBER, _muc("occupants"), "Sessions in the rooms that are in memory. It falls and rises with them.", stacked=True),
            Panel("Memory of these rooms", BYTES, _muc("room_bytes"),
                  "About. At `rooms.max-memory-bytes` (512 MiB) the rooms that were used least recently go until a quarter is free. What stays there is in use: "
                  "no other rooms are loaded, and who writes to them is told to wait. Add replicas, or memory.",
                  steps=((512 * 2**20, YELLOW),)),
            Panel("Rooms loaded and left", PER_SECOND, {"loaded": rate(_MUC + "rooms_loaded_total"), "left": rate(_MUC + "rooms_unloaded_total")},
                  "Looked for in PostgreSQL, rooms that do not exist among them, and forgotten since they were quiet. A peak of loads follows each change of owners."),
            Panel("Stanzas", PER_SECOND,
                  {"applied {{instance}}": rate(_MUC + "stanzas_total", "instance"), "said {{instance}}": rate(_MUC + "stanzas_said_total", "instance")},
                  "What was sent to rooms, and what followed, each counted once for all its recipients."),
            Panel("Deliveries", PER_SECOND, {"{{instance}}": rate(_MUC + "deliveries_total", "instance")},
                  "The same counted for each recipient: the work of session-manager and gateway. Presence in large rooms is most of it: `rooms.quiet-above`.", stacked=True),
            Panel("Deliveries for each stanza", NUMBER, {"mean": f"{rate(_MUC + 'deliveries_total')} / ({rate(_MUC + 'stanzas_total')} > 0)"},
                  "How crowded the rooms are in which something happens."),
            Panel("Rooms without a verdict", PER_SECOND, {"{{instance}}": rate(_MUC + "rooms_without_verdict_total", "instance")},
                  "Made although nobody had asked whether their owner may have one more (`rooms.max-per-user`): an error of ours; `room.made_without_verdict` in the "
                  "log has the room.", steps=((0.001, RED),)),
            Panel("Put into the archive", PER_SECOND, {"messages": rate(_MUC + "messages_archived_total")}, "Messages of rooms that are logged, on the topic `messages`."),
            Panel("Records of ours that the log refused", PER_SECOND,
                  {"refused": rate(_MUC + "records_refused_total"), "lost": rate(_MUC + "records_lost_total"), "of no room of the shard": rate(_MUC + "misplaced_records_total")},
                  "Refused: said again until the log takes it. Lost: larger than it ever takes. Of no room: processes disagree about the number of partitions.",
                  steps=((0.001, RED),)),
        ]),
        Row("Rooms and PostgreSQL", [
            Panel("Rooms that are not saved", NUMBER, _muc("unsaved_rooms"),
                  "Changed since their last checkpoint, which comes within a second. What only rises is a PostgreSQL that takes none: nothing is lost, but "
                  "the shards' cursors stand still."),
            Panel("Checkpoints", PER_SECOND, {"{{instance}}": rate(_MUC + "checkpoints_total", "instance")}, "Rooms written, each at most once a second.", stacked=True),
            Panel("Checkpoints that failed", PER_SECOND, {"{{instance}}": rate(_MUC + "failed_checkpoints_total", "instance")},
                  "Tried again until PostgreSQL takes them; `room.not_saved` in the log has its words.", steps=((0.001, YELLOW), (0.5, RED))),
            Panel("Loads that failed", PER_SECOND, {"{{instance}}": rate(_MUC + "failed_loads_total", "instance")},
                  "Whoever waits for such a room for more than 3 s gets an error of type `wait`; `rooms.not_loaded` in the log has PostgreSQL's words.",
                  steps=((0.001, RED),)),
            Panel("Stanzas without a room", PER_SECOND, {"{{instance}}": rate(_MUC + "stanzas_without_room_total", "instance")},
                  "Those that got this error: people who wrote to a room, or entered it, in vain.", steps=((0.001, RED),)),
            Panel("Time of a statement", SECONDS, {f"p{q * 100:g}": quantile(q, _MUC + "pg_statement_seconds_bucket") for q in (0.5, 0.99)},
                  "Waiting for a connection included. How fast rooms are there after a change of owners depends on it.", steps=((0.1, YELLOW), (1, RED))),
        ]),
        Row("Calls of search", [
            Panel("Calls", PER_SECOND, {_LEGEND: rate(_of("calls_total"), _EACH)},
                  "Discovery of `search.`. An instance without any, while others have some, is not known to session-managers.", stacked=True),
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
