#!/usr/bin/env python3
"""Finds every metric in the sources and documents it: name, type, unit, labels, services, meaning.

usage: metric_catalogue.py [--check]

Writes metrics.md beside this file; with --check, writes nothing and exits with 1 where that file is out of date.

A metric is made by `Counter("noun", "help", labels)`, `Gauge(…)` or `Histogram("noun", "help", buckets, labels)` of
telemetry::Metrics, which puts `rookery_<service>_` before the noun. What these calls cannot tell, the tables
below do: which services use a library, and which values a label has that is no literal."""

import dataclasses
import re
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
DOCUMENT = Path(__file__).resolve().parent / "metrics.md"

SERVICES = ("gateway", "session-manager", "roster", "muc", "search")
MEMBERS = ("session-manager", "muc", "search")  # those that own shards

# The first that fits says which services have the metrics of a source file.
WHERE = (
    ("libs/telemetry/", SERVICES),
    ("libs/app/", SERVICES),
    ("libs/redis/", SERVICES),
    ("libs/pg/", ("session-manager", "roster", "muc")),
    ("libs/kafka/", MEMBERS),
    ("libs/rpc/", ("roster", "search")),  # those that answer unary calls
    ("libs/sharding/", MEMBERS),
    *((f"services/{service}/", (service,)) for service in SERVICES),
)

GROUPS = (
    ("libs/telemetry/", "Every process", "The names that all Prometheus client libraries use."),
    ("libs/app/", "Every service: the process", ""),
    ("libs/redis/", "Every service: Redis", ""),
    ("libs/pg/", "PostgreSQL", ""),
    ("libs/kafka/", "Kafka", ""),
    ("libs/sharding/", "Shards", ""),
    ("libs/rpc/", "Calls between services", ""),
    ("services/gateway/", "Gateway", ""),
    ("services/session-manager/", "Session-manager", ""),
    ("services/roster/", "Roster", ""),
    ("services/muc/", "Muc", ""),
)

# (noun, label) -> where the values of a label stand that the call does not spell out: an array, the strings of a
# function (the text from the second word to the first line that is only a brace), or what was read in the sources.
VALUES = {
    ("stanzas_total", "kind"): ("services/gateway/src/protocols/xmpp/xmpp_metrics.cc", "kKinds = {"),
    ("stream_errors_total", "condition"): ("services/gateway/src/protocols/xmpp/stream_error.h", "kStreamErrorNames = {"),
    ("authentications_total", "mechanism"): ("services/gateway/src/domain/sasl_exchange.h", "kSaslMechanisms[] = {", "unknown"),
    ("authentications_total", "outcome"): ("", "", "success", "failure", "temporary"),
    ("log_lines_suppressed_total", "event"): ("services/gateway/src/protocols/xmpp/peer_log.cc", "kEvents = {"),
    ("tls_handshakes_failed_total", "reason"): ("libs/net/src/connection.cc", "Name(TlsFailure failure) {"),
    ("connections", "listener"): ("", "", "xmpp", "xmpp-tls", "websocket", "websocket-tls"),
    ("accepted_connections_total", "listener"): ("", "", "xmpp", "xmpp-tls", "websocket", "websocket-tls"),
    ("refused_connections_total", "listener"): ("", "", "xmpp", "xmpp-tls", "websocket", "websocket-tls"),
    # A member reads the topic of its own shards only.
    ("kafka_consumed_records_total", "topic"): ("", "", "users", "rooms", "messages"),
    ("kafka_rebalances_total", "topic"): ("", "", "users", "rooms", "messages"),
    ("kafka_lost_partitions_total", "topic"): ("", "", "users", "rooms", "messages"),
    ("kafka_lag_records", "topic"): ("", "", "users", "rooms", "messages"),
    # The program's version: one value in each process.
    ("build_info", "version"): ("", ""),
}

# Units that a name does not end with.
UNITS = {"process_open_fds": "descriptors", "process_max_fds": "descriptors"}

