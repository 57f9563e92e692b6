"""SASL: mechanisms, channel binding, wrong data, several tries (RFC 6120 section 6, RFC 5802, XEP-0440)."""

import asyncio
import base64
import hashlib
import json
import ssl

from harness import ns
from harness.client import Client, Disconnected
from harness.cluster import Cluster
from harness.openssl import OpensslConnection
from harness.people import account, unique
from harness.runner import scenario
from harness.sasl import SaslFailure, Scram
from harness.wait import until
from harness.xml import child, name, text


@scenario
async def every_mechanism(cluster: Cluster) -> None:
    user = await account(cluster, "mechanism")
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"):
        client = Client(cluster.domain, user.user)
        await client.login(cluster.address("gateway/1"), "starttls", cluster.fresh_context(), mechanism)
        await client.close()


@scenario
async def what_is_offered(cluster: Cluster) -> None:
    client = await Client(cluster.domain, "nobody").open(cluster.address("gateway/1"), "starttls", cluster.fresh_context())
    offered = client.mechanisms()
    for mechanism in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"):
        assert mechanism in offered, offered
    assert offered.index("SCRAM-SHA-256-PLUS") < offered.index("SCRAM-SHA-1") < offered.index("PLAIN"), f"not the strongest first: {offered}"
    bindings = child(client.features, ns.SASL_CB, "sasl-channel-binding")
    types = [b.get("type") for b in bindings]
    assert "tls-server-end-point" in types and "tls-exporter" in types, text(client.features)
    client.abort()
    client = await Client(cluster.domain, "nobody").open(cluster.address("gateway/1"))
    assert not any(m.endswith("-PLUS") for m in client.mechanisms()), "channel binding without a channel"
    client.abort()


@scenario
async def end_point_binding(cluster: Cluster) -> None:
    user = await account(cluster, "endpoint")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for mechanism in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"):
            context = cluster.fresh_context()
            context.minimum_version = context.maximum_version = version
            client = await Client(cluster.domain, user.user).open(cluster.address("gateway/1", "xmpp-tls"), "tls", context)
            certificate = client.connection.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            # The certificate is signed with SHA-256, so that is its hash (RFC 5929 section 4.1).
            await client.authenticate(mechanism, ("tls-server-end-point", hashlib.sha256(certificate).digest()))
            await client.bind()
            await client.close()
    # Somebody in between would see another certificate.
    client = await Client(cluster.domain, user.user).open(cluster.address("gateway/1", "xmpp-tls"), "tls", cluster.fresh_context())
    await _refused(client, "SCRAM-SHA-256-PLUS", ("tls-server-end-point", b"\0" * 32))
    client.abort()


@scenario
async def exporter_binding(cluster: Cluster) -> None:
    """Python cannot export keying material; openssl s_client can (RFC 9266)."""
    user = await account(cluster, "exporter")
    connection = await OpensslConnection.open(cluster.address("gateway/1", "xmpp-tls"), cluster.domain, str(cluster.state / "certificates" / "ca.pem"))
    try:
        await connection.stream(cluster.domain)
        exchange = Scram("SCRAM-SHA-256-PLUS", user.user, user.password, ("tls-exporter", connection.keying_material))
        connection.write(f"<auth xmlns='{ns.SASL}' mechanism='SCRAM-SHA-256-PLUS'>{base64.b64encode(exchange.first()).decode()}</auth>")
        challenge = await connection.next()
        assert name(challenge) == "challenge", text(challenge)
        final = exchange.final(base64.b64decode(challenge.text))
        connection.write(f"<response xmlns='{ns.SASL}'>{base64.b64encode(final).decode()}</response>")
        success = await connection.next()
        assert name(success) == "success", text(success)
        exchange.check(base64.b64decode(success.text))
    finally:
        await connection.close()


async def _refused(client: Client, mechanism: str, binding=None, password: str | None = None) -> str:
    try:
        await client.authenticate(mechanism, binding, password)
    except SaslFailure as failure:
        return failure.condition
    raise AssertionError(f"{mechanism} was accepted")


@scenario
async def wrong_password_and_unknown_user_look_the_same(cluster: Cluster) -> None:
    user = await account(cluster, "guess")
    for name_ in (user.user, unique("nobody")):
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"):
            client = await Client(cluster.domain, name_).open(cluster.address("gateway/1"))
            assert await _refused(client, mechanism, password="wrong") == "not-authorized"
            client.abort()
    # The salt of a user who is not there is always the same, as if there were one.
    salts = set()
    for _ in range(2):
        client = await Client(cluster.domain, f"ghost-{user.user}").open(cluster.address("gateway/1"))
        exchange = Scram("SCRAM-SHA-256", f"ghost-{user.user}", "x")
        client.connection.write(f"<auth xmlns='{ns.SASL}' mechanism='SCRAM-SHA-256'>{base64.b64encode(exchange.first()).decode()}</auth>")
        challenge = base64.b64decode((await client.connection.next()).text).decode()
        salts.add([part for part in challenge.split(",") if part.startswith("s=")][0])
        client.abort()
    assert len(salts) == 1, salts


