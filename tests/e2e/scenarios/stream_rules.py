"""What a gateway says on a stream and holds its clients to: RFC 6120 section 4, XEP-0115, 0198, RFC 6455."""

import asyncio
import base64
import ctypes
import hashlib
import socket
import struct
from pathlib import Path

from harness import ns
from harness.client import Client, connect
from harness.cluster import SHORT_TIMES, Cluster
from harness.extra_gateway import NAME, extra_gateway
from harness.people import account, befriend, leave, pair, person
from harness.runner import scenario
from harness.wait import until
from harness.websocket import encode
from harness.xml import name, text

CAPS = "http://jabber.org/protocol/caps"


@scenario
async def header_addresses(cluster: Cluster) -> None:
    opening = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' version='1.0' "
    for attributes, expected in (
        ("to='elsewhere.example'", "host-unknown"),
        ("", "improper-addressing"),
        ("to=''", "improper-addressing"),
        ("to='two words'", "improper-addressing"),
    ):
        connection = await connect(cluster.domain, cluster.address("gateway/1"))
        connection.write(f"{opening}{attributes}>")
        assert await connection.wait_error() == expected, attributes
        assert connection.header.get("from") == cluster.domain and connection.header.get("id")
        await connection.wait_closed()
    # Our `to` is the client's `from` (section 4.7.2).
    connection = await connect(cluster.domain, cluster.address("gateway/1"))
    connection.write(f"{opening}to='{cluster.domain}' from='Romeo@{cluster.domain}'>")
    await connection.features()
    assert connection.header.get("to") == f"romeo@{cluster.domain}", connection.header.attrib
    connection.abort()


def _verification(info) -> str:
    """XEP-0115 section 5.1, without forms."""
    identities = sorted(
        "/".join((e.get("category", ""), e.get("type", ""), e.get("{http://www.w3.org/XML/1998/namespace}lang", ""), e.get("name", "")))
        for e in info if name(e) == "identity"
    )
    features = sorted(e.get("var") for e in info if name(e) == "feature")
    return base64.b64encode(hashlib.sha1("".join(f"{part}<" for part in (*identities, *features)).encode()).digest()).decode()


@scenario
async def capabilities_of_the_server(cluster: Cluster) -> None:
    """A client that has seen them before need not ask (XEP-0115 section 6.3)."""
    for gateway in ("gateway/1", "gateway/2"):
        client = await person(cluster, "caps", gateway, available=False)
        found = [e for e in client.features if e.tag == f"{{{CAPS}}}c"]
        assert len(found) == 1 and found[0].get("hash") == "sha-1", text(client.features)
        node, version = found[0].get("node"), found[0].get("ver")
        for asked in ("", f" node='{node}#{version}'"):
            answer = await client.iq("get", f"<query xmlns='{ns.DISCO_INFO}'{asked}/>", client.domain)
            forms = [e for e in answer[0] if name(e) == "x"]
            assert forms or _verification(answer[0]) == version, text(answer)
        await client.close()


@scenario
async def enabled_says_how_long_a_session_waits(cluster: Cluster) -> None:
    client = await person(cluster, "patient")
    answer = await client.enable()
    wanted = SHORT_TIMES["ROOKERY_SESSION_MANAGER__SESSIONS__RESUME_TIMEOUT"].removesuffix("s")
    assert answer.get("max") == wanted, text(answer)
    await client.close()


@scenario
async def a_message_in_too_many_fragments(cluster: Cluster) -> None:
    user = await account(cluster, "fragments")
    client = await Client(cluster.domain, user.user).login(cluster.address("gateway/1", "websocket"), "ws")
    body = "joined"
    client.connection.transport.write(
        encode(1, f"<message xmlns='{ns.CLIENT}' to='{client.jid}'>".encode(), final=False) + encode(9, b"ping")
        + b"".join(encode(0, bytes([c]), final=False) for c in f"<body>{body}</body>".encode()) + encode(0, b"</message>")
    )
    await client.expect_message(body)
    client.connection.transport.write(encode(1, b"<message", final=False) + encode(0, b"", final=False) * 5000)
    await client.connection.wait_closed()
    assert client.connection.websocket.close_code == 1008, client.connection.websocket.close_code


def vanish(client: Client) -> bool:
    """From now on the client's kernel throws away whatever comes, and so acknowledges nothing:
    as if the network were gone. False: this kernel lets only root do that."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET 0
    program = struct.pack("HP", 1, ctypes.addressof(drop_all))
    attach_filter = 26  # SO_ATTACH_FILTER
    try:
        client.connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, attach_filter, program)
    except PermissionError:
        return False
    return True


def keepalive_due(client: Client) -> float | None:
    """Seconds until the gateway's kernel probes the client, as it says itself; None: never."""
    fields = gateway_socket(client)
    kind, _, when = fields[5].partition(":") if fields else ("", "", "")
    return int(when, 16) / 100 if kind == "02" else None


def unanswered(client: Client) -> int:
    """How often the gateway's kernel has probed the client, or sent it something once more, without an answer."""
    fields = gateway_socket(client)
    return int(fields[6], 16) + int(fields[8]) if fields else 0


def gateway_socket(client: Client) -> list[str] | None:
    """The gateway's end of the connection as its kernel describes it."""
    here = client.connection.transport.get_extra_info("sockname")[1]
    there = client.connection.transport.get_extra_info("peername")[1]
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if tuple(int(address.rpartition(":")[2], 16) for address in fields[1:3]) == (there, here):
                return fields
    return None


async def probed(client: Client, times: int) -> None:
    """Until the gateway's kernel has probed the silent client so often: an answer puts off the next one."""
    due = await until(lambda: keepalive_due(client), "the kernel's keepalive timer", 10, every=0.1)
    for _ in range(times):
        def put_off() -> bool:
            nonlocal due
            before, due = due, keepalive_due(client)
            assert due is not None, "the connection is gone"
            return due > before
        await until(put_off, "an answered probe", 15, every=0.1)


@scenario(seconds=120)
async def a_client_that_vanishes(cluster: Cluster) -> None:
    """No FIN, no reset, no stream management: the kernel's probes find out, whether the client
    was idle or was being written to."""
    async with extra_gateway(cluster, LISTENERS__KEEPALIVE_IDLE="3s", LISTENERS__KEEPALIVE_INTERVAL="1s", LISTENERS__KEEPALIVE_PROBES="2"):
        for idle in (True, False):
            ann, bob = await pair(cluster)
            await befriend(ann, bob)
            gone = Client(cluster.domain, ann.user)
            await gone.login(cluster.address(NAME))
            await gone.available()
            await bob.expect_presence(gone.jid)
            if not vanish(gone):
                # What was written last has been acknowledged by then.
                due = await until(lambda: keepalive_due(gone), "the kernel's keepalive timer", 10, every=0.1)
                assert due <= 3, f"the next probe is due in {due} s"
                await leave(ann, bob, gone)
                continue
            if not idle:
                bob.message(gone.jid, "nobody is there")
            await until(lambda: unanswered(gone), "the gateway's kernel tries in vain", 10)
            assert not bob.has(lambda s: s.get("from") == gone.jid and s.get("type") == "unavailable"), "given up before it was tried"
            await bob.expect_presence(gone.jid, "unavailable", 15)
            gone.abort()
            # Who is only silent stays.
            await ann.sync()
            await leave(ann, bob)
        quiet = Client(cluster.domain, ann.user)
        await quiet.login(cluster.address(NAME))
        await probed(quiet, times=2)
        await quiet.sync()
        await quiet.close()
