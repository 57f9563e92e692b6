"""Whether a process serves."""

import http.client
import os
import socket
import struct
import subprocess

from rookery_local.layout import HOST, Name, Options

POSTGRESQL_BIN = "/usr/lib/postgresql/15/bin"


def not_ready_reason(options: Options, name: Name, seconds: float = 2.0) -> str:
    """Empty when ready."""
    ports = options.ports(name)
    try:
        if name.service == "postgresql":
            return _postgresql(ports["postgresql"], seconds)
        if name.service == "redis":
            return _redis(ports["redis"], seconds)
        if name.service == "kafka":
            return _kafka(ports["kafka"], seconds)
        return _service(ports["admin"], seconds)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({error})"


def _service(port: int, seconds: float) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(4096).decode(errors="replace").strip()
        return "" if answer.status == 200 else (body or f"status {answer.status}")
    finally:
        connection.close()


def _postgresql(port: int, seconds: float) -> str:
    answer = subprocess.run(
        [f"{POSTGRESQL_BIN}/pg_isready", "-q", "-h", HOST, "-p", str(port), "-t", str(int(seconds) or 1)],
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
    )
    return "" if answer.returncode == 0 else "does not accept connections"


def _redis(port: int, seconds: float) -> str:
    with socket.create_connection((HOST, port), seconds) as connection:
        connection.sendall(b"PING\r\n")
        answer = connection.recv(64)
    # Whoever shows no password is told that it is needed: there, too, is a Redis that works.
    return "" if answer.startswith((b"+PONG", b"-NOAUTH")) else answer.decode(errors="replace").strip()


def _kafka(port: int, seconds: float) -> str:
    # ApiVersions, version 0: what every client asks first.
    request = struct.pack(">hhih", 18, 0, 1, -1)
    with socket.create_connection((HOST, port), seconds) as connection:
        connection.settimeout(seconds)
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.recv(16)
    if len(answer) < 10:
        return "closes connections"
    return "" if struct.unpack(">h", answer[8:10])[0] == 0 else "refuses ApiVersions"
