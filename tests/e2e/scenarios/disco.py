"""What the domain and accounts answer: XEP-0030, 0092, 0199, 0202, 0012, 0115."""

import re

from harness import ns
from harness.client import StanzaError
from harness.cluster import Cluster
from harness.people import befriend, leave, pair, person, unique
from harness.runner import scenario
from harness.xml import child, name, text


async def _info(client, to: str, node: str = "") -> tuple[set, set]:
    node = f" node='{node}'" if node else ""
    answer = await client.iq("get", f"<query xmlns='{ns.DISCO_INFO}'{node}/>", to)
    query = answer[0]
    identities = {(e.get("category"), e.get("type")) for e in query if name(e) == "identity"}
    return identities, {e.get("var") for e in query if name(e) == "feature"}


async def _condition(work) -> str:
    try:
        await work
    except StanzaError as error:
        return error.condition
    return ""


@scenario
async def domain_info(cluster: Cluster) -> None:
    client = await person(cluster, "disco")
    identities, features = await _info(client, client.domain)
    assert ("server", "im") in identities, identities
    for feature in (ns.DISCO_INFO, ns.DISCO_ITEMS, ns.PING, ns.CARBONS, "msgoffline", ns.VERSION, ns.TIME, ns.LAST, ns.REGISTER):
        assert feature in features, f"{feature} is not in {features}"
    items = await client.iq("get", f"<query xmlns='{ns.DISCO_ITEMS}'/>", client.domain)
    assert child(items, ns.DISCO_ITEMS, "query") is not None
    assert await _condition(_info(client, client.domain, "no-such-node")) == "item-not-found"
    await client.close()


@scenario
async def account_info(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    identities, features = await _info(ann, ann.bare)
    assert ("account", "registered") in identities and ns.DISCO_INFO in features, (identities, features)
    # Strangers and those who do not exist look the same.
    for to in (bob.bare, f"{unique('nobody')}@{ann.domain}"):
        assert await _condition(_info(ann, to)) == "service-unavailable", to
        items = await ann.iq("get", f"<query xmlns='{ns.DISCO_ITEMS}'/>", to)
        assert len(items[0]) == 0, text(items)
    await befriend(ann, bob)
    identities, _ = await _info(ann, bob.bare)
    assert ("account", "registered") in identities, identities
    await leave(ann, bob)


@scenario
async def ping_version_time_last(cluster: Cluster) -> None:
    client = await person(cluster, "asks")
    await client.iq("get", f"<ping xmlns='{ns.PING}'/>", client.domain)
    await client.iq("get", f"<ping xmlns='{ns.PING}'/>", client.bare)
    version = await client.iq("get", f"<query xmlns='{ns.VERSION}'/>", client.domain)
    assert version[0].findtext(f"{{{ns.VERSION}}}name") and version[0].findtext(f"{{{ns.VERSION}}}version"), text(version)
    time = await client.iq("get", f"<time xmlns='{ns.TIME}'/>", client.domain)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", time[0].findtext(f"{{{ns.TIME}}}utc")), text(time)
    assert re.fullmatch(r"Z|[+-]\d\d:\d\d", time[0].findtext(f"{{{ns.TIME}}}tzo")), text(time)
    last = await client.iq("get", f"<query xmlns='{ns.LAST}'/>", client.domain)
    assert int(last[0].get("seconds")) >= 0
    await client.close()


@scenario
async def last_activity_of_contacts(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    assert await _condition(ann.iq("get", f"<query xmlns='{ns.LAST}'/>", bob.bare)) in ("forbidden", "service-unavailable")
    await befriend(ann, bob)
    online = await ann.iq("get", f"<query xmlns='{ns.LAST}'/>", bob.bare)
    assert online[0].get("seconds") == "0", text(online)
    bob.presence(type_="unavailable", extra="<status>gone fishing</status>")
    await ann.expect_presence(bob.jid, "unavailable")
    await bob.close()
    offline = await ann.iq("get", f"<query xmlns='{ns.LAST}'/>", bob.bare)
    assert 0 <= int(offline[0].get("seconds")) < 60 and (offline[0].text or "") == "gone fishing", text(offline)
    await leave(ann)


@scenario
async def what_is_not_understood_is_answered(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    for to in ("", ann.domain, ann.bare, bob.bare, f"{unique('nobody')}@{ann.domain}", f"{bob.bare}/nowhere"):
        assert await _condition(ann.iq("get", "<query xmlns='urn:example:unknown'/>", to)) in ("service-unavailable", "feature-not-implemented"), to
    # Exactly one child (RFC 6120 section 8.2.3).
    assert await _condition(ann.iq("get", "", ann.domain)) == "bad-request"
    assert await _condition(ann.iq("get", "<a xmlns='urn:x'/><b xmlns='urn:x'/>", ann.domain)) == "bad-request"
    await leave(ann, bob)


@scenario
async def iq_between_clients(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    ann.send(f"<iq xmlns='{ns.CLIENT}' type='get' id='between' to='{bob.jid}'><query xmlns='urn:example:game'/></iq>")
    asked = await bob.expect(lambda s: name(s) == "iq" and s.get("id") == "between")
    assert asked.get("from") == ann.jid and asked.get("to") == bob.jid, text(asked)
    bob.send(f"<iq xmlns='{ns.CLIENT}' type='result' id='between' to='{ann.jid}'><query xmlns='urn:example:game'/></iq>")
    answered = await ann.expect(lambda s: name(s) == "iq" and s.get("id") == "between")
    assert answered.get("from") == bob.jid and answered.get("type") == "result", text(answered)
    # A result that answers nothing, and to nobody, vanishes.
    ann.send(f"<iq xmlns='{ns.CLIENT}' type='result' id='stray' to='{bob.bare}'/>")
    ann.send(f"<iq xmlns='{ns.CLIENT}' type='error' id='stray' to='{bob.bare}/nowhere'/>")
    await ann.sync()
    await bob.sync()
    assert not ann.has(lambda s: s.get("id") == "stray") and not bob.has(lambda s: s.get("id") == "stray")
    await leave(ann, bob)