@scenario
async def another_try_on_the_same_stream(cluster: Cluster) -> None:
    user = await account(cluster, "retry")
    client = await Client(cluster.domain, user.user).open(cluster.address("gateway/1"))
    assert await _refused(client, "SCRAM-SHA-256", password="wrong") == "not-authorized"
    assert await _refused(client, "PLAIN", password="wrong") == "not-authorized"
    await client.authenticate("SCRAM-SHA-256")
    await client.bind()
    await client.close()


@scenario
async def too_many_tries_end_the_stream(cluster: Cluster) -> None:
    user = await account(cluster, "stubborn")
    client = await Client(cluster.domain, user.user).open(cluster.address("gateway/1"))
    tries = 0
    try:
        while tries < 50:
            await _refused(client, "PLAIN", password="wrong")
            tries += 1
    except Disconnected:
        pass
    assert 2 <= tries < 50, f"{tries} tries on one stream"
    await client.connection.wait_closed()


@scenario
async def why_a_sign_in_failed_is_one_line_of_the_log(cluster: Cluster) -> None:
    """With the peer's address, for a person at night and for fail2ban; never with the password or the name."""
    user = await account(cluster, "logged")

    def lines(event: str) -> list[dict]:
        found = [json.loads(line) for line in cluster.log("gateway/1").splitlines() if f'"event":"{event}"' in line]
        return [line for line in found if line["peer"] == "127.9.8.7"]

    async def attempt() -> Client:
        return await Client(cluster.domain, user.user).open(cluster.address("gateway/1"), local_address="127.9.8.7")

    client = await attempt()
    assert await _refused(client, "PLAIN", password="not this one") == "not-authorized"
    line = (await until(lambda: lines("auth.failed"), "a line for the failed sign-in"))[-1]
    assert (line["mechanism"], line["reason"], line["level"]) == ("PLAIN", "not-authorized", "info"), line
    assert line["jid"] and user.user not in json.dumps(line) and "not this one" not in json.dumps(line), line
    client.connection.write("<nonsense xmlns='urn:x'/>")
    line = (await until(lambda: lines("stream.error"), "a line for the stream error"))[-1]
    assert line["condition"] == "unsupported-stanza-type", line
    # Plain text on a TLS port.
    failed = "rookery_gateway_tls_handshakes_failed_total"
    before = (await cluster.metrics("gateway/1"))[failed]
    host, _, port = cluster.address("gateway/1", "xmpp-tls").rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), local_addr=("127.9.8.7", 0))
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    line = (await until(lambda: lines("tls.handshake_failed"), "a line for the failed handshake"))[-1]
    assert line["reason"] == "not-tls", line
    assert (await cluster.metrics("gateway/1"))[failed] > before
    writer.close()
    # What a flood of them leaves in the log is bounded.
    for _ in range(12):
        client = await attempt()
        for _ in range(3):
            await _refused(client, "PLAIN", password="not this one")
        client.abort()
    assert len(lines("auth.failed")) <= 25, len(lines("auth.failed"))


@scenario
async def wrong_sasl_data(cluster: Cluster) -> None:
    cases = (
        ("<auth xmlns='{ns}' mechanism='NO-SUCH'>AAAA</auth>", ("invalid-mechanism",)),
        ("<auth xmlns='{ns}'>AAAA</auth>", ("invalid-mechanism", "malformed-request")),
        ("<auth xmlns='{ns}' mechanism='PLAIN'>!!!!</auth>", ("incorrect-encoding", "malformed-request")),
        ("<auth xmlns='{ns}' mechanism='PLAIN'>AA</auth>", ("incorrect-encoding", "malformed-request", "not-authorized")),
        ("<auth xmlns='{ns}' mechanism='PLAIN'>=</auth>", ("malformed-request", "not-authorized")),
        ("<auth xmlns='{ns}' mechanism='SCRAM-SHA-256'>" + base64.b64encode(b"x" * 50).decode() + "</auth>", ("malformed-request", "not-authorized")),
        ("<auth xmlns='{ns}' mechanism='SCRAM-SHA-256'>" + base64.b64encode(b"n,,n=,r=").decode() + "</auth>", ("malformed-request", "not-authorized")),
        ("<auth xmlns='{ns}' mechanism='SCRAM-SHA-256'>" + base64.b64encode(b"n,,m=x,n=a,r=b").decode() + "</auth>", ("malformed-request", "not-authorized")),
        ("<response xmlns='{ns}'>AAAA</response>", ("malformed-request", "not-authorized", "")),
        ("<abort xmlns='{ns}'/>", ("aborted", "malformed-request", "")),
        ("<auth xmlns='{ns}' mechanism='SCRAM-SHA-256'>" + "A" * 9000 + "</auth>", ("malformed-request", "not-authorized", "policy-violation", "")),
        ("<auth xmlns='{ns}' mechanism='PLAIN'>" + base64.b64encode(b"other@localhost\0nobody\0x").decode() + "</auth>", ("invalid-authzid", "not-authorized")),
        ("<auth xmlns='{ns}' mechanism='PLAIN'>" + base64.b64encode(b"\0\xff\xfe\0x").decode() + "</auth>", ("malformed-request", "not-authorized")),
    )
    for data, allowed in cases:
        client = await Client(cluster.domain, "nobody").open(cluster.address("gateway/1"))
        client.connection.write(data.replace("{ns}", ns.SASL))
        try:
            answer = await client.connection.next()
            assert answer.tag == f"{{{ns.SASL}}}failure", f"{data}: {text(answer)}"
            condition = [name(c) for c in answer if name(c) != "text"][0]
        except Disconnected:
            condition = ""
        assert condition in allowed, f"{data[:120]}: {condition}"
        client.abort()


