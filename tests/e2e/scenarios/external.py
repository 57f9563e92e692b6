"""SASL EXTERNAL with a client's certificate (RFC 6120 sections 6.3.4 and 13.7, XEP-0178)."""

import base64
import contextlib
import ssl
import tempfile
from pathlib import Path

from harness import ns
from harness.certificates import Authority, Certificate
from harness.client import Client
from harness.cluster import Cluster
from harness.extra_gateway import NAME as GATEWAY
from harness.extra_gateway import extra_gateway
from harness.people import account, leave, person
from harness.runner import scenario
from harness.stock import Slixmpp
from harness.xml import name, text


@contextlib.asynccontextmanager
async def certificates_taken(cluster: Cluster):
    """A third gateway, which asks clients for certificates of an authority of the test's."""
    with tempfile.TemporaryDirectory(prefix="rookery-clients-") as directory:
        authority = Authority(Path(directory), "authority")
        async with extra_gateway(cluster, TLS__CLIENT_CA_FILE=str(authority.file)):
            yield authority


def server_authority(cluster: Cluster) -> Path:
    return cluster.state / "certificates" / "ca.pem"


async def connected(cluster: Cluster, certificate: Certificate | None, mode: str = "tls", gateway: str = GATEWAY) -> Client:
    """Up to the features; the client's own name and password are of no use to it."""
    listener = {"tls": "xmpp-tls", "starttls": "xmpp", "wss": "websocket-tls"}[mode]
    context = certificate.context(server_authority(cluster)) if certificate else cluster.fresh_context()
    return await Client(cluster.domain, "nobody", "").open(cluster.address(gateway, listener), mode, context)


async def external(client: Client, authzid: str | None = "") -> str:
    """`success` or the failure's condition. None: no initial response, but an answer to the challenge."""
    data = "" if authzid is None else base64.b64encode(authzid.encode()).decode() or "="
    client.connection.write(f"<auth xmlns='{ns.SASL}' mechanism='EXTERNAL'>{data}</auth>")
    answer = await client.connection.next()
    if name(answer) == "challenge":
        assert authzid is None and not answer.text, text(answer)
        client.connection.write(f"<response xmlns='{ns.SASL}'/>")
        answer = await client.connection.next()
    return "success" if name(answer) == "success" else name(answer[0])


async def begin_session(client: Client) -> None:
    client.connection.open_stream()
    client.features = await client.connection.features()
    await client.bind()


@scenario(seconds=120)
async def a_certificate_signs_in(cluster: Cluster) -> None:
    """Over direct TLS of both versions, STARTTLS and wss; with no password anywhere."""
    user = await account(cluster, "certified")
    friend = await person(cluster, "friend")
    async with certificates_taken(cluster) as authority:
        certificate = authority.issue(user.bare)
        for mode in ("tls", "starttls", "wss"):
            client = await connected(cluster, certificate, mode)
            assert client.mechanisms()[0] == "EXTERNAL", client.mechanisms()
            assert await external(client) == "success"
            await begin_session(client)
            assert client.jid.startswith(user.bare + "/"), client.jid
            await client.available()
            friend.message(user.bare, f"to the certified by {mode}")
            await client.expect_message(f"to the certified by {mode}")
            client.message(friend.bare, f"from the certified by {mode}")
            await friend.expect_message(f"from the certified by {mode}")
            await client.close()
        context = certificate.context(server_authority(cluster))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        old = await Client(cluster.domain, "nobody", "").open(cluster.address(GATEWAY, "xmpp-tls"), "tls", context)
        assert await external(old) == "success"
        old.abort()
        # A password does as well, whatever the certificate says.
        other = Client(cluster.domain, friend.user)
        await other.login(cluster.address(GATEWAY, "xmpp-tls"), "tls", certificate.context(server_authority(cluster)))
        assert other.jid.startswith(friend.bare + "/"), other.jid
        await other.close()
    await leave(friend)


