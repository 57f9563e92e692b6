"""The owner of a shard is killed just after its clients have had something and closed: nobody is
given it again. A silent client holds the shard's cursor back meanwhile."""

import asyncio

from harness.cluster import Cluster
from harness.people import is_message, leave, person, unique
from harness.runner import scenario

VICTIM = "session-manager-1"
USERS = 12


async def _ready(cluster: Cluster) -> dict[int, str]:
    await cluster.up(gateway=2, session_manager=2)
    return await cluster.all_owned()


async def _next_session(cluster: Cluster, client, gateway: str) -> list[str]:
    """What a new session of the user is given."""
    await client.login(cluster.address(gateway))
    await client.available()
    await client.sync()
    return client.bodies()


async def _silent(cluster: Cluster, owners: dict[int, str], ann):
    """A client on a shard of the victim's that has a message and acknowledges nothing."""
    silent = await cluster.user(cluster.user_on_shard_of(VICTIM, owners, unique("silent") + "-"))
    await silent.enable()
    await silent.available()
    silent.connection.transport.pause_reading()
    ann.message(silent.bare, "unheard")
    return silent


@scenario(seconds=180)
async def acknowledged_and_closed(cluster: Cluster) -> None:
    owners = await _ready(cluster)
    ann = await person(cluster, "ann", "gateway/2")
    users = [
        await cluster.user(cluster.user_on_shard_of(VICTIM, owners, unique("bob") + "-"), f"gateway/{n % 2 + 1}") for n in range(USERS)
    ]
    for n, bob in enumerate(users):
        if n % 3 == 0:
            await bob.enable()
        await bob.available()
    silent = await _silent(cluster, owners, ann)
    for bob in users:
        for n in range(5):
            ann.message(bob.bare, f"{n}")
    for number, bob in enumerate(users):
        for n in range(5):
            await bob.expect_message(f"{n}")
        if number % 3 == 0:
            bob.send_ack()
    await asyncio.gather(*(bob.close() for bob in users))
    cluster.kill(VICTIM.replace("-1", "/1"))
    await cluster.all_owned()
    for n, bob in enumerate(users):
        again = await _next_session(cluster, bob, f"gateway/{n % 2 + 1}")
        assert not again, f"{bob.bare} was given again: {again}"
    silent.abort()
    await leave(ann, *users)
    await _ready(cluster)


@scenario(seconds=180)
async def offline_messages_acknowledged(cluster: Cluster) -> None:
    owners = await _ready(cluster)
    ann = await person(cluster, "ann", "gateway/2")
    users = [
        await cluster.user(cluster.user_on_shard_of(VICTIM, owners, unique("bob") + "-"), login=False) for _ in range(USERS)
    ]
    silent = await _silent(cluster, owners, ann)
    for bob in users:
        for n in range(5):
            ann.message(bob.bare, f"{n}")
        await ann.sync_through(bob.bare)

    async def fetch(bob, gateway: str) -> None:
        await bob.login(cluster.address(gateway))
        await bob.available()
        for n in range(5):
            await bob.expect_message(f"{n}")

    await asyncio.gather(*(fetch(bob, f"gateway/{n % 2 + 1}") for n, bob in enumerate(users)))
    cluster.kill(VICTIM.replace("-1", "/1"))
    # Half of them stay, half close while nobody owns their shard.
    await asyncio.gather(*(bob.close() for bob in users[::2]))
    await cluster.all_owned()
    for bob in users[1::2]:
        await bob.sync()
        assert not [s for s in bob.inbox if is_message(s)], f"{bob.bare} was given again: {bob.bodies()}"
        await bob.close()
    for n, bob in enumerate(users):
        again = await _next_session(cluster, bob, f"gateway/{n % 2 + 1}")
        assert not again, f"{bob.bare} was given again: {again}"
    silent.abort()
    await leave(ann, *users)
    await _ready(cluster)
