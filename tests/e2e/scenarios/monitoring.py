"""What an operator sees: metrics as they are documented, boards on which every query has an answer, rules that hold."""

import asyncio
import math
import re
import signal
import sys
import time
import urllib.request

from harness import ns
from harness.client import Client, StreamError
from harness.cluster import Cluster
from harness.paths import SOURCE
from harness.people import account, interested, leave, person, unique
from harness.prometheus import Prometheus
from harness.rooms import configure, enter
from harness.runner import scenario
from harness.sasl import SaslFailure
from harness.traffic import Traffic
from harness.wait import until

sys.path.insert(0, str(SOURCE / "tests" / "boards"))
import boards  # noqa: E402
from catalogue import metric_catalogue  # noqa: E402

_SERVICES = metric_catalogue.SERVICES
# Looked at every second: so long, a rate has enough samples.
_RATE_INTERVAL = "2m"
_SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

# Queries (board / panel / legend) that may have no answer in a cluster where nothing is wrong, and why. None so far:
# every counter is there from the start, and the scenario sees to it that what is divided by, or shown only above
# zero, has happened.
MAY_BE_EMPTY: dict[str, str] = {}

# True where tests share two cores with something else.
_OF_A_SLOW_MACHINE = {"RookeryStandstill"}


async def _scrape(cluster: Cluster, name: str) -> str:
    def fetch() -> str:
        with urllib.request.urlopen(f"http://{cluster.address(name, 'admin')}/metrics", timeout=10) as answer:
            return answer.read().decode()

    return await asyncio.get_running_loop().run_in_executor(None, fetch)


@scenario
async def metrics_are_those_that_are_documented(cluster: Cluster) -> None:
    """Names, types, meanings, labels with their values, and buckets, of every service; nothing more and nothing less."""
    faults = []
    for service in _SERVICES:
        documented = {family.name(service): family for family in metric_catalogue.families() if service in family.services}
        text = await _scrape(cluster, f"{service}/1")
        types = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))
        helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE))
        faults += [f"{name} is not documented" for name in set(types) - set(documented)]
        faults += [f"{name} is not there" for name in set(documented) - set(types)]
        faults += [f"{name} is a {types[name]}" for name, f in documented.items() if types.get(name, f.kind) != f.kind]
        faults += [f"{name} says: {helps[name]}" for name, f in documented.items() if helps.get(name, f.help) != f.help]
        bounds: dict[str, set[float]] = {}
        for line in text.splitlines():
            sample = _SAMPLE.match(line)
            if not sample:
                continue
            name, labels = sample.group(1), dict(_LABEL.findall(sample.group(2) or ""))
            family = documented.get(name) or documented.get(re.sub("_(bucket|sum|count)$", "", name))
            if family is None:
                continue  # said above
            if family.kind == "histogram" and name.endswith("_bucket"):
                bounds.setdefault(name, set()).add(float(labels.pop("le")))
            if set(labels) != set(family.labels):
                faults.append(f"{name} has the labels {sorted(labels)}")
            faults += [f"{name}: {label}={value}" for label, value in labels.items() if family.labels.get(label) and value not in family.labels[label]]
        for name, found in bounds.items():
            if found - {math.inf} != set(documented[name.removesuffix("_bucket")].buckets):
                faults.append(f"{name} has the buckets {sorted(found)}")
    assert not faults, "; ".join(sorted(set(faults)))


@scenario(seconds=240)
async def boards_and_rules_have_data(cluster: Cluster) -> None:
    """Every query of every panel and variable, and every rule, in a real Prometheus, while people talk."""
    await cluster.all_owned()
    async with Prometheus(cluster) as prometheus, Traffic(cluster, users=12, rate=40) as traffic:
        await until(lambda: _all_up(prometheus), "Prometheus reads every process", 30)
        await _every_kind_of_thing(cluster)
        await traffic.talk(15)
        failures = await _queries(prometheus)
        rules = await prometheus.rules()
        account = await traffic.finish()
    assert len(rules) > 30, rules
    failures += [f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}" for rule in rules if rule["health"] != "ok"]
    failures += [
        f"fires, and nothing is wrong: {alert['labels']}"
        for rule in rules
        if rule["name"] not in _OF_A_SLOW_MACHINE
        for alert in rule.get("alerts", ())
        if alert["state"] == "firing"
    ]
    assert not failures, f"{len(failures)} failures: " + "; ".join(failures[:20]) + f"\n  {account}"


