"""A gateway and the session-managers behind it: two of one name, and shards that nobody has."""

from harness.cluster import Cluster
from harness.extra_gateway import NAME, extra_gateway
from harness.people import leave, person, unique
from harness.relay import Relay
from harness.runner import scenario
from harness.wait import until


@scenario(seconds=180)
async def of_two_of_one_name_the_newer_works_and_the_older_ends(cluster: Cluster) -> None:
    await cluster.up()
    await cluster.all_owned()
    bob = await person(cluster, "bob", "gateway/2")
    ann = await person(cluster, "ann", "gateway/1")
    await ann.enable()
    async with extra_gateway(cluster, INSTANCE="gateway-1"):
        await until(lambda: not cluster.alive("gateway/1"), "the older one has ended")
        # Whoever is first to notice says so: a session-manager, or the registry.
        lines = [line for line in cluster.log("gateway/1").splitlines() if line.startswith("rookery-gateway: cannot go on: a newer ")]
        assert any("has the name `gateway-1`" in line for line in lines), cluster.log("gateway/1")[-2000:]
        # Sign-ins at the newer one work at once, also of who was at the older.
        eve = await person(cluster, "eve", NAME)
        eve.message(bob.bare, "from the newer one")
        await bob.expect_message("from the newer one")
        await ann.resume(cluster.address(NAME))
        bob.message(ann.bare, "to one who was at the older")
        await ann.expect_message("to one who was at the older")
        await leave(ann, eve)
    # The newer one is gone; the first of the name runs again, and works.
    await cluster.ready("gateway/1")
    ann = await person(cluster, "ann", "gateway/1")
    ann.message(bob.bare, "from the first again")
    await bob.expect_message("from the first again")
    bob.message(ann.bare, "to the first again")
    await ann.expect_message("to the first again")
    await leave(ann, bob)


@scenario(seconds=180)
async def clients_of_shards_without_an_owner_are_sent_away_and_resume(cluster: Cluster) -> None:
    await cluster.up()
    async with extra_gateway(cluster, LIMITS__OWNER_TIMEOUT="2s"):
        await cluster.all_owned()
        bob = await person(cluster, "bob", "gateway/1")
        ann = await cluster.user(unique("ann"), NAME)
        await ann.enable()
        await ann.available()
        plain = await person(cluster, "plain", NAME)
        for name in cluster.instances("session-manager"):
            cluster.kill(name)
        ann.message(bob.bare, "said to nobody yet")
        assert await ann.connection.wait_error(30) == "reset"
        assert await plain.connection.wait_error(30) == "reset"
        assert not bob.connection.closed, "its gateway is more patient"
        await cluster.up(gateway=3)
        await cluster.all_owned()
        # On any gateway, with everything that it had sent.
        await ann.resume(cluster.address("gateway/2"))
        assert ann.resumed_count == 1
        await bob.expect_message("said to nobody yet")
        bob.message(ann.bare, "back")
        await ann.expect_message("back")
        await ann.all_acked()
        assert "said to nobody yet" not in bob.bodies(), "given twice"
        await leave(ann, bob)


@scenario(seconds=240)
async def one_that_is_cut_off_from_redis_alone_finds_a_new_session_manager(cluster: Cluster) -> None:
    await cluster.up()
    await cluster.all_owned()
    network = Relay(lambda local, remote: NAME)
    port = await network.listen("redis/1", 0, cluster.address("redis", "redis"))
    try:
        async with extra_gateway(cluster, REDIS__ADDRESSES=f"127.0.0.1:{port}"):
            network.link(NAME, "redis/1").cut()
            await cluster.scale("session-manager", 3)
            owners = await cluster.all_owned()
            bob = await person(cluster, "bob", "gateway/1")
            name = cluster.user_on_shard_of("session-manager-3", owners, unique("ann") + "-")
            ann = await cluster.user(name, NAME)
            await ann.available()
            ann.message(bob.bare, "through the new one")
            await bob.expect_message("through the new one")
            bob.message(ann.bare, "back")
            await ann.expect_message("back")
            await leave(ann, bob)
            network.heal()
            await cluster.scale("session-manager", 2)
    finally:
        await network.close()
    await cluster.all_owned()
