"""A long talk during which one thing after another fails, drawn by lot, also two at once on different
services, and every message is accounted for, between users and in rooms: what the kill scenarios do one at a time.

    python -m soak --state DIR [--base-port N] [--minutes M] [--seed S] [--at-once N] [--faults KIND,…]

Between our processes, and between them and their backends, stands a relay (harness/relay.py), which cuts
links in both directions or in one, delays and slows them. The seed is printed; it draws each fault by its
number, so that the same one gives the same faults but for those that something else stood in the way of."""

import argparse
import asyncio
import random
import secrets
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Awaitable, Callable, Coroutine

from harness.cluster import Cluster
from harness.faults import Span, may_be_out_of_reach, may_lose_connection, may_lose_session
from harness.relay import Link, Processes, Relay
from harness.traffic import Talker, Traffic
from harness.wait import until

# Behind the ports that deploy/local/cluster gives to processes.
_RELAY_PORT = {"redis": 470, "kafka": 471, "postgresql": 472, "session-manager": 480, "roster": 500, "muc": 520, "search": 540}
_BACKENDS = {"gateway": ("redis",), "session-manager": ("redis", "kafka", "postgresql"), "roster": ("redis", "postgresql"),
             "muc": ("redis", "kafka", "postgresql"), "search": ("redis", "kafka")}
_MOST_INSTANCES = 3
# There is one of each, and while it is away nobody signs in. Faults of them follow each other for so many seconds at
# most; then both are well for so long.
_SINGLE = {"kafka", "postgresql"}
_LONGEST_WITHOUT = 60
_CALM = 15
# Links are cut for up to a minute, and what was under way in that time may be lost with a connection.
_UNCERTAIN = 75
# What talks to what: service, what it connects to, and how often that link is drawn.
_LINKS = (("gateway", "session-manager", 5), ("gateway", "redis", 1), ("session-manager", "kafka", 3), ("session-manager", "redis", 1),
          ("session-manager", "postgresql", 2), ("session-manager", "roster", 2), ("roster", "postgresql", 1), ("roster", "redis", 1),
          ("muc", "kafka", 2), ("muc", "postgresql", 1), ("muc", "redis", 1))


# Every session-manager.
_ALL = "session-manager/*"


def _hit_by(link: Link) -> set[str]:
    """Of a disturbed link: a gateway that is apart from whom it must find or tell, and a session-manager that is apart
    from gateways, or from Kafka and so from its shards. One without its stores keeps what it knows."""
    client, server = link.client.split("/")[0], link.server.split("/")[0]
    hit = set()
    if client == "gateway":
        hit.add(link.client)
    if server == "session-manager":
        hit.add(link.server)
    if (client, server) == ("session-manager", "kafka"):
        hit.add(link.client)
    return hit


class Network:
    """The relay, and the settings that send the cluster's processes through it."""

    def __init__(self, state: Path, base_port: int):
        self._settings = state / "settings"
        self._base_port = base_port
        self.relay = Relay(Processes(state))

    def port(self, service: str, instance: int = 1) -> int:
        return self._base_port + _RELAY_PORT[service] + (instance if service in _BACKENDS else 0)

    def configure(self) -> None:
        """Before `up`: everybody is told the relay's addresses in place of the servers' own."""
        self._settings.mkdir(parents=True, exist_ok=True)
        clauses = {
            "redis": f"redis: {{addresses: ['127.0.0.1:{self.port('redis')}']}}\n",
            "kafka": f"kafka: {{brokers: ['127.0.0.1:{self.port('kafka')}']}}\n",
        }
        for service, backends in _BACKENDS.items():
            # Who cannot come back for a minute has more than a thousand messages waiting, also while the store is away.
            own = "offline: {max-messages: 100000}\nshards: {store-waiting: 500000}\n" if service == "session-manager" else ""
            clauses["postgresql"] = (f"pg: {{connection: 'host=127.0.0.1 port={self.port('postgresql')} dbname=rookery "
                                     f"user={service.replace('-', '_')}'}}\n")
            (self._settings / f"{service}.yaml").write_text("".join(clauses[backend] for backend in backends) + own)
            if service == "gateway":
                continue
            for instance in range(1, _MOST_INSTANCES + 1):
                address = f"127.0.0.1:{self.port(service, instance)}"
                (self._settings / f"{service}-{instance}.yaml").write_text(f"rpc: {{advertised-address: '{address}'}}\n")
        # Whoever has found the broker through the relay is sent to the relay again.
        (self._settings / "kafka.properties").write_text(f"advertised.listeners=CLIENTS://127.0.0.1:{self.port('kafka')}\n")

    async def listen(self) -> None:
        base = self._base_port
        for service, offset in (("kafka", 180), ("postgresql", 182), ("redis", 183)):
            await self.relay.listen(f"{service}/1", self.port(service), f"127.0.0.1:{base + offset}")
        for service, first in (("session-manager", 300), ("roster", 340), ("muc", 380), ("search", 420)):
            for instance in range(1, _MOST_INSTANCES + 1):
                upstream = f"127.0.0.1:{base + first + 2 * (instance - 1)}"
                await self.relay.listen(f"{service}/{instance}", self.port(service, instance), upstream)

    async def close(self) -> None:
        await self.relay.close()
        shutil.rmtree(self._settings, ignore_errors=True)


