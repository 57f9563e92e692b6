"""A stanza's trace id is in the log of every service that it led to."""

import json
import os

from harness import ns
from harness.cluster import Cluster
from harness.people import befriend, interested, leave, unique
from harness.runner import scenario
from harness.wait import until

SERVICES = ("roster", "session-manager", "gateway")
LEVELS = {f"ROOKERY_{service.upper().replace('-', '_')}__LOG__LEVEL": "debug" for service in SERVICES}


def _lines(cluster: Cluster, process: str, **fields) -> list[dict]:
    found = []
    for line in cluster.log(process).splitlines():
        if not all(f'"{value}"' in line for value in fields.values()):
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if all(entry.get(key) == value for key, value in fields.items()):
            found.append(entry)
    return found


def _count_sent(client) -> list[int]:
    """How many stanzas the client has sent, from now on in the list's only place."""
    sent, send = [0], client.send

    def counting(stanza: str) -> None:
        sent[0] += 1
        send(stanza)

    client.send = counting
    return sent


async def _restart_all(cluster: Cluster) -> None:
    for service in SERVICES:
        await cluster.restart(service)
    await cluster.all_owned()


@scenario(seconds=240)
async def follows_a_stanza_through_all_services(cluster: Cluster) -> None:
    await cluster.up(gateway=2, session_manager=2)
    os.environ.update(LEVELS)
    try:
        await _restart_all(cluster)
        owners = await cluster.all_owned()
        first, second = "session-manager-1", "session-manager-2"
        ann = await cluster.user(cluster.user_on_shard_of(first, owners, unique("ann")), "gateway/1")
        sent = _count_sent(ann)
        bob = await cluster.user(cluster.user_on_shard_of(second, owners, unique("bob")), "gateway/2")
        await ann.available()
        await bob.available()
        await befriend(ann, bob)

        async def in_logs(trace_id: str, processes: tuple[str, ...], what: str) -> None:
            def missing() -> list[str]:
                return [name for name in processes if not _lines(cluster, name, trace_id=trace_id)]

            # Lines below `warn` reach the file within a second.
            await until(lambda: not missing(), f"{what} {trace_id} in the logs of {processes}", 10, every=0.2)

        async def newest_of_ann() -> str:
            def look():
                # Started anew, that gateway has nobody else.
                lines = _lines(cluster, "gateway/1", event="stanza.received")
                return next((line["trace_id"] for line in lines if line["count"] == sent[0]), None)

            return await until(look, f"stanza {sent[0]} of {ann.jid} in the log of gateway/1", 10, every=0.2)

        ann.message(bob.bare, "where does it go")
        trace_id = await newest_of_ann()
        await bob.expect_message("where does it go")
        await in_logs(trace_id, ("gateway/1", "session-manager/1", "session-manager/2", "gateway/2"), "the message")
        assert _lines(cluster, "gateway/2", trace_id=trace_id, event="packet.received")
        # Nobody's words are in any log, and nobody's address.
        for process in ("gateway/1", "session-manager/1", "session-manager/2", "gateway/2"):
            log = cluster.log(process)
            for private in ("where does it go", ann.bare, bob.bare):
                assert private not in log, f"{private!r} in the log of {process}"

        await interested(ann)
        await ann.iq("set", f"<query xmlns='{ns.ROSTER}'><item jid='{unique('carol')}@{ann.domain}'/></query>")
        trace_id = await newest_of_ann()

        def roster_has_it() -> bool:
            return any(_lines(cluster, name, trace_id=trace_id) for name in cluster.instances("roster"))

        await in_logs(trace_id, ("gateway/1", "session-manager/1"), "the roster set")
        await until(roster_has_it, f"the roster set {trace_id} in a roster's log", 10, every=0.2)
        await leave(ann, bob)
    finally:
        for name in LEVELS:
            os.environ.pop(name, None)
        await _restart_all(cluster)
