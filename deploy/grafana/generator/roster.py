"""The roster service and its database."""

from generator.board import NUMBER, PER_SECOND, RATIO, RED, SECONDS, YELLOW, Board, Panel, Row, instances_of, process_row, quantile, rate, total

_M = "rookery_roster_"

BOARD = Board(
    uid="rookery-roster",
    title="Rookery / Roster",
    description="Contact lists. It has no shards: any instance answers for anyone, and all it keeps is in PostgreSQL.",
    variables=[instances_of("roster")],
    rows=[
        Row("Calls", [
            Panel("Calls", PER_SECOND, {"{{instance}}": rate(_M + "calls_total", "instance")},
                  "Of session-managers. They spread them; an instance that gets none is not known to them (Redis) or cannot be reached.", stacked=True),
            Panel("Calls that failed", PER_SECOND, {"{{instance}}": rate(_M + "calls_failed_total", "instance")},
                  "Clients got an error of type `wait`. Almost always PostgreSQL.", steps=((1, YELLOW),)),
            Panel("Of all calls", RATIO, {"failed": f"{rate(_M + 'calls_failed_total')} / ({rate(_M + 'calls_total')} > 0)"},
                  "Above a few percent, users see rosters that do not load.", steps=((0.01, YELLOW), (0.05, RED)), most=0.1),
        ]),
        Row("PostgreSQL", [
            Panel("Statements", PER_SECOND, {"{{result}}": rate(_M + "pg_statements_total", "result")},
                  "`error`: refused, or lost with its connection. `not_sent`: there was no connection to send it on."),
            Panel("Time of a statement", SECONDS, {f"p{q * 100:g}": quantile(q, _M + "pg_statement_seconds_bucket") for q in (0.5, 0.99)},
                  "Waiting for a connection included. When it rises with the statements that wait, raise `pg.connections`; when alone, look at PostgreSQL.",
                  steps=((0.1, YELLOW), (1, RED))),
            Panel("Statements that wait", NUMBER, {"{{instance}}": total(_M + "pg_statements_waiting", "instance")},
                  "More than a few for long: the database is slower than what is asked of it."),
            Panel("PostgreSQL connections", NUMBER, {"{{instance}}": total(_M + "pg_connections", "instance")},
                  "Should be `pg.connections` on each. Zero: that instance serves nothing; look at `max_connections` of PostgreSQL, its address and the password."),
            Panel("Connections made and lost", PER_SECOND, {"made": rate(_M + "pg_connects_total"), "lost": rate(_M + "pg_connection_losses_total")},
                  "Both above zero for long: PostgreSQL or something between ends connections."),
        ]),
        Row("Redis", [
            Panel("Commands", PER_SECOND, {"{{result}}": rate(_M + "redis_commands_total", "result")},
                  "Only to say that it is there. `error`: Redis is away; those who know this instance go on calling it."),
            Panel("Redis connections", NUMBER, {"{{instance}}": total(_M + "redis_connections", "instance")}, "Zero: Redis is away for this instance."),
        ]),
        process_row("roster"),
    ],
)