@dataclass
class Begun:
    """A fault that is there: the services with which nothing else is done meanwhile, the processes that it hits, as
    far as sessions go (`_ALL`: every session-manager), what it is, and what mends it."""

    services: set[str]
    hit: set[str]
    text: str
    repair: Coroutine
    # Gateways that cannot talk to session-managers.
    apart: set[str] = field(default_factory=set)
    # Gateways that are not told by Redis where session-managers are.
    unguided: set[str] = field(default_factory=set)


@dataclass
class Fault:
    """`begin` gives None: it cannot be done now."""

    kind: str
    weight: int
    begin: Callable[[], Awaitable[Begun | None]]


class Soak:
    def __init__(self, cluster: Cluster, network: Network, traffic: Traffic, seed: int, at_once: int, kinds: set[str]):
        self.cluster = cluster
        self.network = network
        self.traffic = traffic
        self.seed = seed
        self.random = random.Random()
        self.at_once = at_once
        self.began = time.monotonic()
        # Services with which something is wrong, each by one fault.
        self.busy: set[str] = set()
        self.repairs: set[asyncio.Task] = set()
        self.count: dict[str, int] = {}
        self.spans: list[Span] = []
        traffic.may_lose_session = self._may_lose_session
        traffic.may_lose_connection = lambda talker: may_lose_connection(self.spans, talker.at, time.monotonic())
        traffic.may_be_out_of_reach = self._may_be_out_of_reach
        # Since when, or until when, something is wrong with what there is one of.
        self._without_since = 0.0
        self._calm_until = 0.0
        self._up = asyncio.Lock()
        self._session_managers = 2
        every = [
            Fault("kill-session-manager", 4, lambda: self._end("session-manager", signal.SIGKILL)),
            Fault("stop-session-manager", 2, lambda: self._end("session-manager", signal.SIGTERM)),
            Fault("freeze-session-manager", 3, lambda: self._freeze("session-manager")),
            Fault("kill-gateway", 3, lambda: self._end("gateway", signal.SIGKILL)),
            Fault("stop-gateway", 1, lambda: self._end("gateway", signal.SIGTERM)),
            Fault("freeze-gateway", 1, lambda: self._freeze("gateway")),
            Fault("kill-roster", 2, lambda: self._end("roster", signal.SIGKILL)),
            Fault("freeze-roster", 1, lambda: self._freeze("roster")),
            Fault("kill-muc", 2, lambda: self._end("muc", signal.SIGKILL)),
            Fault("stop-muc", 1, lambda: self._end("muc", signal.SIGTERM)),
            Fault("freeze-muc", 2, lambda: self._freeze("muc")),
            Fault("kill-kafka", 2, lambda: self._end("kafka", signal.SIGKILL)),
            Fault("freeze-kafka", 1, lambda: self._freeze("kafka")),
            Fault("freeze-postgresql", 2, lambda: self._freeze("postgresql")),
            Fault("freeze-redis", 1, lambda: self._freeze("redis")),
            Fault("empty-redis", 2, self._empty_redis),
            Fault("scale", 1, self._scale),
            Fault("cut", 4, lambda: self._disturb("cut", lambda link: link.cut())),
            Fault("cut-to-server", 3, lambda: self._disturb("cut towards the server", lambda link: link.cut_to_server())),
            Fault("cut-to-client", 3, lambda: self._disturb("cut towards the client", lambda link: link.cut_to_client())),
            Fault("delay", 2, self._delay),
            Fault("slow", 2, self._slow),
            Fault("reset", 2, self._reset),
        ]
        unknown = kinds - {fault.kind for fault in every}
        if unknown:
            raise SystemExit(f"no fault is called {', '.join(sorted(unknown))}; there are {', '.join(f.kind for f in every)}")
        self.faults = [fault for fault in every if not kinds or fault.kind in kinds]

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    async def run(self, minutes: float) -> None:
        weights = [fault.weight for fault in self.faults]
        number = 0
        while time.monotonic() - self.began < minutes * 60:
            self.random.seed(f"{self.seed}:{number}")
            pause = self.random.choice((0.2, 1, 3, 6, 10))
            while len(self.repairs) >= self.at_once:
                await self.traffic.talk(0.2)
            # What is busy already, or has not been connected yet, is left alone: draw again.
            while not await self._begin(*self.random.choices(self.faults, weights)):
                await self.traffic.talk(0.2)
            number += 1
            await self.traffic.talk(pause)
        await self.repaired()
        await self.cluster.all_owned()

    async def _begin(self, fault: Fault) -> bool:
        begun = await fault.begin()
        if begun is None:
            return False
        self.count[fault.kind] = self.count.get(fault.kind, 0) + 1
        self.say(begun.text)
        if begun.services & _SINGLE and not self.busy & _SINGLE:
            self._without_since = time.monotonic()
        self.busy |= begun.services
        gateways = {name for name in begun.hit if name.startswith("gateway/")}
        span = Span(time.monotonic(), gateways, self._shards_of(begun.hit), apart=begun.apart, unguided=begun.unguided)
        self.spans.append(span)
        task = asyncio.create_task(begun.repair)
        self.repairs.add(task)

        def done(task_: asyncio.Task) -> None:
            self.repairs.discard(task_)
            span.ended = time.monotonic()
            self.busy -= begun.services
            if begun.services & _SINGLE and not self.busy & _SINGLE:
                self._calm_until = time.monotonic() + _CALM
            if not task_.cancelled() and task_.exception():
                self.traffic.report(f"{begun.text}: {task_.exception()!r}")
            else:
                self.say(f"  mended: {begun.text}")

        task.add_done_callback(done)
        return True

    def _shards_of(self, hit: set[str]) -> set[int]:
        """Those whose owner is hit, or changes: when a session-manager goes or is back, the group may give any shard to
        another one."""
        is_moved = any(name.startswith("session-manager/") for name in hit)
        return set(range(self.cluster.partitions)) if is_moved else set()

    def _may_lose_session(self, talker: Talker) -> float | None:
        shard = self.cluster.shard(talker.client.bare)
        return may_lose_session(self.spans, talker.at, shard, talker.until, max(talker.until, talker.tried))

    def _may_be_out_of_reach(self, talker: Talker) -> bool:
        return may_be_out_of_reach(self.spans, talker.at, self.cluster.shard(talker.client.bare), time.monotonic())

    async def repaired(self) -> None:
        while self.repairs:
            await self.traffic.talk(0.5)

    async def _bring_up(self) -> None:
        """`up` waits for all that it starts; while something else is wrong that may take several attempts."""
        deadline = time.monotonic() + 300
        while True:
            try:
                async with self._up:
                    await self.cluster.up(session_manager=self._session_managers)
                return
            except RuntimeError as error:
                if time.monotonic() > deadline:
                    raise
                self.say(f"  not up yet: {error}")
                await asyncio.sleep(2)

    def _are_well(self, services: set[str]) -> bool:
        """Whether nothing is wrong with any of them, and something may be."""
        if self.busy & services:
            return False
        if not services & _SINGLE:
            return True
        now = time.monotonic()
        return now < self._without_since + _LONGEST_WITHOUT if self.busy & _SINGLE else now >= self._calm_until

    def _free(self, service: str) -> str | None:
        """An instance of a service with which nothing is wrong."""
        if not self._are_well({service}):
            return None
        alive = [name for name in self.cluster.instances(service) if self.cluster.alive(name)]
        return self.random.choice(alive) if alive else None

    # ---- the faults ----

    async def _end(self, service: str, number: int):
        name, after = self._free(service), self.random.uniform(0, 9)
        if name is None or (service == "gateway" and len(self.traffic.gateways) < 2):
            return None
        # `up` waits for a service, which waits for the broker, which waits for another `up`.
        if service == "kafka" and self._up.locked():
            return None
        if service == "gateway":
            self.traffic.gateways.remove(name)
            self.traffic.expected_drops = True
        self.cluster.signal(name, number)

        async def back() -> None:
            await until(lambda: not self.cluster.alive(name), f"{name} is gone", 60)
            await asyncio.sleep(after)
            await self._bring_up()
            if service == "gateway":
                self.traffic.gateways.append(name)
                await self._all_back()

        hit = {_ALL} if service == "kafka" else {name}
        return Begun({service}, hit, f"{name}: {signal.Signals(number).name}, back {after:.1f} s later", back())

    async def _all_back(self) -> None:
        await until(lambda: all(t.online or t.leaving for t in self.traffic.talkers), "all have noticed", 90)
        self.traffic.expected_drops = False

    async def _freeze(self, service: str):
        name, span = self._free(service), self.random.uniform(1, 60)
        if name is None or (service == "gateway" and len(self.traffic.gateways) < 2):
            return None
        if service == "gateway":
            # Its clients sit it out or go elsewhere; nobody new is sent there.
            self.traffic.gateways.remove(name)
            self.traffic.expected_drops = True
        frozen = self.cluster.freeze(name)

        async def thaw() -> None:
            try:
                await asyncio.sleep(span)
            finally:
                self.cluster.thaw(frozen)
            if service == "gateway":
                self.traffic.gateways.append(name)
                await asyncio.sleep(5)
                await self._all_back()

        # A gateway finds nobody without Redis who has come back meanwhile.
        hit = {"kafka": {_ALL}, "redis": set(self.cluster.instances("gateway"))}.get(service, {name})
        # A gateway that stands still is apart from everybody.
        apart = {name} if service == "gateway" else set()
        unguided = set(self.cluster.instances("gateway")) if service == "redis" else set()
        return Begun({service}, hit, f"{name}: SIGSTOP for {span:.1f} s", thaw(), apart, unguided)

    async def _empty_redis(self):
        if "redis" in self.busy:
            return None
        await self.cluster.redis("FLUSHALL")
        return Begun({"redis"}, set(), "redis: FLUSHALL", asyncio.sleep(0))

    async def _scale(self):
        if self.busy:
            return None

        async def there_and_back() -> None:
            for count in (3, 2):
                self._session_managers = count
                async with self._up:
                    await self.cluster.scale("session-manager", count)
                await asyncio.sleep(self.random.uniform(1, 8))

        # A session-manager cannot start without these, as the README says.
        needed = {"kafka", "postgresql"}
        return Begun({"session-manager"} | needed, {_ALL}, "session-manager: 3, later 2 again", there_and_back())

    async def _delay(self):
        seconds = self.random.choice((0.01, 0.05, 0.2, 1))
        return await self._disturb(f"{seconds * 1000:.0f} ms slower in both directions", lambda link: link.delay(seconds))

    async def _slow(self):
        rate = self.random.choice((10_000, 50_000, 200_000))
        return await self._disturb(f"no more than {rate} bytes a second", lambda link: link.slow(rate))

    async def _reset(self):
        return await self._disturb("connections reset", lambda link: link.reset(), 0.1)

    async def _disturb(self, text: str, do: Callable[[Link], None], span: float = 0):
        span = span or self.random.uniform(1, 60)
        ((service, server, _),) = self.random.choices(_LINKS, [weight for _, _, weight in _LINKS])
        # One instance of each, or all.
        client = f"{service}/{self.random.choice(('*', '1', '2'))}"
        target = f"{server}/{self.random.choice(('*', '1', '2')) if server in _BACKENDS else '1'}"
        links = self.network.relay.links(client, target)
        if not self._are_well({service, server}) or not links:
            return None
        for link in links:
            do(link)

        async def heal() -> None:
            try:
                await asyncio.sleep(span)
            finally:
                for link in links:
                    link.heal()

        hit = set().union(*map(_hit_by, links))
        apart = {link.client for link in links if service == "gateway" and server == "session-manager"}
        # A session-manager without Redis is found by no gateway.
        unguided = {"gateway": {link.client for link in links}, "session-manager": set(self.cluster.instances("gateway"))}
        return Begun({service, server}, hit, f"{client} - {target}: {text} for {span:.1f} s", heal(), apart,
                     unguided.get(service, set()) if server == "redis" else set())