_CALL = re.compile(r"(?:\.|->)(Counter|Gauge|Histogram)\(")
_PROCESS = re.compile(r'(?:gauge\(|\.Name\()"(process_\w+)"(?:, |\)\s*\.Help\()"([^"]*)"\)')
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


class SourceError(Exception):
    """The sources have something that this program does not understand."""


@dataclasses.dataclass
class Family:
    """One name after the prefix, with all its labels."""

    noun: str
    kind: str  # counter, gauge, histogram
    help: str
    file: str
    services: tuple[str, ...]
    labels: dict[str, list[str]]  # label -> values; none: not known beforehand
    buckets: list[float]

    @property
    def unit(self) -> str:
        if self.noun in UNITS:
            return UNITS[self.noun]
        for ending, unit in (("_seconds", "seconds"), ("_bytes", "bytes"), ("_info", "always 1")):
            if self.noun.removesuffix("_total").endswith(ending):
                return unit
        return "number"

    def name(self, service: str) -> str:
        return self.noun if self.noun.startswith("process_") else f"rookery_{service.replace('-', '_')}_{self.noun}"


def families() -> list[Family]:
    found: dict[tuple[str, tuple[str, ...]], Family] = {}
    for part in ("libs", "services"):
        for path in sorted(file for place in ("src", "include") for file in (SOURCE / part).glob(f"*/{place}/**/*")):
            if path.suffix in (".cc", ".h"):
                for family in _of(str(path.relative_to(SOURCE)), path.read_text()):
                    _merge(found, family)
    order = [prefix for prefix, _, _ in GROUPS]
    return sorted(found.values(), key=lambda f: (order.index(_group(f)), f.noun))


def by_name() -> dict[str, Family]:
    """Whole name -> family; a histogram by the name that it is made with."""
    return {family.name(service): family for family in families() for service in family.services}


def series() -> dict[str, tuple[Family, set[str]]]:
    """Every name that a scrape gives, `_bucket`, `_sum` and `_count` too -> family and labels."""
    result = {}
    for name, family in by_name().items():
        labels = set(family.labels)
        if family.kind == "histogram":
            result[f"{name}_bucket"] = (family, labels | {"le"})
            result[f"{name}_sum"] = result[f"{name}_count"] = (family, labels)
        else:
            result[name] = (family, labels)
    return result


def _group(family: Family) -> str:
    return next(prefix for prefix, _, _ in GROUPS if family.file.startswith(prefix))


def _merge(found: dict, family: Family) -> None:
    key = (family.noun, family.services)
    if key not in found:
        found[key] = family
        return
    before = found[key]
    if (before.kind, before.help, set(before.labels)) != (family.kind, family.help, set(family.labels)):
        raise SourceError(f"{family.file}: {family.noun} has two kinds, meanings or sets of labels")
    for label, values in family.labels.items():
        before.labels[label] += [value for value in values if value not in before.labels[label]]


def _of(shown: str, text: str):
    services = next((services for prefix, services in WHERE if shown.startswith(prefix)), ())
    if shown.startswith("libs/telemetry/"):
        for name, meaning in _PROCESS.findall(text):
            kind = "counter" if name.endswith("_total") else "gauge"
            yield Family(name, kind, meaning, shown, services, {}, [])
        return
    for call in _CALL.finditer(text):
        arguments = _arguments(text, call.end())
        noun, meaning = (_literal(argument) for argument in arguments[:2])
        if noun is None or meaning is None:
            raise SourceError(f"{shown}: {call.group(1)}({arguments[0]}, …): name and help must be literals")
        if not services:
            raise SourceError(f"{shown}: makes {noun}, and WHERE does not say which services have it")
        kind = call.group(1).lower()
        rest = arguments[2:]
        buckets = [float(n) for n in rest.pop(0).strip("{}").split(",")] if kind == "histogram" else []
        yield Family(noun, kind, meaning, shown, services, _labels(text, noun, rest[0] if rest else ""), buckets)


