"""What people do in rooms (XEP-0045), with slixmpp and stanza.js on different gateways."""

import asyncio

from harness import ns
from harness.cluster import Cluster
from harness.people import unique
from harness.runner import scenario
from harness.stock import StanzaJs
from harness.stock_rooms import RoomSlixmpp, guests, new_room, refusal

# Of each of three people who talk at once.
LINES = 15


def _stanzajs(cluster: Cluster) -> StanzaJs:
    port = cluster.address("gateway/2", "websocket-tls").rpartition(":")[2]
    return StanzaJs(f"{unique('juliet')}@{cluster.domain}", "balcony", f"wss://{cluster.domain}:{port}/xmpp-websocket",
                    str(cluster.state / "certificates" / "ca.pem"), register=True)


@scenario(seconds=90)
async def everybody_hears_the_same_in_the_same_order(cluster: Cluster) -> None:
    """Three people on two gateways, TCP and WebSocket, talk at once: one order, with ids and stanza-ids, for all; who
    speaks hears it once, with the id that it had (section 7.4, `#stable_id`; XEP-0359)."""
    room, juliet = new_room(cluster), _stanzajs(cluster)
    async with guests(cluster, "romeo", "mercutio") as (romeo, mercutio):
        try:
            await romeo.create(room, "romeo", changesubject=False)
            await juliet.connect()
            await juliet.events.wait("online")
            entered = await juliet.enter(room, "juliet")
            assert 110 in entered["codes"] and entered["nick"] == "juliet", entered
            seen = await romeo.events.wait("occupant", room=room, nick="juliet")
            assert not seen["gone"] and (seen["role"], seen["affiliation"]) == ("participant", "none"), seen
            late = await mercutio.enter(room, "mercutio")
            assert sorted(late.others) == ["juliet", "romeo"], late
            everybody = {"romeo": romeo, "mercutio": mercutio, "juliet": juliet}

            async def speak(who: str, client) -> None:
                for n in range(LINES):
                    said = client.say(room, f"{who} says {n}", f"{who}-{n}")
                    if said is not None:
                        await said

            await asyncio.gather(*(speak(who, client) for who, client in everybody.items()))
            heard = {who: [await client.events.wait("groupchat", room=room) for _ in range(3 * LINES)] for who, client in everybody.items()}
            orders = {who: [(m["id"], m["stanza_id"], m["nick"], m["body"]) for m in messages] for who, messages in heard.items()}
            assert orders["romeo"] == orders["mercutio"] == orders["juliet"], orders
            for who in everybody:
                assert [m["id"] for m in heard["romeo"] if m["nick"] == who] == [f"{who}-{n}" for n in range(LINES)], heard["romeo"]
            marks = [int(mark) for _, mark, _, _ in orders["romeo"]]
            assert marks == sorted(set(marks)), marks
            # XEP-0421: who speaks is known by an id that is nobody else's.
            assert len({(m["nick"], m["occupant_id"]) for m in heard["romeo"]}) == len({m["occupant_id"] for m in heard["romeo"]}) == 3
            assert not any(client.events.count("groupchat") for client in everybody.values()), "something came twice"
            await juliet.set_subject(room, "Verona")
            await juliet.events.wait("message-error", jid=room)
            romeo.set_subject(room, "Verona")
            for client in (romeo, mercutio):
                assert (await client.events.wait("subject", room=room, subject="Verona"))["nick"] == "romeo"
            await juliet.events.wait("subject", room=room, subject="Verona")
            await juliet.go_away()
            gone = await romeo.events.wait("occupant", room=room, nick="juliet", gone=True)
            assert gone["role"] == "none", gone
        finally:
            await juliet.close()


