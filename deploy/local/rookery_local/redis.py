"""A Redis that keeps nothing: what is in it can be rebuilt."""

import socket

from rookery_local import processes
from rookery_local.errors import ClusterError
from rookery_local.layout import HOST, Name, Options
from rookery_local.paths import State

NAME = Name("redis", 1)


def start(state: State, options: Options) -> None:
    directory = state.data / "redis"
    processes.start(
        state,
        NAME,
        ["redis-server", "--bind", HOST, "--port", str(options.ports(NAME)["redis"]), "--dir", str(directory),
         "--save", "", "--appendonly", "no", "--daemonize", "no"],
    )


class Connection:
    """One command at a time, in RESP2. OSError: Redis is away."""

    def __init__(self, options: Options, seconds: float = 5):
        self._socket = socket.create_connection((HOST, options.ports(NAME)["redis"]), seconds)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> "Connection":
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