async def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--base-port", type=int, default=17222)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=560, help="messages a second")
    parser.add_argument("--rooms", type=int, default=4, help="rooms that a dozen of the users talk in besides")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="faults at the same time, on different services (2)")
    parser.add_argument("--faults", default="", metavar="KIND,…", help="only these kinds")
    parsed = parser.parse_args()
    print(f"seed {parsed.seed}", flush=True)
    # The times of operators: faults outlast those of the tests.
    cluster = Cluster(parsed.state, parsed.base_port, times={})
    network = Network(parsed.state, parsed.base_port)
    await cluster.reset()
    network.configure()
    await network.listen()
    try:
        await cluster.up()
        await cluster.all_owned()
        # Who cannot reach the database takes nobody in.
        async with Traffic(
            cluster, rate=parsed.rate, seed=parsed.seed, patience=180, uncertain=_UNCERTAIN, may_be_sent_away=True,
            report=parsed.state / "faults.txt", rooms=parsed.rooms,
        ) as traffic:
            soak = Soak(cluster, network, traffic, parsed.seed, parsed.at_once, set(filter(None, parsed.faults.split(","))))
            try:
                await soak.run(parsed.minutes)
                soak.say("all is mended; the account follows")
                print(await traffic.finish(180), flush=True)
            finally:
                network.relay.heal()
                print("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(soak.count.items())), flush=True)
    except AssertionError as error:
        print(f"FAILED: {error}", flush=True)
        return 1
    finally:
        for entry in cluster._status.get("processes", ()):
            if entry["pid"]:
                Cluster._signal_all([entry["pid"]], signal.SIGCONT)
        await cluster.down()
        await network.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
