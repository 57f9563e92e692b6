"""Something dies, leaves, joins or sleeps while eight users on two gateways talk in a room of each shard
(harness/rooms.py): everybody stays in, and hears all of it, each message once, in one order that is the same for all."""

import asyncio
import signal

from harness import ns
from harness.client import error_of
from harness.cluster import Cluster
from harness.people import leave, person
from harness.rooms import RoomTalk, configure, enter, is_in, room_in, start_entering
from harness.runner import scenario
from harness.wait import until
from harness.xml import name, text

# PostgreSQL is away for a minute.
AWAY = 60.0


def _process(instance: str) -> str:
    """muc-1 -> muc/1"""
    service, _, number = instance.rpartition("-")
    return f"{service}/{number}"


async def _usual(cluster: Cluster) -> dict[int, str]:
    """Two of each, all of them at rest, whatever an earlier scenario left. Gives the owners of rooms."""
    await cluster.up()
    await cluster.all_owned()
    return await cluster.all_owned(service="muc")


def _say(account: str) -> None:
    print(f"  {account}")


@scenario(seconds=150)
async def the_owner_of_rooms_is_killed_and_another_joins(cluster: Cluster) -> None:
    """kill -9. Who asks the service itself meanwhile, or whether it is still in a room (XEP-0410), is answered later, and
    not refused."""
    owners = await _usual(cluster)
    conference = f"conference.{cluster.domain}"
    victim = owners[cluster.shard(conference)]
    asker = await person(cluster, "asker")
    async with RoomTalk(cluster) as talk:
        await talk.talk(2)
        cluster.kill(_process(victim))
        question = asyncio.create_task(asker.iq("get", f"<query xmlns='{ns.DISCO_INFO}'/>", conference, 40))
        lost = [room for room in talk.rooms if owners[cluster.shard(room)] == victim]
        guest = talk.occupants[0]
        pings = [asyncio.create_task(is_in(guest.client, room, guest.nick, 40)) for room in lost]
        await talk.talk_until(question)
        for ping in pings:
            await talk.talk_until(ping)
            assert await ping, f"{guest.nick} is told that it is not in a room whose owner was killed"
        owners = await cluster.owners("muc")
        assert victim not in owners.values(), f"the question was answered while {owners} own the rooms"
        _say(await talk.check(f"{victim} was killed"))
        joining = asyncio.create_task(cluster.up())
        await talk.talk_until(joining)
        owners = await cluster.all_owned(service="muc")
        assert victim in owners.values(), owners
        _say(await talk.check(f"{victim} has joined"))
    await leave(asker)


@scenario(seconds=120)
async def the_owner_of_rooms_leaves_and_comes_back(cluster: Cluster) -> None:
    """SIGTERM, the hand-over in order, and a third one for a while."""
    owners = await _usual(cluster)
    name_ = _process(owners[0])
    async with RoomTalk(cluster) as talk:
        await talk.talk(1)
        cluster.signal(name_, signal.SIGTERM)
        leaving = asyncio.create_task(until(lambda: not cluster.alive(name_), f"{name_} has ended", 30))
        await talk.talk_until(leaving)
        _say(await talk.check(f"{name_} has left"))
        await talk.talk_until(asyncio.create_task(cluster.up(muc=3)))
        owners = await cluster.all_owned(service="muc")
        assert set(owners.values()) == {"muc-1", "muc-2", "muc-3"}, owners
        _say(await talk.check("there are three"))
        await talk.talk_until(asyncio.create_task(cluster.scale("muc", 2)))
        _say(await talk.check("there are two"))


@scenario(seconds=150)
async def the_owner_of_rooms_is_frozen(cluster: Cluster) -> None:
    """For 15 s: others have its shards when it wakes up, and what it says then is nobody's."""
    owners = await _usual(cluster)
    victim = owners[0]
    async with RoomTalk(cluster) as talk:
        await talk.talk(1)
        cluster.signal(_process(victim), signal.SIGSTOP)
        try:
            await talk.talk(15)
            owners = await cluster.owners("muc")
            assert victim not in owners.values(), f"its shards have not moved: {owners}"
        finally:
            cluster.signal(_process(victim), signal.SIGCONT)
        await talk.talk(2)
        _say(await talk.check(f"{victim} was frozen"))


@scenario(seconds=120)
async def a_session_manager_is_killed(cluster: Cluster) -> None:
    """No connection drops, and nobody leaves a room."""
    await _usual(cluster)
    async with RoomTalk(cluster) as talk:
        await talk.talk(1)
        cluster.kill("session-manager/2")
        await talk.talk(8)
        assert set((await cluster.all_owned()).values()) == {"session-manager-1"}
        _say(await talk.check("session-manager-2 was killed"))
    await cluster.up()


@scenario(seconds=120)
async def a_gateway_is_killed_and_clients_resume(cluster: Cluster) -> None:
    """Who resumes has never left. Who cannot leaves for all others, once."""
    await _usual(cluster)
    passer = await person(cluster, "passer", "gateway/2")
    async with RoomTalk(cluster, all_managed=True) as talk:
        await enter(passer, talk.rooms[0], "passer")
        await talk.talk(1)
        talk.may_drop = True
        talk.gateways.remove("gateway/2")
        cluster.kill("gateway/2")
        await talk.talk(4)
        _say(await talk.check("gateway-2 was killed", gone={(talk.rooms[0], "passer")}))
        resumed = [occupant.nick for occupant in talk.occupants if occupant.resumed]
        assert len(resumed) == len(talk.occupants) // 2, resumed
    await cluster.up()


