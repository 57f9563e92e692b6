"""Settings and log events that texts for operators name, against those that there are."""

import functools
import re

from catalogue import SOURCE

# Of others: Kafka's settings, PostgreSQL's file.
_FOREIGN = {"message.max.bytes", "min.insync.replicas", "pg_hba.conf"}
_NAME = re.compile(r"(?<![\w./-])([a-z][a-z_-]*(?:\.[a-z][a-z_-]*)+)(?![\w/*-])")


@functools.cache
def settings() -> set[str]:
    """As the README's tables have them."""
    return set(re.findall(r"^\| `([a-z-]+(?:\.[a-z-]+)+)` \|", (SOURCE / "README.md").read_text(), re.MULTILINE))


@functools.cache
def events() -> set[str]:
    texts = (path.read_text() for part in ("libs", "services") for path in (SOURCE / part).glob("*/src/**/*.cc"))
    return {event for text in texts for event in re.findall(r'"([a-z]+(?:\.[a-z_]+)+)"', text)}


def unknown(text: str) -> list[str]:
    """Names in a text that are neither; `rpc.tls` stands for all below it, `sasl.max-failures-…` for all that begin so."""
    known = settings() | events() | _FOREIGN
    beginnings = {name: name if name.endswith("-") else f"{name}." for name in _NAME.findall(text) if name not in known}
    return [name for name, beginning in beginnings.items() if not any(other.startswith(beginning) for other in settings())]
