"""XEP-0115: the server's own capabilities, and what it learns of its clients'."""

import asyncio
import base64
import hashlib

from harness import ns, stock
from harness.client import Client, StanzaError
from harness.cluster import Cluster
from harness.people import another, leave, person, unique
from harness.runner import scenario
from harness.wait import until
from harness.xml import child, name, text

CAPS = "http://jabber.org/protocol/caps"
FEATURES = ("urn:xmpp:avatar:metadata+notify", ns.DISCO_INFO)


def _ver(identities: list[tuple], features) -> str:
    parts = ["/".join(identity) for identity in sorted(identities)] + sorted(features)
    return base64.b64encode(hashlib.sha1("".join(part + "<" for part in parts).encode()).digest()).decode()


def _c(ver: str) -> str:
    return f"<c xmlns='{CAPS}' hash='sha-1' node='urn:test:client' ver='{ver}'/>"


def _is_question(stanza) -> bool:
    return name(stanza) == "iq" and stanza.get("type") == "get" and child(stanza, ns.DISCO_INFO, "query") is not None


async def _answer(client: Client, ver: str, features) -> None:
    """The server's question, answered as the client would."""
    question = await client.expect(_is_question, "disco#info of the server to its client")
    assert question.get("from") == client.bare, text(question)
    assert question.get("to", client.jid) == client.jid, text(question)
    node = question[0].get("node")
    assert node == f"urn:test:client#{ver}", text(question)
    inside = "<identity category='client' type='pc' name='test'/>" + "".join(f"<feature var='{f}'/>" for f in features)
    client.send(
        f"<iq xmlns='{ns.CLIENT}' type='result' id='{question.get('id')}' to='{client.bare}'>"
        f"<query xmlns='{ns.DISCO_INFO}' node='{node}'>{inside}</query></iq>"
    )


async def _counted(cluster: Cluster, what: str) -> float:
    return await cluster.counted("session-manager", f"caps_{what}")


@scenario
async def of_the_server(cluster: Cluster) -> None:
    """What the stream features announce is the hash of what disco#info says."""
    client = await person(cluster, "caps")
    c = child(client.features, CAPS, "c")
    assert c is not None and c.get("hash") == "sha-1", text(client.features)
    node = f"{c.get('node')}#{c.get('ver')}"
    for asked in ("", f" node='{node}'"):
        query = (await client.iq("get", f"<query xmlns='{ns.DISCO_INFO}'{asked}/>", client.domain))[0]
        assert query.get("node", "") == (node if asked else ""), text(query)
        identities = [(e.get("category"), e.get("type"), "", e.get("name", "")) for e in query if name(e) == "identity"]
        features = [e.get("var") for e in query if name(e) == "feature"]
        assert CAPS in features and _ver(identities, features) == c.get("ver"), text(query)
    try:
        await client.iq("get", f"<query xmlns='{ns.DISCO_INFO}' node='{c.get('node')}#other'/>", client.domain)
        raise AssertionError("an old version was answered")
    except StanzaError as error:
        assert error.condition == "item-not-found", error
    await leave(client)


@scenario
async def of_a_client_are_asked_once_and_checked(cluster: Cluster) -> None:
    ann = await person(cluster, "ann", available=False)
    features = (*FEATURES, f"urn:{unique('feature')}")
    ver = _ver([("client", "pc", "", "test")], features)
    before = await _counted(cluster, "verified")
    ann.presence(extra=_c(ver))
    await _answer(ann, ver, features)

    async def verified() -> bool:
        return await _counted(cluster, "verified") > before

    await until(verified, "the answer was believed", 10)
    # Another device with the same client: known already. One that lies: not believed.
    second = await another(cluster, ann, "gateway/2", available=False)
    second.presence(extra=_c(ver))
    await second.sync()
    assert not second.has(_is_question)
    forged = _ver([("client", "pc", "", "test")], (f"urn:{unique('feature')}",))
    refused = await _counted(cluster, "refused")
    second.presence(extra=_c(forged))
    await _answer(second, forged, features)

    async def was_refused() -> bool:
        return await _counted(cluster, "refused") > refused

    await until(was_refused, "the wrong answer was refused", 10)
    # Clients that count stanzas agree with us about the question.
    third = await another(cluster, ann, available=False)
    await third.enable()
    other = (*features, "urn:more")
    ver = _ver([("client", "pc", "", "test")], other)
    third.presence(extra=_c(ver))
    await _answer(third, ver, other)
    await third.sync()
    await third.all_acked()
    await leave(ann, second, third)


@scenario(seconds=90)
async def of_stock_clients(cluster: Cluster) -> None:
    """slixmpp and stanza.js answer the question, and their hashes are right."""
    ca = str(cluster.state / "certificates" / "ca.pem")
    romeo = stock.Slixmpp(f"{unique('romeo')}@{cluster.domain}", "secret", cluster.address("gateway/1"), ca, True, caps=True)
    juliet = stock.StanzaJs(
        f"{unique('juliet')}@{cluster.domain}", "secret", f"wss://localhost:{cluster.address('gateway/2', 'websocket-tls').rpartition(':')[2]}/xmpp-websocket",
        ca, True, caps=True,
    )
    asked, verified, refused = [await _counted(cluster, what) for what in ("asked", "verified", "refused")]
    await asyncio.gather(romeo.connect(), juliet.connect())
    await asyncio.gather(romeo.events.wait("online"), juliet.events.wait("online"))

    async def both() -> bool:
        return await _counted(cluster, "verified") - verified >= 2

    try:
        await until(both, "both clients' capabilities are verified", 20)
        assert await _counted(cluster, "refused") == refused
        assert await _counted(cluster, "asked") - asked == 2
    finally:
        await asyncio.gather(romeo.close(), juliet.close())
