"""Kafka, Redis and PostgreSQL as our processes see them. What they say of themselves needs their own exporters."""

from generator.board import INSTANCE, NUMBER, PER_SECOND, RED, SECONDS, SERVICE, YELLOW, Board, Panel, Row, any_service, quantile, rate

_EACH = "service, instance"
_LEGEND = "{{service}} {{instance}}"


def _gauge(noun: str) -> dict[str, str]:
    return {_LEGEND: f"sum by ({_EACH}) ({any_service(noun)})"}


def _time(noun: str) -> dict[str, str]:
    return {f"p{q * 100:g} {{{{service}}}}": quantile(q, any_service(noun, "_bucket"), "service") for q in (0.5, 0.99)}


def _slowest(noun: str) -> dict[str, str]:
    return {_LEGEND: quantile(0.99, any_service(noun, "_bucket"), _EACH)}


def _results(noun: str) -> dict[str, str]:
    return {"{{service}} {{result}}": rate(any_service(noun), "service, result")}


BOARD = Board(
    uid="rookery-backends",
    title="Rookery / Backends",
    description="Kafka, Redis and PostgreSQL as each process sees them: what is slow for one process only is between it and the backend.",
    variables=[SERVICE, INSTANCE],
    rows=[
        Row("Kafka", [
            Panel("Append to confirmation", SECONDS, _time("kafka_append_seconds"),
                  "Of all processes of a service. If it rises: the brokers' disks, their load, a replica that lags.", steps=((0.1, YELLOW), (1, RED))),
            Panel("Append to confirmation, p99 of each process", SECONDS, _slowest("kafka_append_seconds"),
                  "One process alone: the network between it and the brokers, or its own event loop.", steps=((0.1, YELLOW), (1, RED))),
            Panel("Records", PER_SECOND,
                  {"appended {{service}}": rate(any_service("kafka_appended_records_total"), "service"),
                   "refused {{service}}": rate(any_service("kafka_refused_records_total"), "service"),
                   "read {{service}}": rate(any_service("kafka_consumed_records_total"), "service")},
                  "Refused: rights, `message.max.bytes`, too few replicas in sync; `kafka.append_refused` in the log has Kafka's words."),
            Panel("Not confirmed yet", NUMBER, _gauge("kafka_in_flight_records"), "At 100,000 a process stops taking more from gateways.",
                  steps=((20_000, YELLOW), (100_000, RED))),
            Panel("Records behind", NUMBER, _gauge("kafka_lag_records"), "In the log after the last one read. Near zero, but for the moments after a shard has moved."),
        ]),
        Row("Redis", [
            Panel("Commands", PER_SECOND, _results("redis_commands_total"),
                  "`error`: Redis refused, or was away. Clients stay and chat; new processes are not found meanwhile."),
            Panel("Time of a command", SECONDS, _time("redis_command_seconds"), "Above a few milliseconds: Redis is busy, or swaps.", steps=((0.01, YELLOW), (0.1, RED))),
            Panel("Time of a command, p99 of each process", SECONDS, _slowest("redis_command_seconds"),
                  "One process alone: its network or its event loop.", steps=((0.01, YELLOW), (0.1, RED))),
            Panel("Redis connections", NUMBER, _gauge("redis_connections"), "One for each node of Redis. Zero: this process cannot reach it."),
            Panel("Redis connections made and lost", PER_SECOND,
                  {"made {{service}}": rate(any_service("redis_connects_total"), "service"),
                   "lost {{service}}": rate(any_service("redis_connection_losses_total"), "service")},
                  "Lost and made again and again: a time limit between, or Redis restarts."),
            Panel("Redirects of a Redis Cluster", PER_SECOND, {"{{service}}": rate(any_service("redis_redirects_total"), "service")},
                  "Ordinary while slots move. Always: the addresses in `redis.addresses` do not name nodes of one cluster."),
        ]),
        Row("PostgreSQL", [
            Panel("Statements", PER_SECOND, _results("pg_statements_total"),
                  "`not_sent`: there was no connection. `error`: refused, or lost with its connection; the log has PostgreSQL's words."),
            Panel("Time of a statement", SECONDS, _time("pg_statement_seconds"),
                  "Waiting for a connection included. Rising with those that wait: raise `pg.connections`; alone: PostgreSQL itself.", steps=((0.1, YELLOW), (1, RED))),
            Panel("Time of a statement, p99 of each process", SECONDS, _slowest("pg_statement_seconds"), "One process alone: its network or its event loop.",
                  steps=((0.1, YELLOW), (1, RED))),
            Panel("Statements that wait", NUMBER, _gauge("pg_statements_waiting"), "More than a few for long: PostgreSQL is slower than what is asked of it."),
            Panel("PostgreSQL connections", NUMBER, _gauge("pg_connections"),
                  "Should be `pg.connections`, and one more at a session-manager. Zero: nobody signs in through this process, messages for the absent wait in the log, rooms are neither loaded nor saved."),
            Panel("PostgreSQL connections made and lost", PER_SECOND,
                  {"made {{service}}": rate(any_service("pg_connects_total"), "service"),
                   "lost {{service}}": rate(any_service("pg_connection_losses_total"), "service")},
                  "Lost and made again and again: PostgreSQL restarts, or something between ends idle connections."),
        ]),
    ],
)
