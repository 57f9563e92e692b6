"""What somebody meets who operates a cluster with `deploy/local/cluster`."""

import asyncio
import json

from harness.cluster import Cluster
from harness.people import leave, person
from harness.runner import scenario
from harness.wait import until


@scenario(seconds=120)
async def status_is_json_at_every_moment_of_a_restart(cluster: Cluster) -> None:
    restarting = asyncio.create_task(cluster.command("restart", "session-manager"))
    reports = 0
    while not restarting.done():
        report = json.loads(await cluster.command("status", "--json"))
        assert {entry["service"] for entry in report["processes"]} >= {"gateway", "session-manager", "kafka"}, report
        reports += 1
    await restarting
    assert reports > 2, f"{reports} looks"


@scenario(seconds=120)
async def a_death_is_told_with_its_log_and_its_shards(cluster: Cluster) -> None:
    await cluster.all_owned()
    cluster.kill("session-manager/2")
    await until(lambda: not cluster.alive("session-manager/2"), "it is gone")
    text = await cluster.command("status")
    log = cluster.process("session-manager/2")["log"]
    assert "died" in text and log in text and "shards have no owner" in text, text
    await cluster.up()
    assert not (await cluster.refresh())["problems"], cluster._status


@scenario
async def addresses_are_found_in_the_logs_by_their_hash(cluster: Cluster) -> None:
    ann = await person(cluster, "hashed")
    (entry,) = json.loads(await cluster.command("sessions", "--json", ann.bare))
    printed = await cluster.command("hash", ann.jid)
    assert printed.split() == [entry["hash"], ann.bare], printed
    for name in ("gateway/1",):
        await until(lambda: entry["hash"] in cluster.log(name), f"the log of {name} has the hash of {ann.bare}")
        assert ann.bare not in cluster.log(name)
    await leave(ann)
