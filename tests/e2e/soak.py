"""A long talk during which one thing after another fails, drawn by lot, and every message is
accounted for: what the kill scenarios do one at a time, in any order and sometimes at once.

    python -m soak --state DIR [--base-port N] [--minutes M] [--seed S]

The seed is printed; the same one draws the same failures in the same order."""

import argparse
import asyncio
import random
import secrets
import signal
import sys
import time
from pathlib import Path

from harness import redis
from harness.cluster import Cluster
from harness.traffic import Traffic
from harness.wait import until


class Soak:
    def __init__(self, cluster: Cluster, traffic: Traffic, seed: int):
        self.cluster = cluster
        self.traffic = traffic
        self.random = random.Random(seed)
        self.began = time.monotonic()
        # What is repaired in the background while the next thing fails already.
        self.repairs: set[asyncio.Task] = set()
        self.busy: set[str] = set()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    async def run(self, minutes: float) -> None:
        faults = [
            (4, self.kill_session_manager), (2, self.stop_session_manager), (3, self.freeze_session_manager),
            (3, self.kill_gateway), (1, self.stop_gateway), (2, self.kill_roster), (2, self.kill_kafka),
            (2, self.empty_redis), (2, self.stop_postgresql), (1, self.scale),
        ]
        weights = [weight for weight, _ in faults]
        while time.monotonic() - self.began < minutes * 60:
            (fault,) = self.random.choices([fault for _, fault in faults], weights)
            await fault()
            await self.traffic.talk(self.random.choice((0.2, 1, 3, 6, 10)))
        await self.repaired()
        await self.cluster.all_owned()

    async def repaired(self) -> None:
        while self.repairs:
            await self.traffic.talk(0.5)

    def repair(self, what: str, work) -> None:
        self.busy.add(what)
        task = asyncio.create_task(work)
        self.repairs.add(task)

        def done(task_: asyncio.Task) -> None:
            self.repairs.discard(task_)
            self.busy.discard(what)
            if not task_.cancelled() and task_.exception():
                self.traffic.problems.append(f"{what}: {task_.exception()!r}")

        task.add_done_callback(done)

    async def up(self, after: float) -> None:
        await asyncio.sleep(after)
        await self.cluster.up(session_manager=len(self.cluster.instances("session-manager")) if "scale" in self.busy else 2)

    async def thaw(self, frozen: list[int], after: float) -> None:
        await asyncio.sleep(after)
        self.cluster.thaw(frozen)

    def one_of(self, service: str) -> str:
        return self.random.choice(self.cluster.instances(service))

    # ---- the faults ----

    async def kill_session_manager(self) -> None:
        await self._end_session_manager(signal.SIGKILL, "kill -9")

    async def stop_session_manager(self) -> None:
        await self._end_session_manager(signal.SIGTERM, "SIGTERM")

    async def _end_session_manager(self, number: int, word: str) -> None:
        name, after = self.one_of("session-manager"), self.random.uniform(0, 9)
        if self.busy & {"session-manager", "gateway", "scale"} or not self.cluster.alive(name):
            return
        self.say(f"{name}: {word}, back {after:.1f} s later")
        self.cluster.signal(name, number)

        async def back() -> None:
            await until(lambda: not self.cluster.alive(name), f"{name} is gone", 30)
            await self.up(after)

        self.repair("session-manager", back())

    async def freeze_session_manager(self) -> None:
        name, span = self.one_of("session-manager"), self.random.uniform(1, 14)
        if self.busy & {"session-manager", "gateway", "scale"} or not self.cluster.alive(name):
            return
        self.say(f"{name}: SIGSTOP for {span:.1f} s")
        frozen = self.cluster.freeze(name)
        self.repair("session-manager", self.thaw(frozen, span))

    async def kill_gateway(self) -> None:
        await self._end_gateway(signal.SIGKILL, "kill -9")

    async def stop_gateway(self) -> None:
        await self._end_gateway(signal.SIGTERM, "SIGTERM")

    async def _end_gateway(self, number: int, word: str) -> None:
        # A session whose gateway and owner die at once is nowhere: no session-manager may be away,
        # and the database must take what the owner parks.
        if self.busy or len(self.traffic.gateways) < 2:
            return
        await self.cluster.all_owned()
        name, after = self.one_of("gateway"), self.random.uniform(0, 6)
        self.say(f"{name}: {word}, back {after:.1f} s later")
        self.traffic.gateways.remove(name)
        self.traffic.expected_drops = True
        self.cluster.signal(name, number)

        async def back() -> None:
            await until(lambda: not self.cluster.alive(name), f"{name} is gone", 30)
            await self.up(after)
            self.traffic.gateways.append(name)
            await until(lambda: all(t.online or t.leaving for t in self.traffic.talkers), "all have noticed")
            self.traffic.expected_drops = False
            # Nothing tells when the owners have forgotten where the sessions were; until then
            # (resume_hand_over) none may die, see above.
            await asyncio.sleep(3)

        self.repair("gateway", back())

    async def kill_roster(self) -> None:
        name = self.one_of("roster")
        if "roster" in self.busy:
            return
        self.say(f"{name}: kill -9")
        self.cluster.kill(name)
        self.repair("roster", self.up(self.random.uniform(0, 4)))

    async def kill_kafka(self) -> None:
        if self.busy & {"kafka", "gateway"}:
            return
        self.say("kafka: kill -9")
        self.cluster.kill("kafka")
        self.repair("kafka", self.up(0))

    async def empty_redis(self) -> None:
        self.say("redis: FLUSHALL")
        await redis.command(self.cluster.address("redis", "redis"), "FLUSHALL")

    async def stop_postgresql(self) -> None:
        if self.busy & {"postgresql", "gateway"}:
            return
        span = self.random.uniform(1, 10)
        self.say(f"postgresql: SIGSTOP for {span:.1f} s")
        self.traffic.stored_in_order = False
        frozen = self.cluster.freeze("postgresql")
        self.repair("postgresql", self.thaw(frozen, span))

    async def scale(self) -> None:
        if self.busy:
            return
        self.say("session-manager: 3, later 2 again")

        async def there_and_back() -> None:
            await self.cluster.scale("session-manager", 3)
            await asyncio.sleep(self.random.uniform(1, 8))
            await self.cluster.scale("session-manager", 2)

        self.repair("scale", there_and_back())


async def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--base-port", type=int)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=560, help="messages a second")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parsed = parser.parse_args()
    print(f"seed {parsed.seed}", flush=True)
    cluster = Cluster(parsed.state, parsed.base_port)
    await cluster.reset()
    await cluster.up()
    await cluster.all_owned()
    try:
        async with Traffic(cluster, rate=parsed.rate, seed=parsed.seed) as traffic:
            soak = Soak(cluster, traffic, parsed.seed)
            await soak.run(parsed.minutes)
            soak.say("all is repaired; the account follows")
            print(await traffic.finish(), flush=True)
    except AssertionError as error:
        print(f"FAILED: {error}", flush=True)
        return 1
    finally:
        await cluster.down()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
