"""The main job with clients that we did not write: slixmpp on TCP and stanza.js on WebSocket, in private and in a room.

Also `deploy/local/cluster demo`: `python -m scenarios.demo --state DIR` prints the talk for
a person to read, on the cluster that runs there."""

import asyncio
import secrets
import sys
import time

from harness.cluster import Cluster
from harness.runner import scenario
from harness.stock import StanzaJs
from harness.stock_rooms import RoomSlixmpp
from harness.wait import until

# In the middle of which the session-manager is killed, or the room's owner.
TALK = 40


class Transcript:
    def __init__(self, show: bool):
        self._show = show
        self._began = time.monotonic()

    def say(self, who: str, what: str) -> None:
        if self._show:
            print(f"{time.monotonic() - self._began:6.1f} s  {who:<10} {what}", flush=True)


async def play(cluster: Cluster, out: Transcript) -> None:
    async def two_own() -> dict | None:
        # One that has just started takes its share a moment later.
        owned = await cluster.all_owned()
        return owned if len(set(owned.values())) >= 2 else None

    owners = await until(two_own, "two session-managers own shards", 60, every=0.3)
    managers = sorted(set(owners.values()))
    unique = secrets.token_hex(2)
    romeo_name = cluster.user_on_shard_of(managers[0], owners, f"romeo-{unique}")
    juliet_name = cluster.user_on_shard_of(managers[1], owners, f"juliet-{unique}")
    romeo_jid, juliet_jid = f"{romeo_name}@{cluster.domain}", f"{juliet_name}@{cluster.domain}"
    ca = str(cluster.state / "certificates" / "ca.pem")
    port = cluster.address("gateway/2", "websocket-tls").rpartition(":")[2]
    url = f"wss://{cluster.domain}:{port}/xmpp-websocket"

    out.say("romeo", f"is {romeo_jid}, slixmpp on TCP at gateway/1; shard {cluster.shard(romeo_jid)} of {managers[0]}")
    out.say("juliet", f"is {juliet_jid}, stanza.js on {url} at gateway/2; shard {cluster.shard(juliet_jid)} of {managers[1]}")
    romeo = RoomSlixmpp(romeo_jid, "wherefore", cluster.address("gateway/1", "xmpp"), ca, register=True)
    juliet = StanzaJs(juliet_jid, "balcony", url, ca, register=True)
    try:
        await _sign_in(romeo, juliet, out)
        await _become_contacts(romeo, juliet, romeo_jid, juliet_jid, out)
        await _chat(romeo, juliet, romeo_jid, juliet_jid, out)
        await _miss_and_catch_up(cluster, romeo, juliet, romeo_jid, juliet_jid, out)
        await _survive(cluster, romeo, juliet, romeo_jid, juliet_jid, managers[1], out)
        await _meet_in_a_room(cluster, romeo, juliet, f"balcony-{unique}@conference.{cluster.domain}", out)
    finally:
        await asyncio.gather(romeo.close(), juliet.close())


async def _sign_in(romeo, juliet, out: Transcript) -> None:
    await asyncio.gather(romeo.connect(), juliet.connect())
    for name, client in (("romeo", romeo), ("juliet", juliet)):
        await client.events.wait("registered")
        out.say(name, "has registered an account")
    await romeo.events.wait("tls")
    mechanism = (await romeo.events.wait("authenticated"))["mechanism"]
    assert mechanism.startswith("SCRAM-"), mechanism
    fields = await juliet.events.wait("authenticating")
    assert fields["mechanism"].startswith("SCRAM-") and fields["tls"], fields
    for name, client, how in (("romeo", romeo, mechanism), ("juliet", juliet, fields["mechanism"])):
        jid = (await client.events.wait("online"))["jid"]
        out.say(name, f"has signed in over TLS with {how} as {jid}")


async def _become_contacts(romeo, juliet, romeo_jid: str, juliet_jid: str, out: Transcript) -> None:
    await romeo.subscribe(juliet_jid)
    await juliet.events.wait("subscribe", jid=romeo_jid)
    out.say("juliet", "is asked by romeo for her presence, and agrees")
    await juliet.accept(romeo_jid)
    await romeo.events.wait("subscribed", jid=juliet_jid)
    await _sees(romeo, juliet_jid)
    out.say("romeo", "sees that juliet is there")
    await juliet.subscribe(romeo_jid)
    await romeo.events.wait("subscribe", jid=juliet_jid)
    await romeo.accept(juliet_jid)
    await juliet.events.wait("subscribed", jid=romeo_jid)
    await _sees(juliet, romeo_jid)
    out.say("juliet", "sees that romeo is there")


async def _sees(client, bare: str, kind: str = "available") -> None:
    deadline = time.monotonic() + 20
    while not (await client.events.wait(kind, max(0.1, deadline - time.monotonic())))["jid"].startswith(bare):
        pass


async def _chat(romeo, juliet, romeo_jid: str, juliet_jid: str, out: Transcript) -> None:
    lines = (
        (romeo, juliet, "romeo", "juliet", "But soft, what light through yonder window breaks?"),
        (juliet, romeo, "juliet", "romeo", "Art thou not Romeo, and a Montague?"),
        (romeo, juliet, "romeo", "juliet", "Neither, fair saint, if either thee dislike."),
        (juliet, romeo, "juliet", "romeo", "How cam'st thou hither, tell me, & <wherefore>? ♥"),
    )
    jids = {"romeo": romeo_jid, "juliet": juliet_jid}
    for sender, receiver, from_, to, body in lines:
        await sender.message(jids[to], body)
        await receiver.events.wait("message", jid=jids[from_], body=body)
        out.say(to, f"reads: {body}")


