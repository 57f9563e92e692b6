"""Something dies, leaves, joins or sleeps while 40 users on two gateways and more talk at
more than 500 messages a second, and every message is accounted for (harness/traffic.py)."""

import asyncio
import signal

from harness.cluster import Cluster
from harness.people import unique
from harness.runner import scenario
from harness.traffic import Traffic
from harness.wait import until

TALK_SECONDS = 24


async def _usual(cluster: Cluster) -> None:
    """Two of each, all of them ready, whatever an earlier scenario left."""
    await cluster.up(gateway=2, session_manager=2)
    await cluster.all_owned()


@scenario(seconds=120)
async def closing_while_nobody_owns_the_shard(cluster: Cluster) -> None:
    """A client without stream management writes and closes in order just after the owner of
    its shard was killed: what it wrote arrives."""
    await _usual(cluster)
    owners = await cluster.owners()
    victim, other = "session-manager-1", "session-manager-2"
    ann = await cluster.user(cluster.user_on_shard_of(victim, owners, unique("ann")))
    bob = await cluster.user(cluster.user_on_shard_of(other, owners, unique("bob")), "gateway/2")
    await ann.available()
    await bob.available()
    cluster.kill(victim.replace("-1", "/1"))
    for n in range(20):
        ann.message(bob.bare, f"last words {n}")
    await ann.close()
    for n in range(20):
        await bob.expect_message(f"last words {n}", 40)
    await bob.sync()
    assert not bob.bodies(), f"twice: {bob.bodies()}"
    await bob.close()
    await _usual(cluster)


@scenario(seconds=240)
async def third_session_manager_joins(cluster: Cluster) -> None:
    await _usual(cluster)
    async with Traffic(cluster) as traffic:
        await traffic.talk(6)
        before = await cluster.owners()
        joining = asyncio.create_task(cluster.scale("session-manager", 3))
        await traffic.talk(TALK_SECONDS - 6)
        await joining
        after = await cluster.all_owned()
        assert "session-manager-3" in after.values(), f"the third one owns nothing: {after} (before: {before})"
        print("  " + await traffic.finish())


@scenario(seconds=240)
async def session_manager_leaves(cluster: Cluster) -> None:
    await cluster.up(gateway=2, session_manager=3)
    await cluster.all_owned()
    async with Traffic(cluster) as traffic:
        await traffic.talk(6)
        cluster.signal("session-manager/3", signal.SIGTERM)
        await traffic.talk(TALK_SECONDS - 6)
        await until(lambda: not cluster.alive("session-manager/3"), "session-manager/3 has left")
        owners = await cluster.all_owned()
        assert "session-manager-3" not in owners.values(), owners
        print("  " + await traffic.finish())


@scenario(seconds=240)
async def session_manager_killed(cluster: Cluster) -> None:
    await _usual(cluster)
    async with Traffic(cluster) as traffic:
        await traffic.talk(6)
        cluster.kill("session-manager/2")
        await traffic.talk(TALK_SECONDS - 6)
        owners = await cluster.all_owned()
        assert set(owners.values()) == {"session-manager-1"}, owners
        drops = sum(talker.unexpected_drops for talker in traffic.talkers)
        assert drops == 0, f"{drops} client connections dropped"
        print("  " + await traffic.finish())


@scenario(seconds=240)
async def gateway_killed(cluster: Cluster) -> None:
    await _usual(cluster)
    async with Traffic(cluster) as traffic:
        await traffic.talk(6)
        traffic.expected_drops = True
        traffic.gateways.remove("gateway/2")
        cluster.kill("gateway/2")
        await traffic.talk(4)
        # What the kill dropped is back by now or on its way; from here on nothing may drop.
        await until(lambda: all(t.online or t.leaving for t in traffic.talkers), "all have noticed")
        await traffic.talk(TALK_SECONDS - 10)
        print("  " + await traffic.finish())


@scenario(seconds=300)
async def session_manager_frozen(cluster: Cluster) -> None:
    await _usual(cluster)
    async with Traffic(cluster) as traffic:
        await traffic.talk(6)
        cluster.signal("session-manager/2", signal.SIGSTOP)
        try:
            await traffic.talk(15)
            owners = await cluster.owners()
            assert set(owners.values()) == {"session-manager-1"}, f"its shards have not moved: {owners}"
        finally:
            cluster.signal("session-manager/2", signal.SIGCONT)
        await traffic.talk(10)
        print("  " + await traffic.finish())


@scenario(seconds=300)
async def kafka_killed_and_redis_emptied(cluster: Cluster) -> None:
    await _usual(cluster)
    async with Traffic(cluster) as traffic:
        await traffic.talk(5)
        assert await cluster.redis("FLUSHALL") == "OK"
        await traffic.talk(5)
        cluster.kill("kafka")
        restarting = asyncio.create_task(cluster.up())
        await traffic.talk(TALK_SECONDS - 4)
        await restarting
        # Redis has filled itself again.
        await cluster.all_owned()
        print("  " + await traffic.finish())