@scenario(seconds=90)
async def a_stock_client_signs_in_with_its_certificate(cluster: Cluster) -> None:
    user = await account(cluster, "slixmpp-certified")
    async with certificates_taken(cluster) as authority:
        stock = Slixmpp(user.bare, "", cluster.address(GATEWAY), str(server_authority(cluster)), register=False,
                        certificate=authority.issue(user.bare))
        await stock.connect()
        authenticated = await stock.events.wait("authenticated")
        assert authenticated["mechanism"] == "EXTERNAL", authenticated
        await stock.events.wait("online")
        await stock.go_away()


@scenario(seconds=120)
async def who_may_be_whom(cluster: Cluster) -> None:
    """The authorisation identity (RFC 6120 section 6.3.8, XEP-0178 section 2)."""
    first, second = await account(cluster, "first"), await account(cluster, "second")
    async with certificates_taken(cluster) as authority:
        one = authority.issue(first.bare)
        for authzid, expected in (
            ("", "success"),
            (None, "success"),
            (first.bare, "success"),
            (first.bare.upper(), "success"),  # the same address, prepared
            (second.bare, "invalid-authzid"),
            (f"{first.bare}/resource", "invalid-authzid"),
            (first.user, "invalid-authzid"),
            ("", "success"),
        ):
            client = await connected(cluster, one)
            found = await external(client, authzid)
            assert found == expected, f"{authzid}: {found}"
            client.abort()
        # After a failure the stream goes on (RFC 6120 section 6.4.5).
        client = await connected(cluster, one)
        assert await external(client, second.bare) == "invalid-authzid"
        assert await external(client) == "success"
        client.abort()
        both = authority.issue(first.bare, second.bare, "elsewhere@other.example")
        client = await connected(cluster, both)
        assert await external(client) == "invalid-authzid", "two addresses, and none was named"
        assert await external(client, "elsewhere@other.example") == "invalid-authzid", "of a domain that is not the stream's"
        assert await external(client, second.bare) == "success"
        await begin_session(client)
        assert client.jid.startswith(second.bare + "/"), client.jid
        await client.close()


@scenario(seconds=120)
async def certificates_that_name_nobody_here(cluster: Cluster) -> None:
    """TLS goes on with each, but EXTERNAL is neither offered nor taken."""
    user = await account(cluster, "uncertified")
    async with certificates_taken(cluster) as authority:
        with tempfile.TemporaryDirectory(prefix="rookery-strangers-") as directory:
            stranger = Authority(Path(directory), "authority")  # of the same name
            for what, certificate in (
                ("no certificate", None),
                ("of an unknown authority", stranger.issue(user.bare)),
                ("that has ended", authority.issue(user.bare, days=-1)),
                ("for servers only", authority.issue(user.bare, usage="serverAuth")),
                ("of a foreign domain", authority.issue(f"{user.user}@other.example")),
                ("with an e-mail address", authority.issue(email=user.bare)),
                ("without any name", authority.issue()),
                ("of a resource", authority.issue(f"{user.bare}/resource")),
                ("of the domain itself", authority.issue(cluster.domain)),
            ):
                for mode in ("tls", "starttls"):
                    client = await connected(cluster, certificate, mode)
                    assert "EXTERNAL" not in client.mechanisms(), f"EXTERNAL is offered to a certificate {what}"
                    assert client.mechanisms(), "nothing else is offered"
                    for authzid in ("", user.bare):
                        found = await external(client, authzid)
                        assert found == "invalid-mechanism", f"{what}: {found}"
                    client.abort()
            # Its password still opens the door.
            client = Client(cluster.domain, user.user)
            await client.login(cluster.address(GATEWAY, "xmpp-tls"), "tls", stranger.issue(user.bare).context(server_authority(cluster)))
            await client.close()
        # Whom nobody registered.
        client = await connected(cluster, authority.issue(f"{user.user}-nobody@{cluster.domain}"))
        assert await external(client) == "not-authorized"
        client.abort()
        # A gateway that asks for none takes none.
        client = await connected(cluster, authority.issue(user.bare), gateway="gateway/1")
        assert "EXTERNAL" not in client.mechanisms(), client.mechanisms()
        client.abort()