@scenario
async def who_comes_late_is_given_what_was_said(cluster: Cluster) -> None:
    """Others' presence, one's own with 110, the history with its times, the subject (sections 7.2.2, 7.2.13 to 7.2.15)."""
    room = new_room(cluster)
    async with guests(cluster, "romeo", "benvolio", "tybalt") as (romeo, benvolio, tybalt):
        await romeo.create(room, "romeo")
        romeo.set_subject(room, "the feast")
        for n in range(5):
            romeo.say(room, f"before {n}")
        for n in range(5):
            await romeo.events.wait("groupchat", room=room, body=f"before {n}")
        entered = await benvolio.enter(room, "benvolio")
        assert entered.others == ["romeo"] and entered.codes == [110], entered
        assert entered.history == [f"before {n}" for n in range(5)] and entered.subject == "the feast", entered
        old = benvolio.events.all("groupchat", room=room)
        assert all(m["delayed"] and m["nick"] == "romeo" for m in old), old
        given = {m["body"]: m["stanza_id"] for m in old}
        romeo.say(room, "after")
        live = await benvolio.events.wait("groupchat", room=room, body="after")
        assert not live["delayed"] and int(live["stanza_id"]) > max(map(int, given.values())), (live, given)
        # As much as is wanted, or nothing.
        some = await tybalt.enter(room, "tybalt", maxstanzas=2)
        assert some.history == ["before 4", "after"], some
        tybalt.leave(room, "tybalt")
        await romeo.events.wait("occupant", room=room, nick="tybalt", gone=True)
        none = await tybalt.enter(room, "tybalt", maxstanzas=0)
        assert none.history == [] and none.subject == "the feast", none


@scenario
async def a_nick_is_one_persons(cluster: Cluster) -> None:
    """Conflict (section 7.2.8), change (7.6), reserved while in; pings of one's own nick (XEP-0410)."""
    room = new_room(cluster)
    async with guests(cluster, "romeo", "paris") as (romeo, paris):
        await romeo.create(room, "romeo")
        assert await refusal(paris.enter(room, "romeo")) == ("cancel", "conflict")
        assert not await paris.is_in(room, "romeo"), "who was refused is told that it is in"
        await paris.enter(room, "paris")
        assert await romeo.is_in(room, "romeo") and await paris.is_in(room, "paris")
        paris.change_nick(room, "romeo")
        await paris.events.wait("room-error", room=room, nick="romeo", error=("cancel", "conflict"))
        paris.change_nick(room, "count")
        for client in (romeo, paris):
            old = await client.events.wait("occupant", room=room, nick="paris", gone=True)
            assert 303 in old["codes"] and old["new_nick"] == "count" and (110 in old["codes"]) == (client is paris), old
            new = await client.events.wait("occupant", room=room, nick="count", gone=False)
            assert (110 in new["codes"]) == (client is paris), new
        assert await paris.is_in(room, "count")
        paris.leave(room, "count")
        await romeo.events.wait("occupant", room=room, nick="count", gone=True)
        assert not await paris.is_in(room, "count")


@scenario
async def private_messages_and_who_is_not_in(cluster: Cluster) -> None:
    """Between two occupants, under their nicks (section 7.5); nobody else speaks (7.4, 7.5)."""
    room = new_room(cluster)
    async with guests(cluster, "romeo", "juliet", "nurse") as (romeo, juliet, nurse):
        await romeo.create(room, "romeo")
        await juliet.enter(room, "juliet")
        romeo.whisper(room, "juliet", "in secret")
        private = await juliet.events.wait("private", room=room)
        assert (private["nick"], private["body"]) == ("romeo", "in secret"), private
        romeo.whisper(room, "nobody", "is anybody there?")
        assert (await romeo.events.wait("room-error", room=room, nick="nobody"))["error"] == ("cancel", "item-not-found")
        nurse.say(room, "from outside")
        assert (await nurse.events.wait("room-error", room=room))["error"] == ("modify", "not-acceptable")
        nurse.whisper(room, "juliet", "from outside")
        assert (await nurse.events.wait("room-error", room=room))["error"] == ("modify", "not-acceptable")
        nowhere = new_room(cluster, "nowhere")
        nurse.say(nowhere, "hello?")
        assert (await nurse.events.wait("room-error", room=nowhere))["error"] == ("cancel", "item-not-found")
        # All of it was behind the message that arrived.
        juliet.say(room, "the end")
        await romeo.events.wait("groupchat", room=room, body="the end")
        assert not juliet.events.count("private") and romeo.events.count("groupchat") == 0, (juliet.events.last(), romeo.events.last())


