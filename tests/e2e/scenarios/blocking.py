"""XEP-0191: who is blocked neither hears nor is heard."""

import asyncio

from harness import ns
from harness.client import StanzaError, error_of
from harness.cluster import Cluster
from harness.people import another, befriend, is_message, leave, pair, person, unique
from harness.runner import scenario
from harness.stock import Slixmpp, StanzaJs
from harness.xml import child, escape, text

BLOCKED = "{urn:xmpp:blocking:errors}blocked"


def _items(*jids: str) -> str:
    return "".join(f"<item jid='{escape(jid)}'/>" for jid in jids)


async def _block(client, *jids: str) -> None:
    await client.iq("set", f"<block xmlns='{ns.BLOCKING}'>{_items(*jids)}</block>")


async def _unblock(client, *jids: str) -> None:
    await client.iq("set", f"<unblock xmlns='{ns.BLOCKING}'>{_items(*jids)}</unblock>")


async def _list(client) -> list[str]:
    answer = await client.iq("get", f"<blocklist xmlns='{ns.BLOCKING}'/>")
    return [item.get("jid") for item in answer[0]]


async def _condition(work) -> str:
    try:
        await work
    except StanzaError as error:
        return error.condition
    return ""


@scenario
async def list_and_pushes(cluster: Cluster) -> None:
    phone = await person(cluster, "ann")
    desk = await another(cluster, phone)
    features = await phone.iq("get", f"<query xmlns='{ns.DISCO_INFO}'/>", phone.domain)
    assert ns.BLOCKING in [e.get("var") for e in features[0]], text(features)
    assert await _list(phone) == [] and await _list(desk) == []
    eve = f"{unique('eve')}@{phone.domain}"
    await _block(phone, eve, "far.example")
    for client in (phone, desk):
        push = await client.expect(lambda s: child(s, ns.BLOCKING, "block") is not None, "a push")
        assert [item.get("jid") for item in push[0]] == [eve, "far.example"], text(push)
    assert await _list(desk) == [eve, "far.example"]
    await _unblock(desk)
    for client in (phone, desk):
        push = await client.expect(lambda s: child(s, ns.BLOCKING, "unblock") is not None, "a push")
        assert len(push[0]) == 0, text(push)
    assert await _list(phone) == []
    assert await _condition(_block(phone)) == "bad-request"
    assert await _condition(_block(phone, "a@@b")) == "jid-malformed"
    await leave(phone, desk)


@scenario
async def neither_hears_nor_is_heard(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    await _block(ann, bob.bare)
    await bob.expect_presence(ann.jid, "unavailable")
    bob.message(ann.bare, "do you hear me?")
    error = await bob.expect(lambda s: is_message(s, "error"), "an error")
    assert error_of(error)[1] == "service-unavailable", text(error)
    assert await _condition(bob.iq("get", f"<ping xmlns='{ns.PING}'/>", ann.jid)) == "service-unavailable"
    bob.presence(extra="<status>here</status>")
    bob.presence(ann.bare, "probe")
    await bob.sync()
    ann.message(bob.bare, "can you hear me now?")
    error = await ann.expect(lambda s: is_message(s, "error"), "an error")
    assert error_of(error) == ("cancel", "not-acceptable"), text(error)
    assert child(error, ns.CLIENT, "error").find(BLOCKED) is not None, text(error)
    ann.presence(extra="<status>hidden</status>")
    await ann.sync(), await bob.sync()
    heard = [s for s in ann.inbox if s.get("from", "").startswith(bob.bare) and s.get("type") != "error"]
    assert not heard, [text(s) for s in heard]
    heard = [s for s in bob.inbox if s.get("from", "").startswith(ann.bare)]
    assert not heard, [text(s) for s in heard]
    await _unblock(ann, bob.bare)
    await bob.expect_presence(ann.jid, "")
    bob.message(ann.bare, "again")
    await ann.expect_message("again")
    await leave(ann, bob)


@scenario
async def while_the_user_is_away(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await _block(ann, bob.bare)
    await ann.close()
    bob.message(ann.bare, "into the dark")
    error = await bob.expect(lambda s: is_message(s, "error"), "an error")
    assert error_of(error)[1] == "service-unavailable", text(error)
    again = await another(cluster, ann)
    await again.sync()
    assert not again.has(is_message), [text(s) for s in again.inbox]
    assert await _list(again) == [bob.bare]
    await leave(again, bob)


@scenario
async def the_list_outlives_the_owner(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await _block(ann, bob.bare)
    owner = (await cluster.all_owned())[cluster.shard(ann.bare)]
    cluster.kill("/".join(owner.rsplit("-", 1)))
    await cluster.up()
    await cluster.refresh()
    await cluster.all_owned()
    bob.message(ann.bare, "and now?")
    error = await bob.expect(lambda s: is_message(s, "error"), "an error", 30)
    assert error_of(error)[1] == "service-unavailable", text(error)
    await leave(ann, bob)


@scenario
async def with_clients_of_others(cluster: Cluster) -> None:
    ca = str(cluster.state / "certificates" / "ca.pem")
    port = cluster.address("gateway/2", "websocket-tls").rpartition(":")[2]
    ann_jid, bob_jid = (f"{unique(n)}@{cluster.domain}" for n in ("ann", "bob"))
    ann = Slixmpp(ann_jid, "one", cluster.address("gateway/1", "xmpp"), ca, register=True)
    bob = StanzaJs(bob_jid, "two", f"wss://{cluster.domain}:{port}/xmpp-websocket", ca, register=True)
    try:
        await asyncio.gather(ann.connect(), bob.connect())
        await asyncio.gather(ann.events.wait("online"), bob.events.wait("online"))
        assert await ann.block(bob_jid) == [bob_jid]
        await bob.message(ann_jid, "to ann")
        await bob.events.wait("message-error", jid=ann_jid)
        assert await ann.unblock(bob_jid) == []
        await bob.message(ann_jid, "to ann")
        await ann.events.wait("message", body="to ann")
        assert await bob.block(ann_jid) == [ann_jid]
        await ann.message(bob_jid, "to bob")
        await ann.events.wait("message-error")
        assert await bob.unblock(ann_jid) == []
        await ann.message(bob_jid, "to bob")
        await bob.events.wait("message", body="to bob")
    finally:
        await asyncio.gather(ann.close(), bob.close())
