"""Users as scenarios need them: registered under names that nobody else has, signed in, friends."""

import asyncio
import itertools
import secrets

from harness import ns
from harness.client import Client
from harness.cluster import Cluster
from harness.xml import name

_run = secrets.token_hex(2)
_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    return f"{prefix}-{_run}-{next(_numbers)}"


async def person(cluster: Cluster, prefix: str, gateway: str = "gateway/1", available: bool = True, priority: int = 0) -> Client:
    """A new account with one session."""
    client = await cluster.user(unique(prefix), gateway)
    if available:
        await client.available(priority_(priority))
    return client


async def another(cluster: Cluster, client: Client, gateway: str = "gateway/2", available: bool = True, priority: int = 0) -> Client:
    """Another session of the same account."""
    other = Client(client.domain, client.user, client.password)
    other.mechanism = client.mechanism
    await other.login(cluster.address(gateway))
    if available:
        await other.available(priority_(priority))
    return other


async def account(cluster: Cluster, prefix: str) -> Client:
    """A new account that is not signed in."""
    return await cluster.user(unique(prefix), login=False)


async def pair(cluster: Cluster) -> tuple[Client, Client]:
    """Two users on two gateways, both available, strangers to each other."""
    return tuple(await asyncio.gather(person(cluster, "ann", "gateway/1"), person(cluster, "bob", "gateway/2")))


async def befriend(a: Client, b: Client) -> None:
    """Mutual subscription; both must have available sessions."""
    # Only those who asked for the roster are told of `subscribed` (RFC 6121 section 3.1.6).
    await asyncio.gather(interested(a), interested(b))
    for asker, asked in ((a, b), (b, a)):
        asker.presence(asked.bare, "subscribe")
        await asked.expect_presence(asker.bare, "subscribe")
        asked.presence(asker.bare, "subscribed")
        await asker.expect_presence(asked.bare, "subscribed")
        await asker.expect_presence(asked.jid)


async def interested(client: Client):
    """Asks for the roster. Gives its items."""
    return (await client.iq("get", f"<query xmlns='{ns.ROSTER}'/>"))[0]


def priority_(value: int) -> str:
    return f"<priority>{value}</priority>" if value else ""


def body_of(stanza) -> str | None:
    return stanza.findtext(f"{{{ns.CLIENT}}}body")


def is_message(stanza, type_: str | None = None) -> bool:
    return name(stanza) == "message" and (type_ is None or stanza.get("type", "normal") == type_)


async def leave(*clients: Client) -> None:
    await asyncio.gather(*(c.close() for c in clients if c.connection and not c.connection.closed))
