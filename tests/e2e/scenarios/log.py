"""The records are in Kafka, where anybody can read them with a consumer of their own."""

import asyncio

from harness import kafka, ns
from harness.cluster import Cluster
from harness.people import leave, pair, unique
from harness.runner import scenario
from harness.shards import shard_of
from harness.wait import until


@scenario
async def messages_and_presence_are_in_the_log(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    mark = unique("mark")
    ann.message(bob.bare, f"{mark} there")
    got = await bob.expect_message(f"{mark} there")
    stanza_id = got.find(f"{{{ns.SID}}}stanza-id")
    bob.message(ann.bare, f"{mark} back")
    await ann.expect_message(f"{mark} back")
    await leave(ann, bob)
    brokers = cluster.address("kafka", "kafka")
    loop = asyncio.get_running_loop()

    def read(topic: str) -> list:
        return list(kafka.read_all(brokers, topic))

    users = await loop.run_in_executor(None, read, "users")
    for body, sender, receiver in ((f"{mark} there", ann, bob), (f"{mark} back", bob, ann)):
        found = [r for r in users if r[3].WhichOneof("body") == "delivery" and body.encode() in r[3].delivery.stanza.payload]
        assert len(found) == 1, f"{len(found)} deliveries of {body!r} in rookery.users"
        partition, _, key, record = found[0]
        assert key == receiver.bare.encode() and partition == shard_of(receiver.bare, cluster.partitions), (partition, key)
        assert record.delivery.stanza.to.startswith(receiver.bare) and getattr(record.delivery.stanza, "from") == sender.jid
        assert len(record.origin.client.session_id) == 16 and record.origin.client.count > 0
        assert record.received_at_ms > 0
    fences = {r[3].fence.shard for r in users if r[3].WhichOneof("body") == "fence"}
    assert fences == set(range(cluster.partitions)), f"not every shard has a fence: {fences}"

    async def events() -> list:
        found = await loop.run_in_executor(None, read, "messages")
        return [r[3] for r in found if mark.encode() in r[3].stanza.payload] if len(found) else []

    async def enough():
        found = await events()
        return found if len(found) >= 4 else None

    found = await until(enough, "both messages in both histories", 30, every=0.5)
    assert sorted((e.owner, e.direction) for e in found) == sorted([(ann.bare, 1), (ann.bare, 2), (bob.bare, 1), (bob.bare, 2)]), found
    for event in found:
        assert 0 < event.archive_id < 2**53, event.archive_id
    if stanza_id is not None:
        mine = [e for e in found if e.owner == bob.bare and e.direction == 1][0]
        assert stanza_id.get("by") == bob.bare and stanza_id.get("id") == str(mine.archive_id), stanza_id.attrib

    presences = await loop.run_in_executor(None, read, "presence")
    mine = [r[3] for r in presences if r[3].jid == ann.jid]
    assert [e.available for e in mine][:1] == [True] and [e.available for e in mine][-1:] == [False], mine


@scenario
async def stanza_ids_rise(cluster: Cluster) -> None:
    """XEP-0359: positive integers below 2^53, rising within an archive, and nobody forges them."""
    ann, bob = await pair(cluster)
    forged = f"<stanza-id xmlns='{ns.SID}' id='1' by='{bob.bare}'/><stanza-id xmlns='{ns.SID}' id='theirs' by='room@elsewhere.example'/>"
    ids = []
    for n in range(5):
        ann.message(bob.bare, f"n{n}", extra=forged)
        got = await bob.expect_message(f"n{n}")
        mine = [e.get("id") for e in got.findall(f"{{{ns.SID}}}stanza-id") if e.get("by") == bob.bare]
        assert len(mine) == 1, f"{len(mine)} ids by {bob.bare}"
        ids.append(int(mine[0]))
    assert ids == sorted(set(ids)) and 0 < ids[0] and ids[-1] < 2**53, ids
    await leave(ann, bob)
