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
    broker = cluster.kafka()
    loop = asyncio.get_running_loop()
    before = {topic: await loop.run_in_executor(None, kafka.ends, broker, topic) for topic in ("users", "messages", "presence")}

    async def read(topic: str) -> list:
        return await loop.run_in_executor(None, lambda: list(kafka.read(broker, topic, before[topic])))

    ann, bob = await pair(cluster)
    mark = unique("mark")
    ann.message(bob.bare, f"{mark} there")
    got = await bob.expect_message(f"{mark} there")
    stanza_id = got.find(f"{{{ns.SID}}}stanza-id")
    bob.message(ann.bare, f"{mark} back")
    await ann.expect_message(f"{mark} back")
    await leave(ann, bob)

    users = await read("users")
    for body, sender, receiver in ((f"{mark} there", ann, bob), (f"{mark} back", bob, ann)):
        found = [r for r in users if r[3].WhichOneof("body") == "delivery" and body.encode() in r[3].delivery.stanza.payload]
        assert len(found) == 1, f"{len(found)} deliveries of {body!r} in rookery.users"
        partition, _, key, record = found[0]
        assert key == receiver.bare.encode() and partition == shard_of(receiver.bare, cluster.partitions), (partition, key)
        assert record.delivery.stanza.to.startswith(receiver.bare) and getattr(record.delivery.stanza, "from") == sender.jid
        assert len(record.origin.client.session_id) == 16 and record.origin.client.count > 0
        assert record.received_at_ms > 0

    async def in_both_histories():
        found = [r[3] for r in await read("messages") if mark.encode() in r[3].stanza.payload]
        wanted = sorted((user.bare, direction) for user in (ann, bob) for direction in (1, 2))
        return found if sorted((e.owner, e.direction) for e in found) == wanted else None

    found = await until(in_both_histories, "both messages, received and sent, in both histories", 30, every=0.5)
    assert all(0 < event.archive_id < 2**53 for event in found), [event.archive_id for event in found]
    if stanza_id is not None:
        mine = [e for e in found if e.owner == bob.bare and e.direction == 1][0]
        assert stanza_id.get("by") == bob.bare and stanza_id.get("id") == str(mine.archive_id), stanza_id.attrib

    async def both_ends():
        return [r[3].available for r in await read("presence") if r[3].jid == ann.jid] == [True, False]

    await until(both_ends, "ann's presence, there and gone, in the log", 30, every=0.5)


@scenario
async def an_epoch_is_the_offset_of_a_fence(cluster: Cluster) -> None:
    await cluster.all_owned()
    epochs = await cluster.epochs()
    loop = asyncio.get_running_loop()
    upto = {shard: epoch + 1 for shard, epoch in epochs.items()}
    broker = cluster.kafka()
    records = await loop.run_in_executor(None, lambda: list(kafka.read(broker, "users", epochs, upto)))
    assert sorted(r[0] for r in records) == list(range(cluster.partitions))
    for partition, offset, _, record in records:
        assert record.WhichOneof("body") == "fence" and record.fence.shard == partition, f"{partition}:{offset} is no fence of its own"


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
