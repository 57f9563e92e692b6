"""What is wrong or hostile in rooms: the error that XEP-0045 has for it, and nobody else notices."""

import secrets

from harness import ns
from harness.client import Client, error_of
from harness.cluster import Cluster
from harness.people import leave, pair, person
from harness.rooms import configure, enter, is_in, start_entering
from harness.runner import scenario
from harness.stock_rooms import new_room
from harness.xml import escape, name

# PRECIS (RFC 8265 section 2.3) or the room forbids them; what a client's own server refuses has no address at all.
_WRONG_NICKS = ("", " ", "\u00a0", "\u2028", "a\u202eb", "\u200b", "\ufdd0", "x" * 1023, "n" * 3000)


async def _entering_is_refused(client: Client, room: str, nick: str) -> tuple[str, str]:
    start_entering(client, room, escape(nick))
    answer = await client.expect(lambda s: name(s) == "presence" and s.get("type") == "error", f"an error for {nick[:20]!r}")
    return error_of(answer)


@scenario
async def nicks_that_nobody_may_have(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    room = new_room(cluster)
    await enter(ann, room, "ann")
    await configure(ann, room)
    for nick in _WRONG_NICKS:
        kind, condition = await _entering_is_refused(bob, room, nick)
        assert (kind, condition) in (("modify", "jid-malformed"), ("modify", "not-acceptable")), (nick[:20], kind, condition)
    # Looks like another's (Cyrillic), or is the same but for its width.
    for nick in ("\u0430nn", "\uff41nn"):
        kind, condition = await _entering_is_refused(bob, room, nick)
        assert condition in ("conflict", "not-acceptable"), (nick, kind, condition)
    # Others' scripts are as good.
    for nick in ("\u0431\u043e\u0431", "\u9c8d\u52c3", "\u0628\u0648\u0628", "bob the \U0001f9d9"):
        await enter(bob, room, nick)
        assert await is_in(bob, room, nick)
        bob.presence(f"{room}/{nick}", "unavailable")
        await ann.expect_presence(f"{room}/{nick}", "unavailable")
    await leave(ann, bob)


@scenario
async def nobody_speaks_as_another_occupant(cluster: Cluster) -> None:
    """Whatever a client says it is, a room knows it by its own address; who is not in speaks to nobody."""
    ann, bob = await pair(cluster)
    room = new_room(cluster)
    await enter(ann, room, "ann")
    await configure(ann, room)
    for body, wrong in (("as ann", f"{room}/ann"), ("as the room", room), ("as the service", f"conference.{cluster.domain}")):
        stranger = await person(cluster, "stranger")
        stranger.send(f"<message xmlns='{ns.CLIENT}' from='{wrong}' to='{room}' type='groupchat'><body>{body}</body></message>")
        # RFC 6120 section 8.1.2.1 lets a server choose.
        assert await stranger.connection.wait_error() == "invalid-from", wrong
    bob.send(f"<message xmlns='{ns.CLIENT}' to='{room}/ann' type='chat'><body>from outside</body></message>")
    assert error_of(await bob.expect(lambda s: s.get("type") == "error", "an error")) == ("modify", "not-acceptable")
    ann.message(room, "the end", "groupchat")
    await ann.expect_message("the end")
    assert not ann.has(lambda s: name(s) == "message" and s.findtext(f"{{{ns.CLIENT}}}body") not in (None, "the end")), "it was heard"
    await leave(ann, bob)


@scenario
async def rooms_of_every_script(cluster: Cluster) -> None:
    """Names beyond ASCII, each of which is one room however it is written."""
    ann, bob = await pair(cluster)
    # Digits: letters would break the rule for names that are written from right to left (RFC 5893).
    suffix = str(secrets.randbelow(10**9))
    service = f"conference.{cluster.domain}"
    for written, same in (("Stra\u00dfe", "stra\u00dfe"), ("\u0416\u0418\u0417\u041d\u042c", "\u0436\u0438\u0437\u043d\u044c"), ("e\u0301te\u0301", "\u00e9t\u00e9"),
                          ("\u65e5\u672c\u8a9e", "\u65e5\u672c\u8a9e"), ("\u0645\u0631\u062d\u0628\u0627", "\u0645\u0631\u062d\u0628\u0627")):
        room = f"{same}{suffix}@{service}"
        ann.presence(f"{written}{suffix}@{service}/ann", extra=f"<x xmlns='{ns.MUC}'/>")
        await ann.expect_presence(f"{room}/ann")
        await configure(ann, room)
        await enter(bob, room, "bob")
        await ann.expect_presence(f"{room}/bob")
    for wrong in ("a b", "\u202e", "x" * 1024):
        ann.presence(f"{wrong}@{service}/ann", extra=f"<x xmlns='{ns.MUC}'/>")
        answer = await ann.expect(lambda s: name(s) == "presence" and s.get("type") == "error", f"an error for {wrong[:20]!r}")
        assert error_of(answer) == ("modify", "jid-malformed"), error_of(answer)
    await leave(ann, bob)
