"""Between our own services: mutual TLS, and who may call whom. Last, the whole cluster with TLS required of clients."""

import asyncio
import contextlib
import socket
import ssl
import time

from harness import rpc
from harness.client import Client, Disconnected
from harness.cluster import Cluster
from harness.people import leave, unique
from harness.runner import scenario
from harness.sasl import SaslFailure

_SERVICES = ("gateway", "session-manager", "roster", "muc", "search")
# Server, a method of its, and who has business with it.
_SERVERS = (
    ("session-manager", "/rookery.session.v1.SessionLinkService/Link", "gateway"),
    ("roster", "/rookery.roster.v1.RosterService/GetRoster", "session-manager"),
    # It has no methods but those of its health, which anybody of ours may ask: who may call at all is told that.
    ("muc", "/rookery.disco.v1.DiscoService/GetDiscoInfo", "session-manager"),
    ("search", "/rookery.disco.v1.DiscoService/GetDiscoInfo", "session-manager"),
)


@scenario
async def each_service_lets_in_those_who_have_business_with_it(cluster: Cluster) -> None:
    for server, method, friend in _SERVERS:
        address = cluster.address(f"{server}/1", "rpc")
        for caller in _SERVICES:
            answer = await rpc.call(address, server, method, rpc.context(cluster.service_certificates, caller))
            assert b"grpc-status" in answer, f"{server} does not answer {caller}: {answer!r}"
            refused = b"has no business here" in answer
            assert refused == (caller != friend), f"{server} answers {caller} with {answer!r}"


@scenario
async def without_a_certificate_of_ours_nobody_is_let_in(cluster: Cluster) -> None:
    for server, method, friend in _SERVERS:
        address = cluster.address(f"{server}/1", "rpc")
        nobody = rpc.context(cluster.service_certificates, None)
        # One that clients trust, too, but not for this.
        client_facing = rpc.context(cluster.service_certificates, None)
        client_facing.load_cert_chain(cluster.state / "certificates" / "server.pem", cluster.state / "certificates" / "server.key")
        for context in (nobody, client_facing):
            try:
                answer = await rpc.call(address, server, method, context)
            except (ssl.SSLError, ConnectionError):
                continue
            assert not answer, f"{server} answers a stranger with {answer!r}"
        # Nor does its certificate say that it is another.
        for other in _SERVICES:
            try:
                await rpc.call(address, other, method, rpc.context(cluster.service_certificates, friend))
                assert other == server, f"{server} says that it is {other}"
            except ssl.SSLCertVerificationError:
                assert other != server


@scenario
async def a_gateway_tells_nothing_to_whoever_is_not_a_session_manager(cluster: Cluster) -> None:
    """Whatever is said in Redis: here, that a stranger in the clear is one, and somebody with a roster's certificate."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        member = f"session-manager-impostor 127.0.0.1:{listener.getsockname()[1]}"
        try:
            for meet in (_listen, lambda caller: _shake_hands(caller, rpc.server_context(cluster.service_certificates, "roster"))):
                for _ in cluster.instances("gateway"):
                    until_ms = str(int((time.time() + 60) * 1000))
                    await cluster.redis("ZADD", "rookery:instances:session-manager", until_ms, member)
                    caller, _ = await loop.run_in_executor(None, listener.accept)
                    with caller:
                        await loop.run_in_executor(None, meet, caller)
        finally:
            await cluster.redis("ZREM", "rookery:instances:session-manager", member)


def _listen(caller: socket.socket) -> None:
    caller.settimeout(1)
    heard = b""
    with contextlib.suppress(TimeoutError):
        while data := caller.recv(4096):
            heard += data
    # The beginning of a TLS handshake, and nothing of HTTP/2.
    assert heard[:1] == b"\x16" and b"PRI" not in heard, heard


def _shake_hands(caller: socket.socket, context: ssl.SSLContext) -> None:
    caller.settimeout(10)
    heard = b""
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        with context.wrap_socket(caller, server_side=True) as secure:
            # gRPC looks at the name when the handshake is over, and leaves.
            heard = secure.recv(4096)
    assert not heard, f"a roster is taken for a session-manager, and told {heard!r}"


@scenario(seconds=180)
async def everything_encrypted(cluster: Cluster) -> None:
    await cluster.down()
    try:
        await cluster.command("up", "--no-build", "--tls=required")
        await cluster.refresh()
        await cluster.all_owned()
        people = []
        for gateway, mode, listener in (("gateway/1", "starttls", "xmpp"), ("gateway/2", "wss", "websocket-tls")):
            client = Client(cluster.domain, unique("sealed"))
            await client.open(cluster.address(gateway, listener), mode, cluster.fresh_context())
            await client.register()
            await client.authenticate()
            await client.bind()
            await client.available()
            people.append(client)
        ann, bob = people
        ann.message(bob.bare, "sealed")
        await bob.expect_message("sealed")
        await leave(ann, bob)
        # Before TLS nothing but STARTTLS is to be had.
        client = await Client(cluster.domain, ann.user).open(cluster.address("gateway/1"))
        assert len(client.features) == 1 and client.features[0].find("{urn:ietf:params:xml:ns:xmpp-tls}required") is not None
        try:
            await client.authenticate("PLAIN")
            raise AssertionError("a password was taken in the clear")
        except (SaslFailure, Disconnected):
            pass
        client.abort()
    finally:
        await cluster.down()
        await cluster.command("up", "--no-build", "--tls=optional")
        await cluster.refresh()
        await cluster.all_owned()
