"""Messages for those who are away (XEP-0160), with the time of their receipt (XEP-0203)."""

import datetime

from harness import ns
from harness.cluster import Cluster
from harness.people import account, is_message, leave, person, priority_
from harness.runner import scenario
from harness.xml import child, text


@scenario
async def kept_in_order_and_given_once(cluster: Cluster) -> None:
    ann, bob = await person(cluster, "ann"), await account(cluster, "bob")
    before = datetime.datetime.now(datetime.timezone.utc)
    for n in range(50):
        ann.message(bob.bare, f"note {n}")
    await ann.sync_through(bob.bare)
    await bob.login(cluster.address("gateway/2"))
    await bob.available()
    for n in range(50):
        stanza = await bob.expect(is_message)
        assert stanza.findtext(f"{{{ns.CLIENT}}}body") == f"note {n}", text(stanza)
        delay = child(stanza, ns.DELAY, "delay")
        assert delay is not None and delay.get("from") == bob.domain, text(stanza)
        stamp = datetime.datetime.fromisoformat(delay.get("stamp").replace("Z", "+00:00"))
        assert before - datetime.timedelta(seconds=5) <= stamp <= datetime.datetime.now(datetime.timezone.utc), delay.get("stamp")
        assert stanza.get("from") == ann.jid
    await bob.close()
    await bob.login(cluster.address("gateway/1"))
    await bob.available()
    await bob.sync()
    assert not bob.bodies(), f"given again: {bob.bodies()}"
    await leave(ann, bob)


@scenario
async def what_is_stored_and_what_not(cluster: Cluster) -> None:
    ann, bob = await person(cluster, "ann"), await account(cluster, "bob")
    ann.message(bob.bare, "", extra=f"<composing xmlns='{ns.CHAT_STATES}'/>")
    ann.message(bob.bare, "unsaved", extra=f"<no-store xmlns='{ns.HINTS}'/>")
    ann.message(bob.bare, "news", type_="headline")
    ann.message(bob.bare, "plain", type_="")
    ann.message(bob.bare, "typed with state", extra=f"<active xmlns='{ns.CHAT_STATES}'/>")
    ann.message(bob.bare, "", extra=f"<received xmlns='urn:xmpp:receipts' id='1'/><store xmlns='{ns.HINTS}'/>", id_="stored-hint")
    await ann.sync_through(bob.bare)
    await bob.login(cluster.address("gateway/2"))
    await bob.available()
    await bob.expect_message("plain")
    await bob.expect_message("typed with state")
    await bob.expect(lambda s: s.get("id") == "stored-hint")
    await bob.sync()
    left = [text(s) for s in bob.inbox if is_message(s)]
    assert not left, left
    await leave(ann, bob)


@scenario
async def negative_priority_waits(cluster: Cluster) -> None:
    ann, bob = await person(cluster, "ann"), await account(cluster, "bob")
    ann.message(bob.bare, "for later")
    await ann.sync()
    await bob.login(cluster.address("gateway/2"))
    await bob.available(priority_(-1))
    await bob.sync()
    assert not bob.bodies(), bob.bodies()
    bob.presence(extra=priority_(1))
    await bob.expect_message("for later")
    await leave(ann, bob)


@scenario
async def closing_in_order_loses_nothing(cluster: Cluster) -> None:
    """One who leaves while others write: what was not given waits."""
    ann, bob = await person(cluster, "ann"), await person(cluster, "bob", "gateway/2")
    got: list[str] = []
    for round_ in range(6):
        for n in range(25):
            ann.message(bob.bare, f"{round_}.{n}")
        await bob.close()
        got += bob.bodies()
        bob.inbox.clear()
        await bob.login(cluster.address(f"gateway/{round_ % 2 + 1}"))
        await bob.available()
    ann.message(bob.bare, "end")
    await bob.expect_message("end")
    got += bob.bodies()
    assert got == [f"{r}.{n}" for r in range(6) for n in range(25)], f"{len(got)} of 150: {got[-10:]}"
    await leave(ann, bob)


@scenario(seconds=120)
async def a_heap_of_messages_at_the_readers_speed(cluster: Cluster) -> None:
    """Much more waits than one connection's queue may hold: it comes as fast as it is read."""
    ann, bob = await person(cluster, "ann"), await account(cluster, "bob")
    count, body = 300, "h" * 30_000
    for n in range(count):
        ann.message(bob.bare, f"{n} {body}")
        if n % 20 == 19:
            await ann.sync()
    await bob.login(cluster.address("gateway/2"))
    await bob.available()
    for n in range(count):
        stanza = await bob.expect(is_message, f"message {n} of {count}", 60)
        assert stanza.findtext(f"{{{ns.CLIENT}}}body").startswith(f"{n} "), f"{n}: {text(stanza)[:300]}"
    await leave(ann, bob)
