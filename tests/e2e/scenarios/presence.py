"""RFC 6121 section 4: broadcast, probes, directed presence, and the end of a session however it ends."""

from harness import ns
from harness.client import Client, error_of
from harness.cluster import Cluster
from harness.people import another, befriend, leave, pair, priority_, unique
from harness.runner import scenario
from harness.xml import name, text


@scenario
async def broadcast_and_probe(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    ann.presence(extra="<show>away</show><status>lunch</status>")
    got = await bob.expect(lambda s: s.get("from") == ann.jid and s.findtext(f"{{{ns.CLIENT}}}show") == "away")
    assert got.findtext(f"{{{ns.CLIENT}}}status") == "lunch", text(got)
    # A new session of bob's is told what ann's last was, and ann sees it.
    second = await another(cluster, bob, "gateway/1")
    got = await second.expect_presence(ann.jid)
    assert got.findtext(f"{{{ns.CLIENT}}}show") == "away", text(got)
    await ann.expect_presence(second.jid)
    # Own resources see each other.
    await bob.expect_presence(second.jid)
    await second.expect_presence(bob.jid)
    await leave(ann, bob, second)


@scenario
async def initial_presence_comes_once(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    await bob.close()
    await ann.expect_presence(bob.jid, "unavailable")
    ann.inbox.clear()
    await bob.login(cluster.address("gateway/2"))
    await bob.available()
    await ann.expect_presence(bob.jid)
    await bob.expect_presence(ann.jid)
    await ann.sync(), await bob.sync()
    assert not ann.has(lambda s: name(s) == "presence"), [text(s) for s in ann.inbox]
    assert not bob.has(lambda s: name(s) == "presence" and s.get("from") == ann.jid), [text(s) for s in bob.inbox]
    await leave(ann, bob)


@scenario
async def every_end_is_seen(cluster: Cluster) -> None:
    """Unavailable presence, the stream's end, a broken connection, a conflict, a stream error."""
    ann, bob = await pair(cluster)
    await befriend(ann, bob)

    async def again() -> None:
        await bob.login(cluster.address("gateway/2"))
        await bob.available()
        await ann.expect_presence(bob.jid)

    bob.presence(type_="unavailable", extra="<status>bye</status>")
    got = await ann.expect_presence(bob.jid, "unavailable")
    assert got.findtext(f"{{{ns.CLIENT}}}status") == "bye", text(got)
    bob.presence()
    await ann.expect_presence(bob.jid)
    await bob.close()
    await ann.expect_presence(bob.jid, "unavailable")
    await again()
    bob.abort()
    await ann.expect_presence(bob.jid, "unavailable")
    await again()
    other = Client(bob.domain, bob.user, resource=bob.resource)
    await other.login(cluster.address("gateway/1"))
    if other.jid == bob.jid:
        await ann.expect_presence(bob.jid, "unavailable")
    await other.close()
    if other.jid == bob.jid:
        await again()
    bob.connection.write("</message>")
    await ann.expect_presence(bob.jid, "unavailable")
    await ann.sync()
    assert not ann.has(lambda s: s.get("type") == "unavailable" and s.get("from") == bob.jid), "told twice"
    await leave(ann, bob)


@scenario
async def directed_presence_and_its_end(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    ann.presence(bob.bare, extra="<status>only you</status>")
    got = await bob.expect_presence(ann.jid)
    assert got.findtext(f"{{{ns.CLIENT}}}status") == "only you", text(got)
    # Changes go to subscribers only; the end goes to all who were told.
    ann.presence(extra="<show>dnd</show>")
    await ann.sync(), await bob.sync()
    assert not bob.has(lambda s: s.get("from") == ann.jid), "a broadcast to one who was only told directly"
    ann.abort()
    await bob.expect_presence(ann.jid, "unavailable")
    await bob.sync()
    assert not bob.has(lambda s: s.get("from") == ann.jid)
    # Taken back by hand: not told a second time.
    await ann.login(cluster.address("gateway/1"))
    await ann.available()
    ann.presence(bob.jid)
    await bob.expect_presence(ann.jid)
    ann.presence(bob.jid, "unavailable")
    await bob.expect_presence(ann.jid, "unavailable")
    await ann.close()
    await bob.sync()
    assert not bob.has(lambda s: s.get("from") == ann.jid), "unavailable twice"
    await leave(bob)


@scenario
async def probes_tell_strangers_nothing(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    for to in (bob.bare, f"{unique('nobody')}@{ann.domain}"):
        ann.presence(to, "probe")
        await ann.sync()
    await bob.sync(), await ann.sync()
    shown = [s for s in ann.inbox if name(s) == "presence" and s.get("from", "").startswith(bob.bare)]
    assert all(s.get("type") in ("unsubscribed", "error") for s in shown), [text(s) for s in shown]
    await befriend(ann, bob)
    ann.inbox.clear()
    ann.presence(bob.bare, "probe")
    await ann.expect_presence(bob.jid)
    await leave(ann, bob)


@scenario
async def bad_presence(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    for extra, type_ in ((priority_(128), ""), ("<priority>-129</priority>", ""), ("<priority>high</priority>", ""), ("", "nonsense")):
        type_ = f" type='{type_}'" if type_ else ""
        ann.send(f"<presence xmlns='{ns.CLIENT}' id='bad'{type_}>{extra}</presence>")
        answer = await ann.expect(lambda s: name(s) == "presence" and s.get("id") == "bad" and s.get("type") == "error", f"an error for {extra}{type_}")
        assert error_of(answer)[1] == "bad-request", text(answer)
    # To one who is not there: silence.
    ann.presence(f"{unique('nobody')}@{ann.domain}", extra="<status>hello</status>")
    ann.presence(f"{bob.bare}/nowhere", extra="<status>hello</status>")
    await ann.sync()
    assert not ann.has(lambda s: name(s) == "presence" and s.get("type") == "error"), [text(s) for s in ann.inbox]
    await leave(ann, bob)


@scenario
async def presence_by_bare_and_full_jid(cluster: Cluster) -> None:
    ann, phone = await pair(cluster)
    sleeping = await another(cluster, phone, "gateway/1", priority=-1)
    ann.presence(phone.bare, extra="<status>all</status>")
    for client in (phone, sleeping):
        await client.expect(lambda s: s.findtext(f"{{{ns.CLIENT}}}status") == "all")
    ann.presence(sleeping.jid, extra="<status>one</status>")
    await sleeping.expect(lambda s: s.findtext(f"{{{ns.CLIENT}}}status") == "one")
    ann.message(phone.jid, "a mark")
    await phone.expect_message("a mark")
    assert not phone.has(lambda s: s.findtext(f"{{{ns.CLIENT}}}status") == "one")
    await leave(ann, phone, sleeping)


@scenario
async def presence_without_contacts_reaches_oneself_only(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await ann.sync(), await bob.sync()
    assert not bob.has(lambda s: name(s) == "presence" and s.get("from") != bob.jid), [text(s) for s in bob.inbox]
    await leave(ann, bob)
