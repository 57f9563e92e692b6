"""Which session is where, in Redis, as `deploy/local/cluster sessions` shows it."""

import json

from harness.cluster import Cluster
from harness.people import another, leave, pair
from harness.runner import scenario
from harness.wait import until


async def _listed(cluster: Cluster, jid: str) -> dict[str, dict]:
    # 1: there is none.
    return {entry["jid"]: entry for entry in json.loads(await cluster.command("sessions", jid, "--json", expected=(1,)))}


async def _until_listed(cluster: Cluster, gateways: dict[str, str], what: str, seconds: float = 20) -> None:
    """full JID -> gateway, of all sessions of these users."""

    async def same() -> bool:
        found = {}
        for jid in {jid.partition("/")[0] for jid in gateways}:
            found |= {full: entry["gateway"] for full, entry in (await _listed(cluster, jid)).items()}
        return found == gateways

    await until(same, what, seconds, every=0.3)


@scenario(seconds=120)
async def listed_where_they_are(cluster: Cluster) -> None:
    """Two clients on two gateways; log-out; Redis emptied; their session-manager killed."""
    await cluster.up(gateway=2, session_manager=2)
    owners = await cluster.all_owned()
    ann, bob = await pair(cluster)
    second = await another(cluster, ann, "gateway/2")
    here = {ann.jid: "gateway-1", second.jid: "gateway-2", bob.jid: "gateway-2"}
    await _until_listed(cluster, here, "three sessions at their gateways", 10)
    for client in (ann, second, bob):
        entry = (await _listed(cluster, client.jid))[client.jid]
        assert entry["session_manager"] == owners[cluster.shard(client.bare)], (entry, owners)
        assert entry["since_ms"] > 1_700_000_000_000, entry
    assert ann.jid in await cluster.command("sessions", ann.bare)

    await second.close()
    del here[second.jid]
    await _until_listed(cluster, here, "who has logged out is gone", 10)

    # The hash of a shard has one slot in a Redis Cluster whatever is in it.
    keys = await cluster.redis("KEYS", "rookery:sessions:*")
    assert all(key.startswith("rookery:sessions:{") and key.endswith("}") for key in keys), keys
    await cluster.redis("FLUSHALL")
    await _until_listed(cluster, here, "listed again after Redis was emptied", 10)

    victim = owners[cluster.shard(ann.bare)]
    cluster.kill(victim.replace("-manager-", "-manager/"))

    async def moved() -> bool:
        entry = (await _listed(cluster, ann.jid)).get(ann.jid)
        return entry is not None and entry["session_manager"] != victim

    await until(moved, "ann is listed with the new owner of her shard", 40, every=0.3)
    await _until_listed(cluster, here, "both are listed at their gateways after a kill", 10)
    await ann.sync(), await bob.sync()
    await leave(ann, bob)
    await cluster.up(gateway=2, session_manager=2)
    await cluster.all_owned()


@scenario
async def away_and_resumed_elsewhere(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await ann.enable()
    ann.abort()
    await _until_listed(cluster, {ann.jid: ""}, "the client is away", 10)
    await ann.resume(cluster.address("gateway/2"))
    await _until_listed(cluster, {ann.jid: "gateway-2"}, "resumed on the other gateway", 10)
    await leave(ann, bob)
    await _until_listed(cluster, {}, "nobody is left", 10)
