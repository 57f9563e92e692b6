"""A network between processes of one machine that can be cut, slowed and delayed.

Each server that takes part (a backend, or the RPC port of one of our processes) is reached through
a port of its own here. Who connects is found out by the process that holds the other end of the
socket, so a fault concerns one client and one server: a link. A link that is cut keeps its
connections open and silent, as a network does that drops packets; what was sent meanwhile arrives
when it heals. What it holds is bounded: then the sender's own socket fills. Delay and slowness are
the only waiting by the clock: they are the fault itself."""

import asyncio
import fnmatch
import json
import os
import socket
import struct
import time
from pathlib import Path
from typing import Callable

Address = tuple[str, int]

_CHUNK = 64 * 1024
# On the way in one direction of a connection.
_MOST_CHUNKS = 16


class Link:
    """Between one client and one server, all connections of theirs. Every fault lasts until `heal`."""

    def __init__(self, client: str, server: str):
        self.client, self.server = client, server
        self.to_server, self.to_client = _Direction(), _Direction()
        self.connections: set["_Connection"] = set()

    def __str__(self) -> str:
        return f"{self.client} - {self.server}"

    def cut(self) -> None:
        self.cut_to_server()
        self.cut_to_client()

    def cut_to_server(self) -> None:
        self.to_server.open.clear()

    def cut_to_client(self) -> None:
        self.to_client.open.clear()

    def delay(self, seconds: float) -> None:
        self.to_server.delay = self.to_client.delay = seconds

    def slow(self, bytes_per_second: float) -> None:
        self.to_server.rate = self.to_client.rate = bytes_per_second

    def reset(self) -> None:
        """Ends every connection, as a router does that has forgotten them."""
        for connection in list(self.connections):
            connection.abort()

    def heal(self) -> None:
        for direction in (self.to_server, self.to_client):
            direction.delay = direction.rate = 0.0
            direction.open.set()


class _Direction:
    def __init__(self):
        self.open = asyncio.Event()
        self.open.set()
        self.delay = 0.0
        self.rate = 0.0


class Relay:
    """Owns its listeners and connections. `who` names the process that has connected, by both ends of its socket."""

    def __init__(self, who: Callable[[Address, Address], str]):
        self._who = who
        self._links: dict[tuple[str, str], Link] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task] = set()

    async def listen(self, server: str, port: int, upstream: str) -> int:
        """Takes connections for `server`, which listens at `upstream`. Gives the port, of which 0 is any."""
        host, _, upstream_port = upstream.rpartition(":")

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            link = self.link(self._who(writer.get_extra_info("peername"), writer.get_extra_info("sockname")), server)
            task = asyncio.ensure_future(_Connection(link, reader, writer).run(host, int(upstream_port)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        listener = await asyncio.start_server(accept, "127.0.0.1", port, limit=_CHUNK)
        self._servers.append(listener)
        return listener.sockets[0].getsockname()[1]

    def link(self, client: str, server: str) -> Link:
        return self._links.setdefault((client, server), Link(client, server))

    def links(self, client: str = "*", server: str = "*") -> list[Link]:
        """Those that there have been, by patterns: `links("gateway/*", "session-manager/1")`."""
        return [link for link in self._links.values()
                if fnmatch.fnmatch(link.client, client) and fnmatch.fnmatch(link.server, server)]

    def heal(self) -> None:
        for link in self._links.values():
            link.heal()

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for link in self._links.values():
            link.reset()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Connection:
    def __init__(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._link = link
        self._reader, self._writer = reader, writer
        self._server_writer: asyncio.StreamWriter | None = None

    async def run(self, host: str, port: int) -> None:
        self._link.connections.add(self)
        try:
            # A connection is made through the network, too.
            await self._link.to_server.open.wait()
            await self._link.to_client.open.wait()
            server_reader, self._server_writer = await asyncio.open_connection(host, port, limit=_CHUNK)
            await _all(_pump(self._reader, self._server_writer, self._link.to_server),
                       _pump(server_reader, self._writer, self._link.to_client))
        except OSError:
            self.abort()
        finally:
            self._link.connections.discard(self)
            for writer in (self._writer, self._server_writer):
                if writer is not None:
                    writer.close()

    def abort(self) -> None:
        for writer in (self._writer, self._server_writer):
            if writer is not None:
                _make_reset(writer)
                writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: _Direction) -> None:
    """Until the end of the stream, which travels as the bytes do. OSError: the connection broke."""
    on_the_way: asyncio.Queue = asyncio.Queue(_MOST_CHUNKS)

    async def take() -> None:
        while True:
            data = await reader.read(_CHUNK)
            await on_the_way.put((time.monotonic(), data))
            if not data:
                return

    async def give() -> None:
        while True:
            arrived, data = await on_the_way.get()
            if direction.delay:
                await asyncio.sleep(arrived + direction.delay - time.monotonic())
            if direction.rate:
                await asyncio.sleep(len(data) / direction.rate)
            await direction.open.wait()
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    await _all(take(), give())


async def _all(*work) -> None:
    """Until all are done; when one fails, the others end with it."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _make_reset(writer: asyncio.StreamWriter) -> None:
    """The close that follows sends RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Processes:
    """Which of a local cluster's processes holds a port: by the pids in its state, and /proc."""

    def __init__(self, state: Path):
        self._run = state / "run"

    def __call__(self, local: Address, remote: Address) -> str:
        inode = _inode(local, remote)
        if inode:
            for path in self._run.glob("*.json"):
                try:
                    if _holds(json.loads(path.read_text())["pid"], inode):
                        service, _, instance = path.stem.rpartition("-")
                        return f"{service}/{instance}"
                except (OSError, ValueError, KeyError):
                    continue
        return "elsewhere/1"


# linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20


def _inode(local: Address, remote: Address) -> str:
    """Of a connected socket, by its ends. The kernel is asked for this one: /proc/net/tcp has all of the machine, and reading
    it for each connection would stop the relay where there are thousands."""
    ends = struct.pack(">HH", local[1], remote[1]) + b"".join(socket.inet_aton(end[0]) + bytes(12) for end in (local, remote))
    any_interface, any_cookie, all_states = 0, 0xFFFFFFFF, 0xFFFFFFFF
    request = struct.pack("BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, all_states) + ends
    request += struct.pack("III", any_interface, any_cookie, any_cookie)
    is_request, header_size, inode_at = 1, 16, 68
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(struct.pack("IHHII", header_size + len(request), _SOCK_DIAG_BY_FAMILY, is_request, 0, 0) + request)
        answer = kernel.recv(4096)
    if struct.unpack_from("H", answer, 4)[0] != _SOCK_DIAG_BY_FAMILY:  # an error: it is closed
        return ""
    return str(struct.unpack_from("I", answer, header_size + inode_at)[0])


def _holds(pid: int, inode: str) -> bool:
    wanted = f"socket:[{inode}]"
    with os.scandir(f"/proc/{pid}/fd") as descriptors:
        for entry in descriptors:
            try:
                if os.readlink(entry.path) == wanted:
                    return True
            except OSError:
                continue
    return False
