"""A Redis that keeps nothing: what is in it can be rebuilt."""

import hashlib
import socket
from pathlib import Path

from rookery_local import processes, secret_files
from rookery_local.errors import ClusterError
from rookery_local.layout import HOST, Name, Options
from rookery_local.paths import State

NAME = Name("redis", 1)
# Of those who look after the cluster: its own tools, and the tests.
ADMIN = "admin"

# What libs/routing does: an instance says that it is there, sees the others, and says which shards it owns.
_SEE = "+time +zrange +eval_ro +evalsha_ro"
_ANNOUNCE = f"{_SEE} +eval +evalsha +zadd +zrem +zremrangebyscore ~rookery:instances:{{service}}"
_OWN_SHARDS = f"{_ANNOUNCE} +hget +hset +hgetall ~rookery:shards:{{service}}"

# Everything that a service does in Redis, and nothing else.
_RIGHTS = {
    "gateway": f"{_ANNOUNCE} %R~rookery:instances:session-manager "
               "+incr +decr +pexpire +pttl ~rookery:sign-in-failures:* "
               "+hset +hget +ttl +expire ~rookery:known-networks:*",
    "session-manager": f"{_OWN_SHARDS} %R~rookery:instances:gateway %R~rookery:instances:roster "
                       "%R~rookery:instances:muc %R~rookery:shards:search "
                       "+hdel +unlink +pexpire ~rookery:sessions:*",
    "roster": _ANNOUNCE,
    "muc": _OWN_SHARDS,
    "search": _OWN_SHARDS,
}


def password_file(state: State, user: str) -> Path:
    return secret_files.path(state, f"redis-{user}")


def start(state: State, options: Options) -> None:
    directory = state.data / "redis"
    users = state.config / "redis-users.acl"
    users.touch(mode=0o600)
    users.write_text(_users(state))
    processes.start(
        state,
        NAME,
        ["redis-server", "--bind", HOST, "--port", str(options.ports(NAME)["redis"]), "--dir", str(directory),
         "--save", "", "--appendonly", "no", "--daemonize", "no", "--aclfile", str(users)],
    )


def _users(state: State) -> str:
    """An ACL file. It has hashes of the passwords, which are random: nobody finds them from these."""
    lines = ["user default off"]
    for user, rights in {**_RIGHTS, ADMIN: "~* &* +@all"}.items():
        digest = hashlib.sha256(secret_files.read(state, f"redis-{user}").encode()).hexdigest()
        lines.append(f"user {user} on #{digest} resetchannels {rights.format(service=user)}")
    return "\n".join(lines) + "\n"


class Connection:
    """One command at a time, in RESP2. OSError: Redis is away."""

    def __init__(self, state: State, options: Options, seconds: float = 5):
        self._socket = socket.create_connection((HOST, options.ports(NAME)["redis"]), seconds)
        self._file = self._socket.makefile("rb")
        self.command("AUTH", ADMIN, secret_files.read(state, f"redis-{ADMIN}"))

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
