"""Presence while no roster service runs: what contacts must hear, they hear when it is back."""

from harness.cluster import Cluster
from harness.people import befriend, leave, unique
from harness.runner import scenario
from harness.xml import text


@scenario(seconds=180)
async def unavailable_is_told_when_the_roster_is_back(cluster: Cluster) -> None:
    """The owner of ann's shard dies, and the next one cannot ask who ann's contacts are."""
    await cluster.up(gateway=2, session_manager=2, roster=2)
    owners = await cluster.all_owned()
    ann = await cluster.user(cluster.user_on_shard_of("session-manager-1", owners, unique("ann")), "gateway/1")
    eve = await cluster.user(cluster.user_on_shard_of("session-manager-1", owners, unique("eve")), "gateway/1")
    bob = await cluster.user(cluster.user_on_shard_of("session-manager-2", owners, unique("bob")), "gateway/2")
    for client in (ann, eve, bob):
        await client.available()
    await befriend(ann, bob)
    await befriend(eve, bob)
    # Two looks, between which cursors are committed: the next owner must not find subscriptions to
    # repeat, which hold back their users' stanzas until the roster is there.
    await cluster.all_owned()
    for name in ("roster/1", "roster/2", "session-manager/1"):
        cluster.kill(name)
    await cluster.refresh()
    await cluster.all_owned()
    bob.inbox.clear()
    # One says so, the other's connection breaks.
    ann.presence(type_="unavailable", extra="<status>bye</status>")
    eve.abort()
    await ann.sync(), await bob.sync()
    assert not bob.has(lambda s: s.get("type") == "unavailable"), [text(s) for s in bob.inbox]
    await cluster.up(gateway=2, session_manager=2, roster=2)
    await bob.expect_presence(ann.jid, "unavailable", 40)
    await bob.expect_presence(eve.jid, "unavailable", 40)
    assert await cluster.counted("session-manager", "presences_late") >= 1, "nobody was told late"
    await cluster.all_owned()
    ann.presence()
    await bob.expect_presence(ann.jid, "", 40)
    await leave(ann, bob)
