"""A cluster for the tests, made by deploy/local/cluster, in a state and on ports of its own."""

import asyncio
import json
import os
import re
import signal
import ssl
import urllib.request
from pathlib import Path

from harness import kafka, redis
from harness.client import Client, trusting
from harness.paths import CLUSTER
from harness.shards import shard_of
from harness.wait import until

# Long waits are short here, so that tests can see their end.
SHORT_TIMES = {
    "ROOKERY_SESSION_MANAGER__SESSIONS__RESUME_TIMEOUT": "60s",
    "ROOKERY_GATEWAY__LIMITS__NEGOTIATION_TIMEOUT": "12s",
    "ROOKERY_GATEWAY__LIMITS__IDLE_TIMEOUT": "25s",
    "ROOKERY_GATEWAY__LIMITS__ANSWER_TIMEOUT": "8s",
    "ROOKERY_GATEWAY__LIMITS__WRITE_TIMEOUT": "10s",
}
# One talker leaves more for another than an operator would let it.
ROOM = {
    "ROOKERY_GATEWAY__LIMITS__STANZAS_PER_SECOND": "0",
    "ROOKERY_GATEWAY__LIMITS__STANZAS_PER_SECOND_PER_NETWORK": "0",
    "ROOKERY_SESSION_MANAGER__OFFLINE__MAX_MESSAGES": "3000",
    "ROOKERY_SESSION_MANAGER__OFFLINE__MAX_BYTES": "134217728",
}
_METRIC = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")


