"""RFC 6120 streams over TCP, STARTTLS, direct TLS (XEP-0368), WebSocket (RFC 7395); XEP-0156."""

import asyncio
import json
import ssl
import urllib.error
import urllib.request

from harness import ns
from harness.client import Client, connect
from harness.cluster import Cluster
from harness.people import account, leave
from harness.runner import scenario
from harness.wait import until
from harness.xml import child, text


@scenario
async def every_transport_signs_in(cluster: Cluster) -> None:
    user = await account(cluster, "transport")
    for mode, listener in (("plain", "xmpp"), ("starttls", "xmpp"), ("tls", "xmpp-tls"), ("ws", "websocket"), ("wss", "websocket-tls")):
        for gateway in ("gateway/1", "gateway/2"):
            client = Client(cluster.domain, user.user)
            context = cluster.fresh_context() if mode != "plain" else None
            await client.login(cluster.address(gateway, listener), mode, context)
            assert client.jid.startswith(user.bare + "/"), client.jid
            await client.available()
            client.message(client.jid, f"note by {mode}")
            await client.expect_message(f"note by {mode}")
            await client.close()


@scenario
async def tls_versions(cluster: Cluster) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = cluster.fresh_context()
        context.minimum_version = context.maximum_version = version
        connection = await connect(cluster.domain, cluster.address("gateway/1", "xmpp-tls"), "tls", context)
        used = connection.transport.get_extra_info("ssl_object")
        assert used.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version], used.version()
        assert used.selected_alpn_protocol() == "xmpp-client", used.selected_alpn_protocol()
        connection.abort()
    context = cluster.fresh_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    try:
        await connect(cluster.domain, cluster.address("gateway/1", "xmpp-tls"), "tls", context)
        raise AssertionError("TLS 1.1 was accepted")
    except (ssl.SSLError, OSError):
        pass


@scenario
async def foreign_alpn_is_refused(cluster: Cluster) -> None:
    try:
        connection = await connect(cluster.domain, cluster.address("gateway/1", "xmpp-tls"), "tls", cluster.fresh_context(), alpn="h2")
        connection.open_stream()
        await connection.wait_closed(5)
        assert connection.header is None, "a stream was opened on an HTTP/2 connection"
    except (ssl.SSLError, OSError):
        pass


@scenario
async def features_before_and_after_tls(cluster: Cluster) -> None:
    user = await account(cluster, "features")
    client = Client(cluster.domain, user.user)
    await client.open(cluster.address("gateway/1"))
    assert child(client.features, ns.TLS, "starttls") is not None, text(client.features)
    first_id = client.connection.header.get("id")
    client.connection.abort()
    client = Client(cluster.domain, user.user)
    await client.open(cluster.address("gateway/1"), "starttls", cluster.fresh_context())
    assert child(client.features, ns.TLS, "starttls") is None, "STARTTLS is offered on TLS"
    assert client.mechanisms(), text(client.features)
    assert child(client.features, ns.REGISTER_FEATURE, "register") is not None, text(client.features)
    assert client.connection.header.get("id") != first_id, "two streams have one id"
    assert client.connection.header.get("from") == cluster.domain
    await client.authenticate()
    names = {(c.tag) for c in client.features}
    for feature in (f"{{{ns.BIND}}}bind", f"{{{ns.SM}}}sm", "{urn:xmpp:features:rosterver}ver", "{urn:xmpp:features:pre-approval}sub"):
        assert feature in names, f"no {feature} in {names}"
    assert f"{{{ns.SASL}}}mechanisms" not in names, "SASL is offered after authentication"
    limits = child(client.features, ns.LIMITS, "limits")
    assert limits is not None and int(limits.findtext(f"{{{ns.LIMITS}}}max-bytes")) >= 10_000, text(client.features)
    client.abort()


@scenario
async def commands_before_tls_are_forgotten(cluster: Cluster) -> None:
    """What came in plain text behind <starttls/> must not be taken for what came over TLS."""
    connection = await connect(cluster.domain, cluster.address("gateway/1"))
    connection.open_stream()
    await connection.features()
    connection.write(
        f"<starttls xmlns='{ns.TLS}'/><?xml version='1.0'?><stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' "
        f"to='{cluster.domain}' version='1.0'><auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGV2aWwAZXZpbA==</auth>"
    )
    answer = await connection.next()
    if answer.tag == f"{{{ns.TLS}}}failure":
        # Refusing such a client altogether is as good.
        await connection.wait_closed()
        return
    await connection.start_tls(cluster.fresh_context())
    connection.open_stream()
    features = await connection.features()
    assert child(features, ns.SASL, "mechanisms") is not None, text(features)
    # Answers keep the order of the commands.
    connection.write(f"<auth xmlns='{ns.SASL}' mechanism='NO-SUCH'>AAAA</auth>")
    answer = await connection.next()
    assert child(answer, ns.SASL, "invalid-mechanism") is not None, f"the injected command was answered: {text(answer)}"
    connection.abort()


