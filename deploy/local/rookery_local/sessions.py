"""`sessions`: which session is where, as the session-managers keep it in Redis.

A hash for each shard, `rookery:sessions:{<shard>}`: full JID -> `<since in ms> <session-manager>
<gateway>`, the gateway `-` while the client is away and may resume; and a field `owner`."""

import json
import socket
import time

from rookery_local.errors import ClusterError
from rookery_local.layout import HOST, Name, Options

_PAGE = 1000


def read(options: Options, jid: str = "") -> list[dict]:
    """All of them, those of a bare JID, or the one of a full JID. By JID."""
    try:
        with _Redis(options.ports(Name("redis", 1))["redis"]) as redis:
            found = [entry for shard in range(options.partitions) for entry in _shard(redis, f"rookery:sessions:{{{shard}}}", jid)]
    except OSError as error:
        raise ClusterError(f"Redis does not answer ({error})") from error
    return sorted(found, key=lambda entry: entry["jid"])


def as_json(sessions: list[dict]) -> str:
    return json.dumps(sessions, indent=2)


def as_table(sessions: list[dict]) -> str:
    rows = [("JID", "GATEWAY", "SESSION-MANAGER", "SINCE")]
    for entry in sessions:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["since_ms"] / 1000))
        rows.append((entry["jid"], entry["gateway"] or "(away)", entry["session_manager"], since))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]) for row in rows)


def _shard(redis: "_Redis", key: str, jid: str) -> list[dict]:
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
    since, session_manager, gateway = value.split(" ")
    return {"jid": jid, "gateway": "" if gateway == "-" else gateway, "session_manager": session_manager, "since_ms": int(since)}


class _Redis:
    """One command at a time, in RESP2."""

    def __init__(self, port: int):
        self._socket = socket.create_connection((HOST, port), 5)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> "_Redis":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()
        self._socket.close()

    def command(self, *words: str):
        parts = [word.encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self._reply()

    def _reply(self):
        line = self._file.readline().decode().rstrip("\r\n")
        if not line:
            raise OSError("the connection was closed")
        kind, rest = line[0], line[1:]
        if kind == "-":
            raise ClusterError(f"Redis: {rest}")
        if kind == "$":
            return None if rest == "-1" else self._file.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == "*":
            return [self._reply() for _ in range(int(rest))]
        return rest