def _arguments(text: str, at: int) -> list[str]:
    """Those of the call whose parenthesis was opened before `at`."""
    arguments, depth, begin = [], 1, at
    while True:
        string = _STRING.match(text, at)
        if string:
            at = string.end()
            continue
        letter = text[at]
        depth += (letter in "({[") - (letter in ")}]")
        if depth == 0 or (depth == 1 and letter == ","):
            arguments.append(text[begin:at].strip())
            begin = at + 1
        if depth == 0:
            return arguments
        at += 1


def _literal(argument: str) -> str | None:
    """Literals that stand side by side are one."""
    return "".join(_STRING.findall(argument)) if re.fullmatch(r'(?:"(?:[^"\\]|\\.)*"\s*)+', argument) else None


def _labels(text: str, noun: str, argument: str) -> dict[str, list[str]]:
    if argument == "labels":  # a variable or parameter of this file, made once
        made = re.findall(r"Labels labels(\{\{.*?\}\})", text)
        if len(made) != 1:
            raise SourceError(f"{noun}: cannot tell where its labels are made")
        argument = made[0]
    labels = {}
    for label, value in re.findall(r'\{\s*"(\w+)",\s*(.*?)\}(?=[,}\s]|$)', argument.strip().removeprefix("{").removesuffix("}")):
        literal = _literal(value)
        labels[label] = _values(noun, label) if literal is None else [literal]
    if argument and not labels:
        raise SourceError(f"{noun}: cannot read its labels: {argument}")
    return labels


def _values(noun: str, label: str) -> list[str]:
    if (noun, label) not in VALUES:
        raise SourceError(f"{noun}: VALUES does not say which values `{label}` has")
    file, opening, *more = VALUES[(noun, label)]
    values = []
    if file:
        _, found, rest = (SOURCE / file).read_text().partition(opening)
        if not found:
            raise SourceError(f"{file} has no `{opening}`")
        values = _STRING.findall(re.split(r"\};|^\}", rest, flags=re.MULTILINE)[0])
    return values + more


def document() -> str:
    lines = [
        "# Metrics",
        "",
        "Written by `deploy/prometheus/metric_catalogue.py` from the sources: do not edit. `<service>` is `gateway`,",
        "`session_manager`, `roster`, `muc` or `search`. A histogram has `…_bucket`, `…_sum` and `…_count`. Every name is",
        "followed by the labels that a scrape adds, `service` and `instance` (README.md).",
    ]
    found = families()
    for prefix, title, remark in GROUPS:
        lines += ["", f"## {title}", *([remark] if remark else []), "", "| name | type | unit | labels | meaning |", "|---|---|---|---|---|"]
        lines += [_row(family) for family in found if _group(family) == prefix]
    lines += ["", "## Buckets", "Upper bounds, in the unit of the name; there is always one for the rest.", "", "| name | bounds |", "|---|---|"]
    lines += [f"| `{_shown(f)}` | {', '.join(f'{b:g}' for b in f.buckets)} |" for f in found if f.kind == "histogram"]
    return "\n".join(lines) + "\n"


def _shown(family: Family) -> str:
    if len(family.services) == 1 or family.noun.startswith("process_"):
        return family.name(family.services[0])
    return f"rookery_<service>_{family.noun}"


def _row(family: Family) -> str:
    labels = "; ".join(f"`{label}`: {', '.join(values)}" if values else f"`{label}`" for label, values in family.labels.items())
    whose = "" if family.services == SERVICES or len(family.services) == 1 else f" ({', '.join(family.services)})"
    return f"| `{_shown(family)}` | {family.kind} | {family.unit} | {labels} | {family.help}{whose} |"


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = document()
    if not arguments:
        DOCUMENT.write_text(text)
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != text:
        print(f"{DOCUMENT.relative_to(SOURCE)} is out of date: run deploy/prometheus/metric_catalogue.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