class Cluster:
    def __init__(self, state: Path, base_port: int | None = None, times: dict[str, str] | None = None):
        self.state = state
        self._times = SHORT_TIMES | ROOM if times is None else times
        self.base_port = base_port
        self.domain = "localhost"
        self._status: dict = {}
        self._context: ssl.SSLContext | None = None

    # ---- as a whole ----

    async def command(self, *arguments: str, seconds: float = 240, expected: tuple[int, ...] = ()) -> str:
        """Its output; raises where the exit status is not 0 and none of `expected`."""
        process = await asyncio.create_subprocess_exec(
            str(CLUSTER), "--state", str(self.state), *arguments, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**self._times, **os.environ},
        )
        output, errors = await asyncio.wait_for(process.communicate(), seconds)
        # 3: status, not everything is ready.
        if process.returncode not in (0, 3, *expected):
            raise RuntimeError(f"cluster {' '.join(arguments)}: {errors.decode().strip() or output.decode().strip()}")
        return output.decode()

    async def up(self, **replicas: int) -> None:
        """Starts what does not run; `gateway=2, session_manager=3`. Two of each unless said otherwise."""
        wanted = {"gateway": 2, "session_manager": 2, "roster": 2, "muc": 2, "search": 2} | replicas
        options = [f"--{key.replace('_', '-')}={value}" for key, value in wanted.items()]
        if self.base_port:
            options.append(f"--base-port={self.base_port}")
        if os.environ.get("ROOKERY_BUILD_DIR"):
            options.append(f"--build-dir={os.environ['ROOKERY_BUILD_DIR']}")
        await self.command("up", "--no-build", *options)
        await self.refresh()
        self._context = None

    async def down(self) -> None:
        await self.command("down")

    async def reset(self) -> None:
        await self.command("reset", "--yes")

    async def refresh(self) -> dict:
        self._status = json.loads(await self.command("status", "--json"))
        return self._status

    async def scale(self, service: str, count: int) -> None:
        await self.command("scale", f"{service}={count}")
        await self.refresh()

    async def restart(self, name: str) -> None:
        await self.command("restart", name)
        await self.refresh()

    # ---- processes ----

    def process(self, name: str) -> dict:
        service, _, instance = name.partition("/")
        for entry in self._status["processes"]:
            if entry["service"] == service and entry["instance"] == int(instance or 1):
                return entry
        raise KeyError(name)

    def instances(self, service: str) -> list[str]:
        return [f"{service}/{e['instance']}" for e in self._status["processes"] if e["service"] == service and e["pid"]]

    def signal(self, name: str, number: int) -> None:
        os.kill(self.process(name)["pid"], number)

    def kill(self, name: str) -> None:
        self.signal(name, signal.SIGKILL)

    def freeze(self, name: str) -> list[int]:
        """Stops the process and its children (PostgreSQL has one for each connection)."""
        pid = self.process(name)["pid"]
        pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        self._signal_all(pids, signal.SIGSTOP)
        return pids

    def thaw(self, pids: list[int]) -> None:
        self._signal_all(pids, signal.SIGCONT)

    @staticmethod
    def _signal_all(pids: list[int], number: int) -> None:
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def alive(self, name: str) -> bool:
        try:
            with open(f"/proc/{self.process(name)['pid']}/stat") as file:
                return file.read().rpartition(")")[2].split()[0] not in "ZX"
        except FileNotFoundError:
            return False

    def memory(self, name: str) -> int:
        """Resident bytes."""
        with open(f"/proc/{self.process(name)['pid']}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def ready(self, name: str, seconds: float = 60) -> None:
        async def is_ready() -> bool:
            await self.refresh()
            return self.process(name)["ready"]

        await until(is_ready, f"{name} is ready", seconds, every=0.3)

    def log(self, name: str) -> str:
        """Whole lines: the last one may still be on its way."""
        text = Path(self.process(name)["log"]).read_text(errors="replace")
        return text[: text.rfind("\n") + 1]

    # ---- addresses ----

    def address(self, name: str, listener: str = "xmpp") -> str:
        return self.process(name)["listeners"][listener]

    @property
    def context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = trusting(str(self.state / "certificates" / "ca.pem"))
        return self._context

    def fresh_context(self) -> ssl.SSLContext:
        return trusting(str(self.state / "certificates" / "ca.pem"))

    @property
    def service_certificates(self) -> Path:
        """Of our services, with which they know each other."""
        return self.state / "certificates" / "services"

    # ---- what is inside ----

    def secret(self, name: str) -> str:
        return (self.state / "secrets" / name).read_text().strip()

    async def redis(self, *words: str, user: str = "admin"):
        """A command's reply; by default of one who may do everything."""
        return await redis.command(self.address("redis", "redis"), user, self.secret(f"redis-{user}"), *words)

    def kafka(self, user: str = "admin") -> kafka.Broker:
        return kafka.Broker(self.address("kafka", "kafka"), user, self.secret(f"kafka-{user}"))

    async def owners(self, service: str = "session-manager") -> dict[int, str]:
        """shard -> instance of the service that owns it, as Redis has it."""
        flat = await self.redis("HGETALL", f"rookery:shards:{service}")
        return {int(flat[i]): flat[i + 1].split()[1] for i in range(0, len(flat), 2)}

    async def epochs(self, service: str = "session-manager") -> dict[int, int]:
        """shard -> epoch of its owner: the offset of the fence with which it began."""
        flat = await self.redis("HGETALL", f"rookery:shards:{service}")
        return {int(flat[i]): int(flat[i + 1].split()[0]) for i in range(0, len(flat), 2)}

    async def all_owned(self, seconds: float = 60, service: str = "session-manager") -> dict[int, str]:
        """Waits until the service's shards rest: each has an owner that runs and is live, every
        instance has its share, and no epoch has changed between two looks."""
        last, seen = None, ""

        async def at_rest():
            nonlocal last, seen
            await self.refresh()
            names = [n for n in self.instances(service) if self.alive(n)]
            owners, epochs = await self.owners(service), await self.epochs(service)
            shares = [list(owners.values()).count(n.replace("/", "-")) for n in names]
            unchanged, last = epochs == last, epochs
            unready = {n: self.process(n)["reason"] for n in names if not self.process(n)["ready"]}
            seen = f"{names} run, not ready: {unready}, shards: {owners}, epochs: {epochs}"
            complete = len(owners) == self.partitions == sum(shares) and min(shares) >= self.partitions // len(names)
            return owners if complete and unchanged and not unready else None

        try:
            return await until(at_rest, f"every shard of {service} has a live owner", seconds, every=0.7)
        except AssertionError as error:
            raise AssertionError(f"{error} ({seen})") from None

    @property
    def partitions(self) -> int:
        return json.loads((self.state / "cluster.json").read_text())["partitions"]

    def shard(self, bare_jid: str) -> int:
        return shard_of(bare_jid, self.partitions)

    async def metrics(self, name: str) -> dict[str, float]:
        """Sums over the labels of each metric."""
        address = self.address(name, "admin")
        loop = asyncio.get_running_loop()

        def fetch() -> str:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
                return answer.read().decode()

        sums: dict[str, float] = {}
        for line in (await loop.run_in_executor(None, fetch)).splitlines():
            match = _METRIC.match(line)
            if match:
                sums[match.group(1)] = sums.get(match.group(1), 0.0) + float(match.group(3))
        return sums

    async def counted(self, service: str, what: str) -> float:
        """What all instances of the service have counted, by the metric rookery_<service>_<what>_total."""
        metric = f"rookery_{service.replace('-', '_')}_{what}_total"
        return sum([(await self.metrics(name)).get(metric, 0.0) for name in self.instances(service)])

    # ---- users ----

    async def user(self, name: str, gateway: str = "gateway/1", login: bool = True, **options) -> Client:
        """Registers an account; `login` also signs it in (plain TCP)."""
        client = Client(self.domain, name, **options)
        await client.open(self.address(gateway))
        await client.register()
        if login:
            await client.authenticate()
            await client.bind()
        else:
            await client.close()
        return client

    def user_on_shard_of(self, owner: str, owners: dict[int, str], prefix: str) -> str:
        """A user name whose shard the session-manager `owner` has."""
        for number in range(10_000):
            name = f"{prefix}{number or ''}"
            if owners.get(self.shard(f"{name}@{self.domain}")) == owner:
                return name
        raise AssertionError(f"{owner} owns no shard")