@scenario
async def stream_header_errors(cluster: Cluster) -> None:
    async def condition(header: str) -> tuple[str, bool]:
        connection = await connect(cluster.domain, cluster.address("gateway/1"))
        connection.write(header)
        found = await connection.wait_error()
        own_header = connection.header is not None
        await connection.wait_closed()
        return found, own_header

    opening = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='%s' version='1.0'>"
    assert await condition(opening % "elsewhere.example") == ("host-unknown", True)
    assert (await condition(f"<stream:stream xmlns='jabber:wrong' xmlns:stream='{ns.STREAMS}' to='{cluster.domain}' version='1.0'>"))[0] == "invalid-namespace"
    assert (await condition(f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='urn:wrong' to='{cluster.domain}' version='1.0'>"))[0] == "invalid-namespace"
    assert (await condition(f"<stream:other xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='{cluster.domain}' version='1.0'>"))[0] in ("bad-format", "invalid-namespace", "not-well-formed", "unsupported-stanza-type")
    # A client of a later version gets ours (RFC 6120 section 4.7.5).
    connection = await connect(cluster.domain, cluster.address("gateway/1"))
    connection.open_stream(version="2.0")
    await connection.features()
    assert connection.header.get("version") == "1.0"
    connection.abort()


@scenario
async def closing_handshake(cluster: Cluster) -> None:
    user = await account(cluster, "closing")
    for mode, listener in (("plain", "xmpp"), ("ws", "websocket")):
        client = await Client(cluster.domain, user.user).login(cluster.address("gateway/1", listener), mode)
        client.connection.end_stream()
        await client.connection.wait_stream_end()
        assert client.connection.error is None and client.connection.stream_ended
        # The server ends the connection too, without waiting for ours.
        await client.connection.wait_closed()


@scenario
async def same_resource_replaces(cluster: Cluster) -> None:
    user = await account(cluster, "replaced")
    first = await Client(cluster.domain, user.user, resource="same").login(cluster.address("gateway/1"))
    second = Client(cluster.domain, user.user, resource="same")
    await second.login(cluster.address("gateway/2"))
    if second.jid == first.jid:
        assert await first.connection.wait_error() == "conflict"
    else:
        # RFC 6120 section 7.7.2.2 allows another resource too, but both must be alive then.
        await first.sync()
    await second.sync()
    await leave(first, second)


@scenario
async def websocket_needs_its_subprotocol(cluster: Cluster) -> None:
    host, _, port = cluster.address("gateway/1", "websocket").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /xmpp-websocket HTTP/1.1\r\nHost: {cluster.domain}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n".encode()
    )
    status = await asyncio.wait_for(reader.readline(), 10)
    assert b" 101 " not in status, f"a foreign sub-protocol was accepted: {status}"
    writer.close()


@scenario
async def websocket_stream_errors(cluster: Cluster) -> None:
    connection = await connect(cluster.domain, cluster.address("gateway/1", "websocket"), "ws")
    connection.open_stream("elsewhere.example")
    assert await connection.wait_error() == "host-unknown"
    connection = await connect(cluster.domain, cluster.address("gateway/1", "websocket"), "ws")
    connection.write(f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='{cluster.domain}' version='1.0'>")
    await connection.wait_closed()


@scenario
async def host_meta(cluster: Cluster) -> None:
    address = cluster.address("gateway/1", "websocket")

    def get(path: str) -> tuple[str, object]:
        # What a request says of the host must not come back: a cache would give it to everybody.
        request = urllib.request.Request(f"http://{address}{path}", headers={"Host": "evil.example.net"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode(), answer.headers

    loop = asyncio.get_running_loop()
    document, headers = await loop.run_in_executor(None, get, "/.well-known/host-meta")
    assert headers["Access-Control-Allow-Origin"] == "*", headers
    assert "urn:xmpp:alt-connections:websocket" in document and "/xmpp-websocket" in document, document
    assert "evil" not in document and "max-age" in headers["Cache-Control"], (document, headers)
    document, headers = await loop.run_in_executor(None, get, "/.well-known/host-meta.json")
    assert headers["Access-Control-Allow-Origin"] == "*", headers
    links = json.loads(document)["links"]
    assert any(link["rel"] == "urn:xmpp:alt-connections:websocket" and link["href"].startswith((f"ws://{cluster.domain}:", f"wss://{cluster.domain}:")) for link in links), links
    try:
        await loop.run_in_executor(None, get, "/somewhere-else")
        raise AssertionError("an unknown path was answered")
    except urllib.error.HTTPError as error:
        assert error.code == 404, error.code


@scenario
async def white_space_is_no_stanza(cluster: Cluster) -> None:
    user = await account(cluster, "spaces")
    client = await Client(cluster.domain, user.user).login(cluster.address("gateway/1"))
    await client.enable(resume=False)
    client.connection.write("\n  \n")
    await client.iq("get", f"<ping xmlns='{ns.PING}'/>", cluster.domain)
    await client.all_acked()
    assert client.acked == 1, client.acked
    await client.close()


@scenario
async def certificate_is_read_again(cluster: Cluster) -> None:
    """A certificate renewed on disk is served without a restart."""
    import subprocess

    address = cluster.address("gateway/1", "xmpp-tls")
    certificates = cluster.state / "certificates"

    def serial() -> str:
        host, _, port = address.rpartition(":")
        pem = ssl.get_server_certificate((host, int(port)))
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, text=True, stdout=subprocess.PIPE, check=True).stdout

    loop = asyncio.get_running_loop()
    before = await loop.run_in_executor(None, serial)
    renew = certificates / "renewed.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-key", str(certificates / "server.key"), "-CA", str(certificates / "ca.pem"), "-CAkey",
         str(certificates / "ca.key"), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "30",
         "-out", str(renew)], check=True, stderr=subprocess.DEVNULL,
    )
    renew.rename(certificates / "server.pem")

    async def is_new() -> bool:
        return await loop.run_in_executor(None, serial) != before

    import signal

    # At once on SIGHUP; without it, after a while.
    cluster.signal("gateway/1", signal.SIGHUP)
    await until(is_new, "the new certificate is served", 40, every=0.5)
