"""Between our own services: mutual TLS, and who may call whom. Last, the whole cluster with TLS required of clients, and
TLS to Kafka."""

import asyncio
import contextlib
import os
import re
import socket
import ssl
import subprocess
import time
from pathlib import Path

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


_REDIS, _KAFKA, _PG = ("REDIS__ADDRESSES", "127.0.0.1:1"), ("KAFKA__BROKERS", "127.0.0.1:1"), ("PG__CONNECTION", "host=127.0.0.1 port=1")
# So that one that starts all the same meets nobody.
_NOWHERE = {"session-manager": (_REDIS, _KAFKA, _PG), "roster": (_REDIS, _PG), "muc": (_REDIS, _KAFKA, _PG), "search": (_REDIS, _KAFKA)}
# The exit status of wrong settings.
_WRONG_SETTINGS = 78


async def _run(cluster: Cluster, service: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess:
    """The program that is the service, with these settings and no others."""
    program = os.readlink(f"/proc/{cluster.process(f'{service}/1')['pid']}/exe")
    prefix = f"ROOKERY_{service.upper().replace('-', '_')}__"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ROOKERY_")}
    environment |= {prefix + key: value for key, value in (*_NOWHERE.get(service, ()), *settings.items())}
    return await asyncio.get_running_loop().run_in_executor(None, lambda: subprocess.run(
        [program, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20))


@scenario
async def beyond_this_machine_no_service_listens_without_tls_unless_told_so(cluster: Cluster) -> None:
    """Each service's own program."""
    for service, _, _ in _SERVERS:
        own = cluster.service_certificates
        tls = {"RPC__TLS__CA_FILE": str(own / "ca.pem"), "RPC__TLS__CERTIFICATE_FILE": str(own / f"{service}.pem"),
               "RPC__TLS__KEY_FILE": str(own / f"{service}.key")}
        for address in ("0.0.0.0:0", "[::]:0"):
            for settings, missing in (
                ({}, "rpc.insecure"),
                ({"RPC__INSECURE": "false"}, "rpc.insecure"),
                # That it trusts somebody does not make others prove who they are.
                ({"RPC__TLS__CA_FILE": tls["RPC__TLS__CA_FILE"]}, "rpc.tls.certificate-file"),
            ):
                ended = await _run(cluster, service, RPC__ADDRESS=address, **settings)
                assert ended.returncode == _WRONG_SETTINGS and missing in ended.stderr, f"{service} at {address} with {settings}: {ended}"
                assert "rpc.listening" not in ended.stdout and "admin.listening" not in ended.stdout, ended.stdout
            for settings in ({"RPC__INSECURE": "true"}, tls):
                checked = await _run(cluster, service, "--check-config", RPC__ADDRESS=address, **settings)
                assert checked.returncode == 0, f"{service} at {address} with {settings}: {checked}"


@scenario
async def unless_told_so_a_service_listens_on_loopback_only(cluster: Cluster) -> None:
    """Also where it is asked for metrics and its health, which may be open: it tells no secrets there."""
    for service in _SERVICES:
        reference = (await _run(cluster, service, "--config-reference")).stdout
        defaults = dict(re.findall(r"^\| `((?:admin|rpc)\.address)` \| `([^`]*)` \|", reference, re.MULTILINE))
        expected = {"admin.address": "127.0.0.1:0"} | ({} if service == "gateway" else {"rpc.address": "127.0.0.1:0"})
        assert defaults == expected, f"{service}: {defaults}"
        # Clients' doors are none by default.
        doors = dict(re.findall(r"^\| `(listeners\.[a-z-]+\.address)` \| (\S*) ?\|", reference, re.MULTILINE))
        assert len(doors) == (4 if service == "gateway" else 0) and not any(doors.values()), f"{service}: {doors}"
        if service != "gateway":
            checked = await _run(cluster, service, "--check-config", ADMIN__ADDRESS="0.0.0.0:0")
            assert checked.returncode == 0, f"{service}: {checked}"


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


_KAFKA_SETTINGS = """\
listeners=CLIENTS://{clients},CONTROLLER://{controller},SERVICES://127.0.0.1:{port}
advertised.listeners=CLIENTS://{clients},SERVICES://127.0.0.1:{port}
listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT,SERVICES:SASL_SSL
listener.name.services.plain.sasl.jaas.config={logins}
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
"""


@contextlib.contextmanager
def _kafka_by_tls(cluster: Cluster):
    """The services speak to Kafka by a listener with TLS, as soon as both are started anew. Gives its port."""
    certificates, settings = cluster.state / "certificates", cluster.state / "settings"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    keystore = certificates / "kafka.pem"
    keystore.write_text((certificates / "server.key").read_text() + (certificates / "server.pem").read_text())
    keystore.chmod(0o600)
    generated = dict(
        line.partition("=")[::2] for line in (cluster.state / "config" / "kafka.properties").read_text().replace("\\\n", "").splitlines()
        if "=" in line and not line.startswith("#")
    )
    clients, controller = (url.partition("://")[2] for url in generated["listeners"].split(","))
    body = _KAFKA_SETTINGS.format(clients=clients, controller=controller, port=port, keystore=keystore,
                                  logins=generated["listener.name.clients.plain.sasl.jaas.config"])
    service = f"kafka:\n  brokers: [\"127.0.0.1:{port}\"]\n  tls: true\n  ca-file: \"{certificates / 'ca.pem'}\"\n"
    files = {"kafka.properties": body, **{f"{name}.yaml": service for name in ("session-manager", "muc", "search")}}
    for name, text in files.items():
        (settings / name).touch(mode=0o600)
        (settings / name).write_text(text)
    try:
        yield port
    finally:
        for name in files:
            (settings / name).unlink()


def _connections_to(port: int) -> int:
    """Those that are established, seen from the side that has called."""
    address = f"0100007F:{port:04X}"
    return sum(line.split()[2:4] == [address, "01"] for line in Path("/proc/net/tcp").read_text().splitlines())


@scenario(seconds=180)
async def everything_encrypted(cluster: Cluster) -> None:
    await cluster.down()
    try:
        with _kafka_by_tls(cluster) as kafka_port:
            await _people_talk(cluster, kafka_port)
    finally:
        await cluster.down()
        await cluster.command("up", "--no-build", "--tls=optional")
        await cluster.refresh()
        await cluster.all_owned()


async def _people_talk(cluster: Cluster, kafka_port: int) -> None:
    await cluster.command("up", "--no-build", "--tls=required")
    await cluster.refresh()
    await cluster.all_owned()
    # A consumer and a producer of each of two session-managers and two mucs, at the least.
    assert _connections_to(kafka_port) >= 8, "nobody speaks to Kafka by TLS"
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