@scenario
async def a_changed_proof_is_refused(cluster: Cluster) -> None:
    user = await account(cluster, "proof")

    async def finish(change) -> str:
        client = await Client(cluster.domain, user.user).open(cluster.address("gateway/1"))
        exchange = Scram("SCRAM-SHA-256", user.user, user.password)
        client.connection.write(f"<auth xmlns='{ns.SASL}' mechanism='SCRAM-SHA-256'>{base64.b64encode(exchange.first()).decode()}</auth>")
        challenge = base64.b64decode((await client.connection.next()).text)
        final = change(exchange.final(challenge))
        client.connection.write(f"<response xmlns='{ns.SASL}'>{base64.b64encode(final).decode()}</response>")
        answer = await client.connection.next()
        client.abort()
        assert name(answer) == "failure", text(answer)
        return [name(c) for c in answer][0]

    assert await finish(lambda f: f[:-8] + b"AAAAAAA=") in ("not-authorized", "malformed-request")
    assert await finish(lambda f: f.replace(b"r=", b"r=x", 1)) in ("not-authorized", "malformed-request")
    assert await finish(lambda f: f.replace(b"c=biws", b"c=eSws")) in ("not-authorized", "malformed-request")
    assert await finish(lambda f: f + b",x=y" * 3) in ("not-authorized", "malformed-request")


@scenario
async def downgrade_is_refused(cluster: Cluster) -> None:
    """`y`: the client could bind to the channel and believes that we cannot, though we said so."""
    user = await account(cluster, "downgrade")
    client = await Client(cluster.domain, user.user).open(cluster.address("gateway/1"), "starttls", cluster.fresh_context())
    exchange = Scram("SCRAM-SHA-256", user.user, user.password)
    exchange._header = "y,,"
    client.connection.write(f"<auth xmlns='{ns.SASL}' mechanism='SCRAM-SHA-256'>{base64.b64encode(exchange.first()).decode()}</auth>")
    answer = await client.connection.next()
    if name(answer) == "challenge":
        client.connection.write(f"<response xmlns='{ns.SASL}'>{base64.b64encode(exchange.final(base64.b64decode(answer.text))).decode()}</response>")
        answer = await client.connection.next()
    assert name(answer) == "failure", text(answer)
    client.abort()


@scenario
async def guessing_is_slow(cluster: Cluster) -> None:
    """A stranger's wrong passwords are soon not looked at any more, on no gateway, whether the account exists or
    not; its owner, known by the network, signs in all the same."""
    user = await account(cluster, "guessed")
    await (await Client(cluster.domain, user.user).login(cluster.address("gateway/1"))).close()

    async def attempt(gateway: str, name_: str, password: str) -> str:
        stranger = Client(cluster.domain, name_, password)
        await stranger.open(cluster.address(gateway), local_address="127.0.0.2")
        try:
            await stranger.authenticate()
            return "signed in"
        except SaslFailure as failure:
            return failure.condition
        finally:
            stranger.abort()

    for guessed in (user.user, unique("nobody")):
        outcomes = [await attempt("gateway/1" if i % 2 else "gateway/2", guessed, f"wrong{i}") for i in range(24)]
        looked_at = outcomes.count("not-authorized")
        # One more for the gateway that has not heard of the last ones yet.
        assert 10 <= looked_at <= 11 and outcomes[-8:] == ["temporary-auth-failure"] * 8, outcomes
    # The right one is not told from a wrong one,
    assert await attempt("gateway/1", user.user, user.password) == "temporary-auth-failure"
    # and its owner signs in from where the account has been signed in to before, on whatever gateway.
    for gateway in ("gateway/1", "gateway/2"):
        await (await Client(cluster.domain, user.user).login(cluster.address(gateway))).close()


@scenario
async def foreign_pages_may_not_connect(cluster: Cluster) -> None:
    """A browser tells whose page asks (RFC 6455 section 10.2)."""
    for origin, accepted in ((f"http://{cluster.domain}:8080", True), ("https://evil.example.net", False), ("null", False)):
        connection = await asyncio.open_connection(*cluster.address("gateway/1", "websocket").rsplit(":", 1))
        reader, writer = connection
        writer.write(
            (
                f"GET /xmpp-websocket HTTP/1.1\r\nHost: {cluster.domain}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Protocol: xmpp\r\n\r\n"
            ).encode()
        )
        status = (await reader.readline()).decode()
        writer.close()
        assert (" 101 " in status) == accepted and (accepted or " 403 " in status), f"{origin}: {status}"