async def _miss_and_catch_up(cluster: Cluster, romeo, juliet, romeo_jid: str, juliet_jid: str, out: Transcript) -> None:
    await juliet.go_away()
    await _sees(romeo, juliet_jid, "unavailable")
    out.say("juliet", "has gone away, and romeo sees it")
    bodies = [f"while you were away, {n} of 5" for n in range(1, 6)]

    async def kept() -> float:
        return await cluster.counted("session-manager", "messages_stored_offline")

    before = await kept()
    for body in bodies:
        await romeo.message(juliet_jid, body)
    out.say("romeo", f"writes {len(bodies)} messages meanwhile")

    async def all_wait() -> bool:
        return await kept() - before >= len(bodies)

    await until(all_wait, "what was written waits for juliet")
    await juliet.connect()
    await juliet.events.wait("online")
    for body in bodies:
        fields = await juliet.events.wait("message", jid=romeo_jid)
        assert fields["body"] == body, f"out of order: {fields} instead of {body}"
        assert fields["delayed"], f"{body}: without the time at which it was sent"
    await _sees(romeo, juliet_jid)
    out.say("juliet", f"is back and has all {len(bodies)}, in order, with their times")


async def _survive(cluster: Cluster, romeo, juliet, romeo_jid: str, juliet_jid: str, victim: str, out: Transcript) -> None:
    name = victim.replace("session-manager-", "session-manager/")
    out.say("", f"romeo and juliet write {TALK} messages each; in the middle {name}, which has juliet's session, is killed with kill -9")

    half_said = asyncio.Event()

    async def write(sender, to: str, who: str) -> None:
        for n in range(1, TALK + 1):
            await sender.message(to, f"{who} {n}")
            if n == TALK // 2:
                half_said.set()
            await asyncio.sleep(0.05)

    writing = asyncio.gather(write(romeo, juliet_jid, "romeo"), write(juliet, romeo_jid, "juliet"))
    await half_said.wait()
    cluster.kill(name)
    killed = time.monotonic()
    out.say("", f"{name} is dead")
    await writing
    for reader, from_jid, who in ((juliet, romeo_jid, "romeo"), (romeo, juliet_jid, "juliet")):
        for n in range(1, TALK + 1):
            body = (await reader.events.wait("message", 40, jid=from_jid))["body"]
            assert body == f"{who} {n}", f"out of order: {body} instead of {who} {n}"
    waited = time.monotonic() - killed
    for client in (romeo, juliet):
        assert client.events.count("disconnected") == 0, "a client's connection dropped"
        # What would be there twice is still there now.
        assert client.events.count("message") == 0, "a message came twice"
        assert client.events.count("message-error") == 0, "a message was bounced"
    out.say("", f"all {2 * TALK} messages arrived, each once and in order, {waited:.1f} s after the kill; no connection was lost")


async def _meet_in_a_room(cluster: Cluster, romeo, juliet, room: str, out: Transcript) -> None:
    await romeo.create(room, "romeo", roomname="The balcony")
    out.say("romeo", f"has made the room {room}")
    await juliet.enter(room, "juliet")
    await romeo.events.wait("occupant", room=room, nick="juliet", gone=False)
    out.say("juliet", "has entered it, and romeo sees it")
    owner = (await cluster.owners("muc"))[cluster.shard(room)].replace("muc-", "muc/")
    out.say("", f"both write {TALK} messages there; in the middle {owner}, which has the room, is killed with kill -9")
    half_said = asyncio.Event()

    async def write(client, who: str) -> None:
        for n in range(1, TALK + 1):
            said = client.say(room, f"{who} {n}")
            if said is not None:
                await said
            if n == TALK // 2:
                half_said.set()
            await asyncio.sleep(0.05)

    writing = asyncio.gather(write(romeo, "romeo"), write(juliet, "juliet"))
    await half_said.wait()
    cluster.kill(owner)
    killed = time.monotonic()
    out.say("", f"{owner} is dead")
    await writing
    heard = [[await client.events.wait("groupchat", 40, room=room) for _ in range(2 * TALK)] for client in (romeo, juliet)]
    waited = time.monotonic() - killed
    orders = [[(message["stanza_id"], message["body"]) for message in messages] for messages in heard]
    assert orders[0] == orders[1], f"not in one order: {orders}"
    for who in ("romeo", "juliet"):
        bodies = [message["body"] for message in heard[0] if message["nick"] == who]
        assert bodies == [f"{who} {n}" for n in range(1, TALK + 1)], f"lost, doubled or out of order: {bodies}"
    assert await romeo.is_in(room, "romeo"), "romeo is not in the room any more"
    for client in (romeo, juliet):
        assert client.events.count("groupchat") == 0, "a message came twice"
        assert client.events.count("disconnected") == 0, "a client's connection dropped"
        assert client.events.count("occupant", room=room, gone=True) == 0, "somebody has left the room"
    out.say("", f"all {2 * TALK} messages were heard, each once and in one order for both, {waited:.1f} s after the kill; nobody has left the room")


@scenario(seconds=240)
async def two_stock_clients_and_kills(cluster: Cluster) -> None:
    await cluster.up()
    try:
        await play(cluster, Transcript(show=False))
    finally:
        await cluster.up()


async def _main(state) -> None:
    cluster = Cluster(state)
    await cluster.refresh()
    try:
        await play(cluster, Transcript(show=True))
    finally:
        # What was killed comes back.
        await cluster.command("up", "--no-build")
    print("\nThe session-manager and the muc process run again. `deploy/local/cluster down` stops the cluster.")


if __name__ == "__main__":
    from pathlib import Path

    from scenarios import demo

    try:
        asyncio.run(demo._main(Path(sys.argv[sys.argv.index("--state") + 1])))
    except (AssertionError, OSError) as error:
        print(f"error: the demo failed: {error}", file=sys.stderr)
        sys.exit(1)
