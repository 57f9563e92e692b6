"""What is asked of Kafka as its administrator: who may do what. The few requests that this takes, by hand;
Kafka's own tools would each start a Java of their own."""

import socket
import struct
from dataclasses import dataclass

from rookery_local.errors import ClusterError

_SASL_HANDSHAKE, _SASL_AUTHENTICATE, _CREATE_ACLS = 17, 36, 30
# Kafka's numbers.
_RESOURCES = {"topic": 2, "group": 3}
_LITERAL = 3
_OPERATIONS = {"read": 3, "write": 4, "create": 5, "describe": 8, "describe-configs": 10}
_ALLOW = 3


@dataclass(frozen=True)
class Acl:
    """That `user` may do `operation` with the topic or group."""

    user: str
    operation: str
    resource: str
    name: str

    def encode(self) -> bytes:
        return (struct.pack(">b", _RESOURCES[self.resource]) + _string(self.name) + struct.pack(">b", _LITERAL)
                + _string(f"User:{self.user}") + _string("*")
                + struct.pack(">bb", _OPERATIONS[self.operation], _ALLOW))


class Admin:
    """A connection, signed in. OSError: the broker is away. ClusterError: it refuses."""

    def __init__(self, host: str, port: int, user: str, password: str, seconds: float = 30):
        self._socket = socket.create_connection((host, port), seconds)
        try:
            self._authenticate(user, password)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> "Admin":
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()

    def create(self, acls: list[Acl]) -> None:
        """One that is there already is left alone."""
        answer = self._ask(_CREATE_ACLS, 1, struct.pack(">i", len(acls)) + b"".join(acl.encode() for acl in acls))
        # The time by which we are throttled, and how many results there are.
        answer.take(">ii")
        for acl in acls:
            self._check(answer, f"the right of {acl.user} to {acl.operation} {acl.resource} {acl.name}")

    def _authenticate(self, user: str, password: str) -> None:
        if self._ask(_SASL_HANDSHAKE, 1, _string("PLAIN")).take(">h")[0] != 0:
            raise ClusterError("Kafka does not take passwords")
        data = f"\0{user}\0{password}".encode()
        self._check(self._ask(_SASL_AUTHENTICATE, 0, struct.pack(">i", len(data)) + data), "signing in")

    def _check(self, answer: "_Answer", what: str) -> None:
        code, text = answer.take(">h")[0], answer.string()
        if code != 0:
            raise ClusterError(f"Kafka refuses {what}: {text or f'error {code}'}")

    def _ask(self, key: int, version: int, body: bytes) -> "_Answer":
        message = struct.pack(">hhi", key, version, 1) + _string("rookery-local") + body
        self._socket.sendall(struct.pack(">i", len(message)) + message)
        (size,) = struct.unpack(">i", self._read(4))
        return _Answer(self._read(size)[4:])

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise OSError("Kafka has closed the connection")
            data += part
        return data


class _Answer:
    def __init__(self, data: bytes):
        self._data, self._at = data, 0

    def take(self, layout: str) -> tuple:
        values = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return values

    def string(self) -> str:
        size = max(0, self.take(">h")[0])
        text = self._data[self._at : self._at + size]
        self._at += size
        return text.decode(errors="replace")


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">h", len(data)) + data
