"""What the backends let each of our services do, and strangers: as little as they need, and nothing."""

import asyncio
import base64
import contextlib
import ipaddress
import os
import re
import secrets
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from harness import kafka, ns, redis
from harness.client import Client, StanzaError, error_of
from harness.cluster import Cluster
from harness.extra_gateway import NAME as EXTRA_GATEWAY
from harness.extra_gateway import extra_gateway
from harness.people import leave, pair, unique
from harness.runner import scenario
from harness.sasl import SaslFailure
from harness.wait import until
from harness.xml import name

_SERVICES = ("gateway", "session-manager", "roster", "muc", "search")


async def _refusal(cluster: Cluster, user: str, *words: str) -> str:
    try:
        await cluster.redis(*words, user=user)
        return ""
    except RuntimeError as error:
        return str(error)


@scenario
async def redis_lets_each_service_do_what_it_does(cluster: Cluster) -> None:
    for user, password in (("default", ""), ("default", "x"), ("gateway", "wrong"), ("nobody", "x")):
        with contextlib.suppress(RuntimeError):
            await redis.command(cluster.address("redis", "redis"), user, password, "PING")
            raise AssertionError(f"{user} is let in with {password!r}")
    for service in _SERVICES:
        for words in (("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("GET", "rookery:other"),
                      ("SUBSCRIBE", "x"), ("PUBLISH", "x", "y"), ("MONITOR",), ("CLIENT", "LIST"), ("SHUTDOWN",)):
            assert "NOPERM" in await _refusal(cluster, service, *words), f"{service} may {words}"
        # Nobody can say that he is another, in a script or without.
        for other in {*_SERVICES} - {service}:
            key = f"rookery:instances:{other}"
            for words in (("ZADD", key, "1", "x"), ("EVAL", "return redis.call('ZADD', KEYS[1], 1, 'x')", "1", key)):
                assert "NOPERM" in await _refusal(cluster, service, *words), f"{service} may {words}"
    for service in ("gateway", "roster", "muc", "search"):
        assert "NOPERM" in await _refusal(cluster, service, "HGETALL", "rookery:sessions:{0}"), f"{service} reads sessions"
    assert "NOPERM" in await _refusal(cluster, "session-manager", "INCR", "rookery:sign-in-failures:account:x")
    assert "NOPERM" in await _refusal(cluster, "session-manager", "SMEMBERS", "rookery:known-networks:0:0")


@scenario
async def postgresql_shows_each_service_its_own_tables(cluster: Cluster) -> None:
    host, _, port = cluster.address("postgresql", "postgresql").rpartition(":")

    def ask(user: str, password: str, statement: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["psql", "-X", "-w", "-A", "-t", "-h", host, "-p", port, "-U", user, "-d", "rookery", "-c", statement],
            env={**os.environ, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        )

    own = {"session-manager": "accounts", "roster": "roster_items", "muc": "muc_rooms"}
    for service, table in own.items():
        role, password = service.replace("-", "_"), cluster.secret(f"postgresql-{service}")
        answer = ask(role, password, f"SELECT count(*) FROM {table}")
        assert answer.returncode == 0, answer.stderr
        assert ask(role, password + "x", "SELECT 1").returncode != 0, f"{role} is let in with a wrong password"
        assert ask(role, "", "SELECT 1").returncode != 0, f"{role} is let in without a password"
        foreign = [f"SELECT * FROM {other.replace('-', '_')}.{own[other]} LIMIT 1" for other in own if other != service]
        for statement in (*foreign, "CREATE TABLE public.x (y int)", "CREATE ROLE x", "SELECT passwd FROM pg_shadow",
                          "COPY (SELECT 1) TO PROGRAM 'true'"):
            answer = ask(role, password, statement)
            assert answer.returncode != 0 and re.search("permission denied|must be superuser", answer.stderr), f"{role}: {statement}: {answer}"


# Of each service's user of Kafka: its group, what it reads and what it writes. Beyond that each makes topics that are
# missing and looks at how all of them were made.
_KAFKA = {
    "session-manager": ("rookery.session-managers", {"users"}, {"users", "rooms", "messages", "presence"}),
    "muc": ("rookery.muc", {"rooms"}, {"rooms", "users", "messages"}),
    "search": ("rookery.search", {"messages"}, {"messages"}),
}
_OF_ALL_TOPICS = {"CREATE", "DESCRIBE", "DESCRIBE_CONFIGS"}


def _with_topic(service: str, topic: str) -> set[str]:
    _, read, written = _KAFKA[service]
    return _OF_ALL_TOPICS | ({"READ"} if topic in read else set()) | ({"WRITE"} if topic in written else set())


@scenario
async def kafka_has_no_rules_but_those_that_services_need(cluster: Cluster) -> None:
    """Of topics, groups, the cluster itself, transactions and tokens; nor for anybody else."""
    needed = {(service, "READ", "GROUP", group) for service, (group, _, _) in _KAFKA.items()}
    for service in _KAFKA:
        for topic, (name_, _) in kafka.TOPICS.items():
            needed |= {(service, operation, "TOPIC", name_) for operation in _with_topic(service, topic)}
    there = await asyncio.get_running_loop().run_in_executor(None, kafka.rights, cluster.kafka())
    assert there == needed, f"beyond the need: {sorted(there - needed)}; missing: {sorted(needed - there)}"


@scenario
async def kafka_refuses_each_service_what_is_not_its_own(cluster: Cluster) -> None:
    """As the broker decides, whatever its rules are."""
    loop = asyncio.get_running_loop()
    for service, (own_group, read, _) in _KAFKA.items():
        user = cluster.kafka(service)
        # Neither DELETE nor ALTER nor ALTER_CONFIGS of any topic, and no sight of others than these.
        may = await loop.run_in_executor(None, kafka.operations, user)
        assert may == {name_: _with_topic(service, topic) for topic, (name_, _) in kafka.TOPICS.items()}, f"{service}: {may}"
        for topic in kafka.TOPICS:
            reads = await loop.run_in_executor(None, kafka.may_read, user, topic)
            assert reads == (topic in read), f"{service} {'reads' if reads else 'cannot read'} {topic}"
        others = sorted({*(group for group, _, _ in _KAFKA.values()), "rookery.other", "other"} - {own_group})
        seen = await loop.run_in_executor(None, kafka.groups_seen, user, others)
        assert not seen, f"{service} sees the groups {seen}"
        done = await loop.run_in_executor(None, kafka.administers, user)
        assert not done, f"{service} may {done}"


@scenario
async def kafka_lets_each_service_do_what_it_does(cluster: Cluster) -> None:
    loop = asyncio.get_running_loop()
    written = {"muc": ("rooms", "users", "messages"), "search": ("messages",), "session-manager": tuple(kafka.TOPICS)}
    for service, topics in written.items():
        for topic in sorted(set(kafka.TOPICS) - set(topics)):
            allowed = await loop.run_in_executor(None, kafka.may_append, cluster.kafka(service), topic)
            assert not allowed, f"{service} may write {topic}"
    muc = cluster.kafka("muc")
    assert await loop.run_in_executor(None, kafka.is_let_in, muc)
    for stranger in (muc._replace(password="wrong"), muc._replace(user="nobody"), muc._replace(user="", password="")):
        assert not await loop.run_in_executor(None, kafka.is_let_in, stranger), f"Kafka lets {stranger.user!r} in"


@scenario(seconds=120)
async def what_kafka_forbids_is_answered_with_an_error(cluster: Cluster) -> None:
    """And what comes afterwards is delivered: nothing stays behind what was refused."""
    await cluster.all_owned()
    ann, bob = await pair(cluster)
    with kafka.denied(cluster.kafka(), "session-manager", "WRITE", "users"):
        id_ = ann.message(bob.bare, "forbidden")
        answer = await ann.expect(lambda s: name(s) == "message" and s.get("id") == id_ and s.get("type") == "error", seconds=30)
        assert error_of(answer)[0] in ("wait", "cancel"), error_of(answer)
    # The broker learns a moment later what is allowed again.
    async def arrives() -> bool:
        ann.message(bob.bare, "allowed")
        with contextlib.suppress(AssertionError, TimeoutError, asyncio.TimeoutError):
            await bob.expect_message("allowed", seconds=2)
            return True
        return False

    await until(arrives, "a message is delivered again", 30)
    await leave(ann, bob)


@scenario
async def what_the_cluster_keeps_is_its_users_alone(cluster: Cluster) -> None:
    for directory in ("certificates", "config", "logs", "run", "secrets", "data/kafka", "data/redis", "data/postgresql"):
        mode = (cluster.state / directory).stat().st_mode & 0o777
        assert mode == 0o700, f"{directory}: {mode:o}"
    for path in (cluster.state / "secrets").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    for path in (cluster.state / "certificates").rglob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600, path
    for service in ("kafka", "redis", "postgresql", *_SERVICES):
        pid = cluster.process(f"{service}/1")["pid"]
        if service != "postgresql":
            assert Path(f"/proc/{pid}").stat().st_uid == os.geteuid(), f"{service} runs as another user"
        words = Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text(errors="replace")
        for path in (cluster.state / "secrets").iterdir():
            # The key of hashes in the logs is no secret that lets anybody in.
            assert path.name == "log-jid-key" or path.read_text().strip() not in words, f"{service} shows {path.name}"
        for address in cluster.process(f"{service}/1")["listeners"].values():
            assert address.startswith("127.0.0.1:"), address


def _listening(pid: int) -> set[tuple[str, int]]:
    """(address, port) of each socket that the process takes TCP connections at, as its kernel has them."""
    sockets = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            sockets |= set(re.findall(r"^socket:\[(\d+)\]$", os.readlink(file)))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            listens = fields[3] == "0A"
            if listens and fields[9] in sockets:
                words, _, port = fields[1].partition(":")
                packed = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
                address = ipaddress.ip_address(packed)
                found.add((str(getattr(address, "ipv4_mapped", None) or address), int(port, 16)))
    return found


@scenario
async def nothing_listens_beyond_this_machine(cluster: Cluster) -> None:
    """Nor anywhere that `status` does not tell."""
    for entry in (await cluster.refresh())["processes"]:
        process = f"{entry['service']}/{entry['instance']}"
        found = _listening(entry["pid"])
        assert found and all(ipaddress.ip_address(address).is_loopback for address, _ in found), f"{process}: {found}"
        told = {int(address.rpartition(":")[2]) for address in entry["listeners"].values()}
        assert {port for _, port in found} == told, f"{process} listens at {found}, and tells {told}"


def _secrets(cluster: Cluster) -> dict[str, str]:
    """What lets somebody in, by its name."""
    return {path.name: path.read_text().strip() for path in (cluster.state / "secrets").iterdir() if path.name != "log-jid-key"}


async def _asked(address: str, target: str) -> str:
    """What an admin port answers, whatever its status is."""

    def ask() -> str:
        try:
            with urllib.request.urlopen(f"http://{address}{target}", timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return f"{error.headers}{error.read().decode()}"

    return await asyncio.get_running_loop().run_in_executor(None, ask)


@scenario
async def an_admin_port_tells_no_secrets(cluster: Cluster) -> None:
    """Nor who is there."""
    ann, bob = await pair(cluster)
    ann.message(bob.bare, "hello")
    await bob.expect_message("hello")
    hidden = _secrets(cluster) | {"a user": ann.user, "another": bob.user}
    for service in _SERVICES:
        for process in cluster.instances(service):
            for target in ("/metrics", "/healthz", "/readyz", "/", "/config"):
                text = await _asked(cluster.address(process, "admin"), target)
                for what, secret in hidden.items():
                    assert secret not in text, f"{process} tells {what} at {target}"
    await leave(ann, bob)


@scenario(seconds=120)
async def passwords_stand_in_no_configuration_and_no_log(cluster: Cluster) -> None:
    """Neither those of services nor those of a user who registers, signs in, mistypes and changes it, by way of a gateway that
    logs all it can."""
    first, second, wrong = (secrets.token_hex(16) for _ in range(3))
    user = Client(cluster.domain, unique("secretive"), first)
    async with extra_gateway(cluster, LOG__LEVEL="debug"):
        gateway = cluster.address(EXTRA_GATEWAY)
        log = Path(cluster.process(EXTRA_GATEWAY)["log"])
        await user.open(gateway)
        await user.register()
        await user.authenticate("PLAIN")
        await user.bind()
        await user.iq("set", f"<query xmlns='{ns.REGISTER}'><username>{user.user}</username><password>{second}</password></query>", user.domain)
        await user.close()
        for mechanism in ("PLAIN", "SCRAM-SHA-256"):
            guess = await Client(cluster.domain, user.user).open(gateway)
            with contextlib.suppress(SaslFailure):
                await guess.authenticate(mechanism, password=wrong)
                raise AssertionError("signed in with a wrong password")
            guess.abort()
        # A registration that is refused, and one that is no XML.
        again = await Client(cluster.domain, user.user, wrong).open(gateway)
        with contextlib.suppress(StanzaError):
            await again.register()
            raise AssertionError("the name was had twice")
        again.connection.write(f"<iq xmlns='{ns.CLIENT}' type='set' id='x'><query xmlns='{ns.REGISTER}'><password>{wrong}</username>")
        await again.connection.wait_closed()
        await leave(await Client(cluster.domain, user.user, second).login(gateway, mechanism="PLAIN"))
    assert '"level":"debug"' in log.read_text(errors="replace"), "this gateway logs no more than others"
    hidden = _secrets(cluster) | {"the first password": first, "the second password": second, "a wrong password": wrong}
    for password in (first, second, wrong):
        hidden[f"PLAIN of {password}"] = base64.b64encode(f"\0{user.user}\0{password}".encode()).decode()
    # Kafka has its users' passwords in its own configuration, and nowhere else.
    files = [*cluster.state.joinpath("logs").rglob("*"), *cluster.state.joinpath("config").rglob("*"), cluster.state / "cluster.json"]
    for file in files:
        if not file.is_file() or file.name == "kafka.properties":
            continue
        text = file.read_text(errors="replace")
        for what, secret in hidden.items():
            assert secret not in text, f"{what} stands in {file}"
