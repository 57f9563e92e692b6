"""`sessions`: which session is where, as the session-managers keep it in Redis.

A hash for each shard, `rookery:sessions:{<shard>}`: full JID -> `<since in ms> <session-manager>
<gateway> …`, the gateway `-` while the client is away and may resume; and a field `owner`."""

import json
import time
import unicodedata

from rookery_local import jid_hash
from rookery_local.errors import ClusterError, UsageError
from rookery_local.layout import Options
from rookery_local.paths import State
from rookery_local.redis import Connection

_PAGE = 1000


def address(text: str) -> str:
    """A user's JID, bare or full, as the servers write it but for PRECIS: localpart and domain in lower case."""
    bare, slash, resource = text.partition("/")
    local, at, domain = bare.partition("@")
    if not local or not domain or "@" in domain or (slash and not resource) or any(c.isspace() for c in bare):
        raise UsageError(f"{text!r} is not the address of a user, which is user@domain or user@domain/resource")
    return unicodedata.normalize("NFC", bare).lower() + slash + resource


def read(state: State, options: Options, log_key: str, jid: str = "") -> list[dict]:
    """All of them, those of a bare JID, or the one of a full JID. By JID, each with the hash that
    stands in the logs for its user under `log_key`."""
    try:
        with Connection(state, options) as redis:
            found = [entry for shard in range(options.partitions) for entry in _shard(redis, f"rookery:sessions:{{{shard}}}", jid)]
    except OSError as error:
        raise ClusterError(f"Redis does not answer ({error})") from error
    for entry in found:
        entry["hash"] = jid_hash.of(log_key, entry["jid"])
    return sorted(found, key=lambda entry: entry["jid"])


def as_json(sessions: list[dict]) -> str:
    return json.dumps(sessions, indent=2)


def as_table(sessions: list[dict]) -> str:
    rows = [("JID", "HASH", "GATEWAY", "SESSION-MANAGER", "SINCE")]
    for entry in sessions:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["since_ms"] / 1000))
        rows.append((entry["jid"], entry["hash"], entry["gateway"] or "(away)", entry["session_manager"], since))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]) for row in rows)


def _shard(redis: Connection, key: str, jid: str) -> list[dict]:
    if "/" in jid:
        value = redis.command("HGET", key, jid)
        return [_entry(jid, value)] if value else []
    pattern = "*/*" if not jid else "".join("\\" + c if c in "*?[]\\" else c for c in jid) + "/*"
    found, cursor = {}, "0"
    while True:
        # A page may repeat what an earlier one had.
        cursor, flat = redis.command("HSCAN", key, cursor, "MATCH", pattern, "COUNT", str(_PAGE))
        found.update(zip(flat[::2], flat[1::2]))
        if cursor == "0":
            return [_entry(name, value) for name, value in found.items()]


def _entry(jid: str, value: str) -> dict:
    since, session_manager, gateway, *_ = value.split(" ")
    return {"jid": jid, "gateway": "" if gateway == "-" else gateway, "session_manager": session_manager, "since_ms": int(since)}