async def _all_up(prometheus: Prometheus) -> bool:
    targets = await prometheus.targets()
    assert {target["labels"]["service"] for target in targets} <= set(_SERVICES), targets
    return len(targets) == 2 * len(_SERVICES) and all(target["health"] == "up" for target in targets)


async def _every_kind_of_thing(cluster: Cluster) -> None:
    """What boards divide by, or show only where it is above zero."""
    # Another owner for some shards: one that was looked at before it had them, so that a rate shows it.
    cluster.signal("muc/2", signal.SIGTERM)
    await until(lambda: not cluster.alive("muc/2"), "muc/2 has ended")
    await cluster.all_owned(service="muc")
    await cluster.up()
    # Every door.
    ann = await person(cluster, "watched")
    for mode, listener in (("tls", "xmpp-tls"), ("ws", "websocket"), ("wss", "websocket-tls")):
        other = Client(ann.domain, ann.user)
        await other.login(cluster.address("gateway/2", listener), mode, cluster.fresh_context())
        await leave(other)
    # A wrong password, and a domain that is not ours.
    stranger = Client(ann.domain, ann.user, "wrong")
    await stranger.open(cluster.address("gateway/1"))
    try:
        await stranger.authenticate()
        raise AssertionError("signed in with a wrong password")
    except SaslFailure:
        stranger.abort()
    try:
        await Client("elsewhere.example", ann.user).open(cluster.address("gateway/1"))
        raise AssertionError("a stream to a foreign domain was opened")
    except StreamError as error:
        assert error.condition == "host-unknown", error
    # Back in a session.
    await ann.enable()
    await ann.sync()
    ann.abort()
    await ann.connection.wait_closed()
    await ann.resume(cluster.address("gateway/2"))
    # A room.
    room = f"{unique('watched')}@conference.{ann.domain}"
    await enter(ann, room, "ann")
    await configure(ann, room)
    for n in range(20):
        ann.message(room, f"{n}", "groupchat")
    await ann.expect_message("19")
    # Rosters, and a message for one who is away.
    await interested(ann)
    bob = await account(cluster, "absent")
    ann.message(bob.bare, "for later")
    ann.message(f"{unique('nobody')}@{ann.domain}", "for nobody")
    await ann.iq("get", f"<query xmlns='{ns.DISCO_INFO}'/>", to=ann.domain)
    await leave(ann)


async def _queries(prometheus: Prometheus) -> list[str]:
    """What has no answer."""
    failures, queries = [], 0
    for board in boards.load().values():
        chosen: dict[str, str] = {}
        for variable, selector, label in boards.variable_queries(board):
            values = await prometheus.label_values(boards.filled(selector, board), label)
            if not values:
                failures.append(f"{board['uid']}: ${variable} has no values")
            chosen[variable] = "|".join(values)
        # As Grafana asks when "all" is chosen, and when each value is.
        for selection in ({}, chosen):
            for query in boards.queries(board):
                expression = boards.filled(query.expression, board, _RATE_INTERVAL, "1m", selection)
                queries += 1
                now = time.time()
                answer = await prometheus.query(expression)
                drawn = await prometheus.query_range(expression, now - 6, now, 2)
                numbers = [sample["value"][1] for sample in answer] + [value for row in drawn for _, value in row["values"]]
                if not any(math.isfinite(float(number)) for number in numbers) and str(query) not in MAY_BE_EMPTY:
                    failures.append(f"no data: {query}: {expression}")
    assert queries > 200, f"only {queries} queries"
    return sorted(set(failures))
