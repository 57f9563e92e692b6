"""Every record of the log has the key and lies in the partition that protos/README.md tells
others of, so that a consumer of anybody's can rest on it."""

import asyncio

from harness import kafka
from harness.cluster import Cluster
from harness.people import befriend, leave, pair, unique
from harness.rooms import configure, enter
from harness.runner import scenario
from harness.shards import shard_of
from harness.wait import until


@scenario
async def records_have_their_keys(cluster: Cluster) -> None:
    broker = cluster.kafka()
    loop = asyncio.get_running_loop()
    before = {topic: await loop.run_in_executor(None, kafka.ends, broker, topic) for topic in kafka.TOPICS}

    async def read(topic: str) -> list:
        return await loop.run_in_executor(None, lambda: list(kafka.read(broker, topic, before[topic])))

    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    mark = unique("keys")
    ann.message(bob.bare, mark)
    await bob.expect_message(mark)
    room = f"{mark}@conference.{ann.domain}"
    await enter(ann, room, "ann")
    await configure(ann, room)
    ann.message(room, mark, "groupchat")
    await ann.expect_message(mark)
    await leave(ann, bob)

    async def complete():
        records = {topic: await read(topic) for topic in kafka.TOPICS}
        histories = {r[3].owner for r in records["messages"]}
        gone = {r[3].jid for r in records["presence"] if not r[3].available}
        return records if {ann.bare, bob.bare} <= histories and {ann.jid, bob.jid} <= gone else None

    records = await until(complete, "both histories and both ends are in the log", 30, every=0.5)
    kinds = set()
    for partition, offset, key, record in records["users"]:
        where, kind = f"users {partition}:{offset}", record.WhichOneof("body")
        kinds.add(kind)
        if kind in ("fence", "fanout"):
            assert not key, f"{where}: a {kind} with the key {key}"
            for jid in record.fanout.recipients:
                assert shard_of(jid.partition("/")[0], cluster.partitions) == partition, f"{where}: {jid}"
            continue
        owner = {"delivery": lambda: record.delivery.stanza.to.partition("/")[0],
                 "sent_copy": lambda: getattr(record.sent_copy.stanza, "from").partition("/")[0],
                 "outbound": lambda: getattr(record.outbound.stanza, "from").partition("/")[0],
                 "session_ended": lambda: record.session_ended.full_jid.partition("/")[0],
                 "session_back": lambda: record.session_back.full_jid.partition("/")[0],
                 "message_refused": lambda: getattr(record.message_refused.error, "from").partition("/")[0],
                 "credentials_changed": lambda: record.credentials_changed.jid,
                 "account_removed": lambda: record.account_removed.jid}[kind]()
        assert key == owner.encode() and partition == shard_of(owner, cluster.partitions), f"{where}: {kind} {key}"
    assert {"delivery", "fanout", "sent_copy", "session_ended"} <= kinds, kinds
    kinds = set()
    for partition, offset, key, record in records["rooms"]:
        where, kind = f"rooms {partition}:{offset}", record.WhichOneof("body")
        kinds.add(kind)
        owner = {"fence": lambda: "", "delivery": lambda: record.delivery.stanza.to.partition("/")[0], "verdict": lambda: record.verdict.room}[kind]()
        assert (key or b"") == owner.encode() and (not owner or partition == shard_of(owner, cluster.partitions)), f"{where}: {kind} {key}"
    assert "delivery" in kinds, kinds
    for topic, owner_of in (("messages", lambda e: e.owner), ("presence", lambda e: e.jid.partition("/")[0])):
        for partition, offset, key, event in records[topic]:
            if topic == "messages" and event.HasField("fence"):
                assert not key, f"{topic} {partition}:{offset}: a fence with the key {key}"
                continue
            owner = owner_of(event)
            assert key == owner.encode() and partition == shard_of(owner, cluster.partitions), f"{topic} {partition}:{offset}: {key}"