@scenario
async def two_devices_under_one_nick(cluster: Cluster) -> None:
    """Both hear everything; the occupant is gone when the last of them is (section 7.2.4)."""
    room = new_room(cluster)
    async with guests(cluster, "romeo", "juliet") as (romeo, juliet):
        await romeo.create(room, "romeo")
        await juliet.enter(room, "juliet")
        ca = str(cluster.state / "certificates" / "ca.pem")
        phone = RoomSlixmpp(juliet.bare, "wherefore", cluster.address("gateway/2"), ca, register=False)
        try:
            await phone.connect()
            await phone.events.wait("online")
            assert 110 in (await phone.enter(room, "juliet")).codes
            romeo.say(room, "to both")
            for client in (juliet, phone):
                await client.events.wait("groupchat", room=room, body="to both")
            assert romeo.events.count("occupant", room=room, nick="juliet", gone=True) == 0
            juliet.leave(room, "juliet")
            await juliet.events.wait("occupant", room=room, nick="juliet", gone=True)
            romeo.say(room, "to one")
            await phone.events.wait("groupchat", room=room, body="to one")
            assert romeo.events.count("occupant", room=room, nick="juliet", gone=True) == 0
        finally:
            await phone.close()
        await romeo.events.wait("occupant", room=room, nick="juliet", gone=True)


@scenario
async def rooms_are_found_by_disco(cluster: Cluster) -> None:
    """XEP-0030: the domain names the service, the service its public rooms, a room what it is (sections 6.1 to 6.4)."""
    conference, room, hidden = f"conference.{cluster.domain}", new_room(cluster, "public"), new_room(cluster, "hidden")
    async with guests(cluster, "romeo", "juliet") as (romeo, juliet):
        assert conference in await romeo.items(cluster.domain)
        identities, features, _ = await romeo.info(conference)
        assert {(category, kind) for category, kind, _ in identities} == {("conference", "text"), ("directory", "chatroom")}, identities
        assert {ns.DISCO_INFO, ns.DISCO_ITEMS, ns.MUC} <= features, features
        await romeo.create(room, "romeo", roomname="A room", roomdesc="for all", persistentroom=True)
        await romeo.create(hidden, "romeo", publicroom=False)
        listed = await juliet.items(conference)
        assert listed.get(room) == "A room" and hidden not in listed, listed
        identities, features, fields = await juliet.info(room)
        assert ("conference", "text", "A room") in identities, identities
        assert {ns.MUC, ns.SID, ns.OCCUPANT_ID, "muc_open", "muc_public", "muc_persistent", "muc_unmoderated", "muc_semianonymous",
                "muc_unsecured", f"{ns.MUC}#stable_id", f"{ns.MUC}#self-ping-optimization"} <= features, features
        assert fields.get("muc#roominfo_description") == "for all" and fields.get("muc#roominfo_occupants") == "1", fields
        assert {"muc_hidden", "muc_temporary"} <= (await juliet.info(hidden))[1]
        # A temporary room goes with its last occupant, another one stays.
        for one in (room, hidden):
            romeo.leave(one, "romeo")
            await romeo.events.wait("occupant", room=one, nick="romeo", gone=True)
        assert await refusal(juliet.info(hidden)) == ("cancel", "item-not-found")
        assert (await juliet.info(room))[2].get("muc#roominfo_occupants") == "0"
        assert {110} == set((await juliet.enter(room, "juliet")).codes)
