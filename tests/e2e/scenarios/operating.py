"""What somebody meets who operates a cluster: readiness, `deploy/local/cluster` and the admin ports."""

import asyncio
import json
import urllib.error
import urllib.request

from harness.cluster import Cluster
from harness.people import interested, leave, person
from harness.runner import scenario
from harness.wait import until


async def _ask(address: str, method: str = "GET", target: str = "/readyz") -> tuple[int, str, dict]:
    """(status, body, headers); 0 while nobody listens."""

    def ask() -> tuple[int, str, dict]:
        request = urllib.request.Request(f"http://{address}{target}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), dict(error.headers)
        except OSError as error:
            return 0, str(error), {}

    return await asyncio.get_running_loop().run_in_executor(None, ask)


@scenario(seconds=120)
async def a_session_manager_is_ready_once_and_for_all(cluster: Cluster) -> None:
    """An orchestrator goes on at the first 200: it must not be taken back while nothing else changes."""
    await cluster.all_owned()
    name = "session-manager/1"
    address = cluster.address(name, "admin")
    seen: list[tuple[int, str]] = []
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            status, body, _ = await _ask(address)
            if not seen or seen[-1] != (status, body):
                seen.append((status, body))

    cluster.kill(name)
    await until(lambda: not cluster.alive(name), f"{name} is gone")
    watching = asyncio.create_task(watch())
    try:
        await cluster.up()
        owners = await cluster.owners()
        assert len(owners) == cluster.partitions and set(owners.values()) == {"session-manager-1", "session-manager-2"}, (
            f"`up` ended, and the owners are {owners}")
        await cluster.all_owned()
    finally:
        done.set()
        await watching
    first = next(n for n, (status, _) in enumerate(seen) if status == 200)
    assert [status for status, _ in seen[first:]] == [200], f"readiness came and went: {seen}"


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
    # `restart` has waited: nothing is on its way any more.
    report = await cluster.refresh()
    assert all(entry["ready"] for entry in report["processes"]) and not report["problems"], report


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


@scenario
async def admin_ports_answer_head(cluster: Cluster) -> None:
    for name in ("gateway/1", "session-manager/1", "roster/1", "muc/1", "search/1"):
        address = cluster.address(name, "admin")
        for target in ("/healthz", "/readyz", "/metrics"):
            status, body, headers = await _ask(address, "HEAD", target)
            assert (status, body) == (200, "") and int(headers["Content-Length"]) > 0, (name, target, status, headers)
        assert (await cluster.metrics(name))["process_start_time_seconds"] > 1_600_000_000, name


@scenario(seconds=120)
async def own_settings_win_and_wrong_ones_stop_nothing(cluster: Cluster) -> None:
    own = cluster.state / "settings" / "roster.yaml"
    pid = cluster.process("roster/1")["pid"]
    try:
        own.write_text("log: {level: debug}\nanswers:\n  kept-for: never\n  keptfor: 10m\n")
        try:
            await cluster.command("restart", "roster/1")
            raise AssertionError("wrong settings were accepted")
        except RuntimeError as error:
            for part in (f"{own}:3: `answers.kept-for` must be a duration", f"{own}:4: unknown key `answers.keptfor` (did you mean `answers.kept-for`?)"):
                assert part in str(error), error
        assert (await cluster.refresh()) and cluster.process("roster/1")["pid"] == pid, "it was restarted"
        own.write_text("log: {level: debug}\n")
        before = len(cluster.log("roster/1"))
        await cluster.restart("roster/1")

        async def is_logged() -> bool:
            # Any instance answers, each for some users.
            client = await person(cluster, "debug")
            await interested(client)
            await leave(client)
            return '"level":"debug"' in cluster.log("roster/1")[before:]

        await until(is_logged, "a line of level debug", 40)
    finally:
        own.unlink()
        await cluster.restart("roster/1")