@scenario(seconds=180)
async def redis_is_emptied_and_kafka_killed(cluster: Cluster) -> None:
    await _usual(cluster)
    async with RoomTalk(cluster) as talk:
        await talk.talk(1)
        assert await cluster.redis("FLUSHALL") == "OK"
        await talk.talk(2)
        _say(await talk.check("Redis was emptied"))
        cluster.kill("kafka")
        await talk.talk_until(asyncio.create_task(cluster.up()))
        _say(await talk.check("Kafka was killed", seconds=90))
        await cluster.all_owned(service="muc")


@scenario(seconds=240)
async def postgresql_is_away(cluster: Cluster) -> None:
    """Rooms that are in memory go on; who would enter, or speaks in, another one is told to wait, and is served when
    PostgreSQL is back. Somebody who does not come back in time meanwhile leaves, once."""
    owners = await _usual(cluster)
    host, visitor, sleeper = await asyncio.gather(person(cluster, "host"), person(cluster, "visitor", "gateway/2"), person(cluster, "sleeper"))
    shard = 0
    quiet, new = room_in(cluster, shard, f"quiet-{host.user}"), room_in(cluster, shard, f"new-{host.user}")
    await enter(host, quiet, "host")
    await configure(host, quiet, persistentroom="1")
    # Its next owner has not heard of it.
    await cluster.restart(_process(owners[shard]))
    await cluster.all_owned(service="muc")
    async with RoomTalk(cluster) as talk:
        await sleeper.enable()
        await enter(sleeper, talk.rooms[1], "sleeper")
        await talk.talk(1)
        frozen = cluster.freeze("postgresql")
        try:
            began = asyncio.get_running_loop().time()
            await asyncio.gather(_told_to_wait(visitor, quiet), _told_to_wait(visitor, new), _told_to_wait_who_speaks(host, quiet))
            _say(await talk.check("PostgreSQL is away"))
            # Its session waits for a minute (sessions.resume-timeout), so nobody has left at the next look.
            sleeper.abort()
            await talk.talk(max(0.0, AWAY - (asyncio.get_running_loop().time() - began)))
            _say(await talk.check("PostgreSQL is still away"))
        finally:
            cluster.thaw(frozen)
        await until(lambda: _enters(visitor, quiet), "the room is there again", 40, every=0.5)
        assert await is_in(host, quiet, "host"), "whom nobody has taken out is not in"
        host.message(quiet, "welcome", "groupchat")
        for client in (host, visitor):
            await client.expect_message("welcome")
        await until(lambda: _enters(visitor, new), "rooms can be made again", 40, every=0.5)
        _say(await talk.check("PostgreSQL is back", gone={(talk.rooms[1], "sleeper")}, seconds=90))
    await until(lambda: _all_saved(cluster), "all rooms are saved", 40, every=0.5)
    await leave(host, visitor)


async def _told_to_wait(client, room: str) -> None:
    start_entering(client, room, "visitor")
    answer = await client.expect(lambda s: name(s) == "presence" and s.get("from", "").startswith(room), f"an answer of {room}", 30)
    assert error_of(answer)[0] == "wait", text(answer)


async def _told_to_wait_who_speaks(client, room: str) -> None:
    id_ = client.message(room, "does anybody hear me?", "groupchat")
    answer = await client.expect(lambda s: name(s) == "message" and s.get("id") == id_, f"an answer of {room}", 30)
    assert error_of(answer)[0] == "wait", text(answer)


async def _enters(client, room: str) -> bool:
    start_entering(client, room, "visitor")
    answer = await client.expect(lambda s: name(s) == "presence" and s.get("from") == f"{room}/visitor", f"an answer of {room}", 30)
    return answer.get("type") != "error"


async def _all_saved(cluster: Cluster) -> bool:
    found = [await cluster.metrics(name_) for name_ in cluster.instances("muc")]
    return not sum(metrics["rookery_muc_unsaved_rooms"] for metrics in found)


@scenario(seconds=90)
async def whoever_vanishes_leaves(cluster: Cluster) -> None:
    """A connection that breaks without a word is the end of a session that nobody may resume: the others see it, once, and
    the name is free. Who may resume stays in, and misses nothing."""
    await _usual(cluster)
    ann, bob, carl = await asyncio.gather(person(cluster, "ann"), person(cluster, "bob", "gateway/2"), person(cluster, "carl", "gateway/2"))
    room = room_in(cluster, 1, f"vanish-{ann.user}")
    await enter(ann, room, "ann")
    await configure(ann, room)
    await carl.enable()
    for client, nick in ((bob, "bob"), (carl, "carl")):
        await enter(client, room, nick)
        await ann.expect_presence(f"{room}/{nick}")
    for client in (bob, carl):
        client.abort()
        await client.connection.wait_closed()
    # Who may come back is still in.
    await ann.expect_presence(f"{room}/bob", "unavailable")
    assert not ann.has(lambda s: s.get("from") == f"{room}/carl" and s.get("type") == "unavailable"), "it was not waited for"
    ann.message(room, "one is gone", "groupchat")
    await ann.expect_message("one is gone")
    answer = await carl.resume(cluster.address("gateway/1"))
    assert name(answer) == "resumed", text(answer)
    await carl.expect_presence(f"{room}/bob", "unavailable")
    await carl.expect_message("one is gone")
    assert not ann.has(lambda s: s.get("type") in ("unavailable", "error")), [text(s) for s in ann.inbox]
    assert await is_in(ann, room, "ann") and await is_in(carl, room, "carl")
    bob.handled = None
    await bob.open(cluster.address("gateway/1"))
    await bob.authenticate()
    await bob.bind()
    await enter(bob, room, "bob")
    await leave(ann, bob, carl)
