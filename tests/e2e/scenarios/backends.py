"""What people notice when a backend is away: as little as can be."""

import asyncio
import signal

from harness import ns
from harness.client import Client, StanzaError
from harness.cluster import Cluster
from harness.people import account, befriend, leave, pair, unique
from harness.runner import scenario
from harness.sasl import SaslFailure
from harness.wait import until

# With PostgreSQL away at least so many messages go in each direction.
EXCHANGES = 40


@scenario
async def the_end_of_a_stream_is_answered_when_the_log_has_all(cluster: Cluster) -> None:
    """Else a client that closes in order loses what it said last, should its gateway fail then."""
    await cluster.all_owned()
    ann, bob = await pair(cluster)
    frozen = cluster.freeze("kafka")
    try:
        ann.message(bob.bare, "last words")
        ann.connection.end_stream()
        # The gateway has read that by the time it has answered others.
        for _ in range(5):
            (await Client(cluster.domain, "nobody").open(cluster.address("gateway/1"))).abort()
        assert not ann.connection.stream_ended and not ann.connection.closed
    finally:
        cluster.thaw(frozen)
    await ann.connection.wait_stream_end(30)
    assert ann.connection.stream_ended and not ann.connection.error, ann.connection.error
    await bob.expect_message("last words")
    await leave(bob)


@scenario(seconds=120)
async def postgresql_stopped(cluster: Cluster) -> None:
    """Clients stay, chat between users who are known goes on, errors are temporary ones,
    nothing acknowledged is lost."""
    await cluster.all_owned()
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    absent = await account(cluster, "absent")
    await ann.enable()
    connections = await _store_connections(cluster)
    frozen = cluster.freeze("postgresql")
    try:
        ann.message(absent.bare, "for one who is away")
        stranger = asyncio.create_task(_sign_in_error(cluster, unique("unknown")))
        change = asyncio.create_task(
            ann.iq("set", f"<query xmlns='{ns.ROSTER}'><item jid='x@{ann.domain}' name='n'/></query>", seconds=90))
        sent = 0
        # Away for as long as it takes the services to give up what needs PostgreSQL.
        while sent < EXCHANGES or not stranger.done():
            ann.message(bob.bare, f"there {sent}")
            await bob.expect_message(f"there {sent}")
            bob.message(ann.bare, f"back {sent}")
            await ann.expect_message(f"back {sent}")
            sent += 1
        assert await stranger == "temporary-auth-failure"
        # Nobody knows what comes of it.
        assert not change.done()
    finally:
        cluster.thaw(frozen)
    assert not ann.connection.closed and not bob.connection.closed
    await change
    await ann.all_acked(60)

    async def comes_in() -> bool:
        try:
            await absent.login(cluster.address("gateway/2"))
            return True
        except (SaslFailure, StanzaError):
            return False

    await until(comes_in, "sign-in works again", 30, every=0.5)
    await absent.available()
    await absent.expect_message("for one who is away", 40)
    await leave(ann, bob, absent)

    async def reached_by_all() -> bool:
        return await _store_connections(cluster) == connections

    await until(reached_by_all, "every connection to PostgreSQL is back", 30, every=0.3)


async def _store_connections(cluster: Cluster) -> dict[str, float]:
    up = {}
    for service in ("session-manager", "roster", "muc"):
        for name in cluster.instances(service):
            up[name] = (await cluster.metrics(name))[f"rookery_{service.replace('-', '_')}_pg_connections"]
    return up


async def _sign_in_error(cluster: Cluster, user: str) -> str:
    client = await Client(cluster.domain, user).open(cluster.address("gateway/1"))
    try:
        await client.authenticate()
    except SaslFailure as failure:
        return failure.condition
    finally:
        client.abort()
    return ""


@scenario(seconds=120)
async def redis_emptied_and_restarted(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await cluster.redis("FLUSHALL")
    for n in range(20):
        ann.message(bob.bare, f"without memory {n}")
        await bob.expect_message(f"without memory {n}")
    await cluster.all_owned()
    await cluster.restart("redis")
    for n in range(20):
        ann.message(bob.bare, f"with a new one {n}")
        await bob.expect_message(f"with a new one {n}")
    await cluster.all_owned()
    third = await account(cluster, "third")
    await third.login(cluster.address("gateway/2"))
    assert not ann.connection.closed and not bob.connection.closed
    await leave(ann, bob, third)


@scenario(seconds=120)
async def roster_service_killed(cluster: Cluster) -> None:
    """No connection drops, and rosters are there as soon as another instance answers."""
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    cluster.kill("roster/1")
    ann.message(bob.bare, "anyway")
    await bob.expect_message("anyway")

    async def answers() -> bool:
        try:
            items = await ann.iq("get", f"<query xmlns='{ns.ROSTER}'/>")
            return any(item.get("jid") == bob.bare for item in items[0])
        except StanzaError as error:
            assert error.type == "wait", error
            return False

    await until(answers, "the roster is there", 30, every=0.5)
    await cluster.up()
    await cluster.ready("roster/1")
    assert not ann.connection.closed and not bob.connection.closed
    await leave(ann, bob)


@scenario(seconds=120)
async def muc_and_search_killed(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    for name in ("muc/1", "search/1"):
        cluster.kill(name)
    for n in range(10):
        ann.message(bob.bare, f"go on {n}")
        await bob.expect_message(f"go on {n}")
    await cluster.up()
    for name in ("muc/1", "muc/2", "search/1", "search/2"):
        await cluster.ready(name)
    await leave(ann, bob)


@scenario(seconds=120)
async def gateway_drains_on_sigterm(cluster: Cluster) -> None:
    """A gateway that is told to end closes its streams with system-shutdown (or reset); clients with
    stream management go on elsewhere."""
    ann, bob = await pair(cluster)
    await bob.enable()
    cluster.signal("gateway/2", signal.SIGTERM)
    condition = await bob.connection.wait_error(30)
    assert condition in ("system-shutdown", "reset", "see-other-host", ""), condition
    await bob.connection.wait_closed(30)
    ann.message(bob.bare, "where are you?")
    await ann.sync()
    answer = await bob.resume(cluster.address("gateway/1"))
    if answer.tag.endswith("failed"):
        # Ended in order by the server: its messages wait.
        bob.handled = None
        await bob.bind()
        await bob.available()
    await bob.expect_message("where are you?")
    await until(lambda: not cluster.alive("gateway/2"), "gateway/2 has ended", 40)
    await cluster.up()
    await cluster.ready("gateway/2")
    await leave(ann, bob)
