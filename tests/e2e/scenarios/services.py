"""muc and search answer for themselves: what they say in disco comes from the owner of their
address's shard, and from nobody in its place (XEP-0030). Rooms are in rooms_*.py."""

import asyncio

from harness import ns
from harness.client import StanzaError, error_of
from harness.cluster import Cluster
from harness.people import leave, pair, person, unique
from harness.runner import scenario
from harness.shards import shard_of
from harness.wait import until
from harness.xml import child, name, text


async def _info(client, to: str, node: str = "") -> tuple[set, set]:
    node = f" node='{node}'" if node else ""
    query = (await client.iq("get", f"<query xmlns='{ns.DISCO_INFO}'{node}/>", to))[0]
    identities = {(e.get("category"), e.get("type")) for e in query if name(e) == "identity"}
    return identities, {e.get("var") for e in query if name(e) == "feature"}


async def _answers(client, to: str, identity: tuple) -> bool:
    """False while it has nobody to answer, which is said in one way only."""
    try:
        assert await _info(client, to) == ({identity}, {ns.DISCO_INFO})
        return True
    except StanzaError as error:
        assert (error.type, error.condition) == ("wait", "remote-server-timeout"), error
        return False


async def _shared(cluster: Cluster, instances: set[str]) -> dict[int, str]:
    """Waits until exactly these instances own the shards, each its share."""

    async def is_shared():
        owners = await cluster.owners("search")
        least = cluster.partitions // len(instances)
        counts = [list(owners.values()).count(instance) for instance in instances]
        return owners if len(owners) == cluster.partitions == sum(counts) and min(counts) >= least else None

    return await until(is_shared, f"{instances} share the shards of search", 40, every=0.3)


@scenario
async def services_say_what_they_are(cluster: Cluster) -> None:
    client = await person(cluster, "disco")
    conference, search = f"conference.{client.domain}", f"search.{client.domain}"
    # A service that has no feature yet is not shown: clients would try it. Who knows its address is answered.
    items = (await client.iq("get", f"<query xmlns='{ns.DISCO_ITEMS}'/>", client.domain))[0]
    assert [item.get("jid") for item in items] == [conference], [item.attrib for item in items]
    await cluster.all_owned(service="search")
    await until(lambda: _answers(client, search, ("directory", "user")), f"{search} answers", 10, every=0.2)
    assert len((await client.iq("get", f"<query xmlns='{ns.DISCO_ITEMS}'/>", search))[0]) == 0
    for to in (conference, search):
        for query in (ns.DISCO_INFO, ns.DISCO_ITEMS):
            try:
                await client.iq("get", f"<query xmlns='{query}' node='nowhere'/>", to)
                raise AssertionError("a node that nobody has was answered")
            except StanzaError as error:
                assert (error.type, error.condition) == ("cancel", "item-not-found"), error
    await client.close()


@scenario
async def services_refuse_what_they_do_not_have(cluster: Cluster) -> None:
    """RFC 6120 section 8.4; nothing is lost without a word, nothing goes round."""
    client = await person(cluster, "asks")
    conference, search = f"conference.{client.domain}", f"search.{client.domain}"
    for to in (search, f"x@{search}", f"x@{search}/y", conference):
        ids = [f"m-{to}", f"i-{to}"]
        client.send(f"<message xmlns='{ns.CLIENT}' type='groupchat' id='m-{to}' to='{to}'><body>hi</body></message>")
        client.send(f"<iq xmlns='{ns.CLIENT}' type='set' id='i-{to}' to='{to}'><x xmlns='urn:example:unknown'/></iq>")
        if to != conference:
            client.send(f"<presence xmlns='{ns.CLIENT}' id='p-{to}' to='{to}'/>")
            ids.append(f"p-{to}")
        for id_ in ids:
            answer = await client.expect(lambda s: s.get("id") == id_ and s.get("type") == "error", f"the answer to {id_}")
            assert answer.get("from") == to and error_of(answer) == ("cancel", "service-unavailable"), error_of(answer)
    # Some clients know the answer to a join only by what they asked (RFC 6120 section 8.3.1).
    client.presence(f"{unique('room')}@{conference}", extra=f"<x xmlns='{ns.MUC}'/>")
    answer = await client.expect(lambda s: name(s) == "presence" and s.get("type") == "error" and conference in s.get("from", ""), "the answer to a join")
    assert error_of(answer) == ("modify", "jid-malformed") and child(answer, ns.MUC, "x") is not None, text(answer)
    await client.close()


@scenario(seconds=240)
async def search_answers_when_either_instance_is_killed(cluster: Cluster) -> None:
    """Users of two gateways ask; while nobody owns the shard they are told to wait."""
    instances = {"search-1", "search-2"}
    await cluster.up()
    clients = await pair(cluster)
    search = f"search.{cluster.domain}"
    shard = shard_of(search, cluster.partitions)
    waits = 0

    async def answers(client) -> bool:
        nonlocal waits
        is_answered = await _answers(client, search, ("directory", "user"))
        waits += not is_answered
        return is_answered

    for victim, survivor in (("search-1", "search-2"), ("search-2", "search-1")):
        owners = await _shared(cluster, instances)
        for client in clients:
            await until(lambda: answers(client), "search answers", 30, every=0.2)
        waits = 0
        cluster.kill(victim.replace("-", "/"))
        await asyncio.gather(*(until(lambda c=client: answers(c), "search answers", 40, every=0.2) for client in clients))
        # Whoever has nobody to ask says so, and invents nothing.
        assert (waits > 0) == (owners[shard] == victim), f"{waits} were told to wait; {owners[shard]} was the owner"
        await _shared(cluster, {survivor})
        await cluster.up()
        await cluster.ready(victim.replace("-", "/"))
    await _shared(cluster, instances)
    await leave(*clients)
