"""What the backends let each of our services do, and strangers: as little as they need, and nothing."""

import asyncio
import contextlib
import os
import re
import subprocess
from pathlib import Path

from harness import kafka, redis
from harness.client import error_of
from harness.cluster import Cluster
from harness.people import leave, pair
from harness.runner import scenario
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
