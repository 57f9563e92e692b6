"""Connections that behave badly in time: half-open, slow, silent, too many."""

import asyncio
import resource
import socket
import subprocess

from harness import ns
from harness.client import Client, Disconnected, connect
from harness.cluster import Cluster
from harness.extra_gateway import NAME, extra_gateway
from harness.people import account, befriend, leave, pair, person, unique
from harness.runner import scenario
from harness.wait import until
from harness.xml import text


@scenario(seconds=120)
async def half_open_before_sign_in(cluster: Cluster) -> None:
    """Connections that say nothing, or stop in the middle, are closed when their time is over."""
    address = cluster.address("gateway/1")
    silent = [await connect(cluster.domain, address) for _ in range(5)]
    half_header = await connect(cluster.domain, address)
    half_header.write("<stream:stream xmlns='jabber:client' ")
    drip = await connect(cluster.domain, address)
    user = await account(cluster, "unbound")
    unbound = await Client(cluster.domain, user.user).open(address)
    await unbound.authenticate()
    tls_silent = await asyncio.open_connection(*cluster.address("gateway/1", "xmpp-tls").split(":"))
    web_silent = await asyncio.open_connection(*cluster.address("gateway/1", "websocket").split(":"))

    # The slowness itself: longer in all than a sign-in may take.
    async def keep_dripping() -> None:
        for byte in b"<stream:stream xmlns='jabber:client' to='localhost' version='1.0' ".ljust(400, b" "):
            if drip.closed:
                return
            drip.write(bytes([byte]))
            await asyncio.sleep(0.2)

    dripping = asyncio.create_task(keep_dripping())
    for connection in (*silent, half_header, drip, unbound.connection):
        await connection.wait_closed(40)
    for reader, writer in (tls_silent, web_silent):
        await asyncio.wait_for(reader.read(), 40)
        writer.close()
    dripping.cancel()


@scenario(seconds=60)
async def who_fills_in_a_registration_form_has_time(cluster: Cluster) -> None:
    """Longer than others have to sign in: a person types."""
    address = cluster.address("gateway/1")
    silent = await connect(cluster.domain, address)
    typing = await Client(cluster.domain, unique("typing")).open(address)
    typing.connection.write(f"<iq xmlns='{ns.CLIENT}' type='get' id='form'><query xmlns='{ns.REGISTER}'/></iq>")
    await typing.connection.next()
    await silent.wait_closed(40)
    # One that connected later and asked for no form is gone by now, too.
    late = await connect(cluster.domain, address)
    await late.wait_closed(40)
    await typing.register()
    await typing.authenticate()
    await typing.bind()
    await typing.close()


@scenario(seconds=120)
async def half_open_with_a_session(cluster: Cluster) -> None:
    """A client whose network is gone: the kernel still acknowledges, nobody answers <r/>. The
    stream is closed, the session waits, and its client has everything after resumption."""
    ann, bob = await pair(cluster)
    await ann.enable()
    ann.answers_requests = False
    handled = ann.handled
    for n in range(3):
        bob.message(ann.bare, f"into the void {n}")

    async def given_up() -> bool:
        # Bob's own connection is kept busy: only ann is silent.
        await bob.sync()
        return ann.connection.closed or ann.connection.stream_ended

    await until(given_up, "a silent client is given up", 70, every=1)
    ann.inbox.clear()
    ann.handled = handled
    ann.answers_requests = True
    answer = await ann.resume(cluster.address("gateway/2"))
    assert answer.tag.endswith("resumed"), text(answer)
    for n in range(3):
        await ann.expect_message(f"into the void {n}")
    await leave(ann, bob)


@scenario(seconds=180)
async def slow_reader(cluster: Cluster) -> None:
    """One who reads nothing more is cut off with bounded memory; what was for it is there when it comes back."""
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    ann.connection.transport.pause_reading()
    before = cluster.memory("gateway/1")
    # More than the kernel's buffers of both ends can take.
    body = "x" * 40_000
    sent = 600
    for n in range(sent):
        bob.message(ann.bare, f"{n} {body}")
        if n % 20 == 19:
            await bob.sync()
    grown = cluster.memory("gateway/1") - before
    assert grown < 60 * 2**20, f"the gateway grew by {grown >> 20} MB for one slow reader"

    # The end of the stream itself waits behind what is not read.
    await bob.expect_presence(ann.jid, "unavailable", 90)
    ann.connection.transport.resume_reading()
    await ann.connection.wait_closed(30)
    got = {int(b.split(" ")[0]) for b in ann.bodies()}
    first_gap = next(n for n in range(sent + 1) if n not in got)
    assert got == set(range(first_gap)), "holes in what was written before the end"
    ann.inbox.clear()
    # What the kernel had taken may be lost with the connection of a client without
    # stream management; everything behind that waits.
    numbers: list[int] = []
    while not numbers or numbers[-1] != sent - 1:
        so_far = len(numbers)
        await ann.login(cluster.address("gateway/2"))
        await ann.available()
        await until(lambda: ann.connection.closed or any(b.startswith(f"{sent - 1} ") for b in ann.bodies()), "the last message", 60)
        # A second time is allowed: it is not known what arrived of what was written before the end.
        numbers = sorted({*numbers, *(int(b.split(" ")[0]) for b in ann.bodies())})
        ann.inbox.clear()
        assert len(numbers) > so_far, f"no message more at another sign-in; {so_far} of {sent}"
    assert numbers == list(range(numbers[0], sent)), "holes in what came later"
    assert numbers[0] * len(body) < 20 * 2**20, f"{numbers[0]} messages were taken as delivered"
    await leave(ann, bob)


@scenario(seconds=180)
async def slow_reader_with_stream_management(cluster: Cluster) -> None:
    """The same with XEP-0198: nothing at all is lost."""
    ann, bob = await pair(cluster)
    await ann.enable()
    ann.connection.transport.pause_reading()
    body = "y" * 20_000
    sent = 300
    for n in range(sent):
        bob.message(ann.bare, f"{n} {body}")
        if n % 20 == 19:
            await bob.sync()
    ann.abort()
    await ann.connection.wait_closed()
    answer = await ann.resume(cluster.address("gateway/2"))
    if answer.tag.endswith("failed"):
        ann.handled = None
        await ann.bind()
        await ann.available()
    await until(lambda: any(b.startswith(f"{sent - 1} ") for b in ann.bodies()), "the last message", 60)
    numbers = [int(b.split(" ")[0]) for b in ann.bodies()]
    assert numbers == list(range(sent)), f"{len(numbers)} of {sent}"
    await leave(ann, bob)


@scenario(seconds=180)
async def reader_that_is_slower_than_what_it_is_sent(cluster: Cluster) -> None:
    """Who reads, however slowly, keeps the stream and gets everything, with XEP-0198 and without."""
    ann, bob = await pair(cluster)
    carl = await person(cluster, "carl", "gateway/1")
    await ann.enable()
    body = "z" * 20_000
    sent = 250

    async def read_slowly(client: Client) -> None:
        # The slowness itself: what the socket has, ten times a second.
        while True:
            client.connection.transport.pause_reading()
            await asyncio.sleep(0.1)
            client.connection.transport.resume_reading()
            await asyncio.sleep(0.005)

    readers = [asyncio.create_task(read_slowly(client)) for client in (ann, carl)]
    try:
        for n in range(sent):
            for client in (ann, carl):
                bob.message(client.bare, f"{n} {body}")
            if n % 20 == 19:
                await bob.sync()
        for client in (ann, carl):
            await until(lambda: client.connection.closed or len(client.bodies()) >= sent, "all of it", 90)
    finally:
        for reader in readers:
            reader.cancel()
    for client in (ann, carl):
        assert not client.connection.closed, f"{client.bare} was closed: {client.connection.error}"
        client.connection.transport.resume_reading()
        numbers = [int(b.split(" ")[0]) for b in client.bodies()]
        assert numbers == list(range(sent)), f"{client.bare}: {len(numbers)} of {sent}"
    await leave(ann, bob, carl)


@scenario(seconds=180)
async def more_connections_than_descriptors(cluster: Cluster) -> None:
    """20,000 connections against a gateway that may have 400 descriptors: refused, and those that
    were there stay."""
    ann, bob = await pair(cluster)
    # Both on the gateway that is flooded, too.
    carl = await person(cluster, "carl", "gateway/2")
    pid = cluster.process("gateway/2")["pid"]
    limits = subprocess.run(["prlimit", "--pid", str(pid), "--nofile", "--noheadings", "--output", "SOFT,HARD"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    host, _, port = cluster.address("gateway/2").rpartition(":")
    opened: list[socket.socket] = []
    total, at_once = 20_000, 200
    # An ordinary user's process begins with few descriptors of its own.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = min(4000, (hard if hard != resource.RLIM_INFINITY else 4096) - 2 * at_once - 100)
    try:
        subprocess.run(["prlimit", "--pid", str(pid), f"--nofile=400:{limits[1]}"], check=True)
        for batch in range(total // at_once):
            source = f"127.0.{batch % 200 + 1}.{batch // 200 + 2}"
            for _ in range(at_once):
                sock = socket.socket()
                sock.setblocking(False)
                sock.bind((source, 0))
                try:
                    sock.connect((host, int(port)))
                except BlockingIOError:
                    pass
                opened.append(sock)
            # As many as this process may have at once.
            while len(opened) > most:
                opened.pop(0).close()
            carl.message(bob.bare, f"through the flood {batch}")
            await bob.expect_message(f"through the flood {batch}")
        assert cluster.alive("gateway/2"), "the gateway died"
    finally:
        for sock in opened:
            sock.close()
        subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={limits[0]}:{limits[1]}"], check=True)
    assert not carl.connection.closed and not bob.connection.closed, "a connection that was there was lost"

    async def signs_in() -> bool:
        try:
            client = await asyncio.wait_for(Client(cluster.domain, ann.user).login(cluster.address("gateway/2")), 5)
        except (OSError, Disconnected, asyncio.TimeoutError, AssertionError):
            return False
        await client.close()
        return True

    await until(signs_in, "new clients are taken again", 60, every=0.5)
    await leave(ann, bob, carl)


@scenario(seconds=120)
async def connections_that_come_and_go(cluster: Cluster) -> None:
    """A thousand that break off at every point of the negotiation, and twenty in the middle of a
    session, leave nothing behind: no connection, no session, no presence."""
    header = f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='localhost' version='1.0'>"
    # What is sent, and how many elements answer it.
    pieces = (
        ("", 0), ("<", 0), ("<?xml version='1.0'?>", 0), (header, 1),
        (f"{header}<auth xmlns='{ns.SASL}' mechanism='SCRAM-SHA-1'>biwsbj1hLHI9Yg==</auth>", 2),
        (f"{header}<starttls xmlns='{ns.TLS}'/>", 2),
    )
    # Its connections are this scenario's only.
    async with extra_gateway(cluster):
        address = cluster.address(NAME)
        sessions_before = await _sessions(cluster)
        watching = await person(cluster, "watching")
        breaking = await person(cluster, "breaking")
        await befriend(watching, breaking)

        async def once(n: int) -> None:
            piece, answers = pieces[n % len(pieces)]
            connection = await connect(cluster.domain, address)
            connection.write(piece)
            for _ in range(answers):
                await connection.next()
            connection.abort()

        for batch in range(20):
            await asyncio.gather(*(once(batch * 50 + n) for n in range(50)))
        for _ in range(20):
            client = await Client(cluster.domain, breaking.user).login(address)
            client.presence()
            await watching.expect_presence(client.jid)
            client.abort()
            await watching.expect_presence(client.jid, "unavailable")

        async def nothing_left() -> bool:
            metrics = await cluster.metrics(NAME)
            return metrics["rookery_gateway_connections"] == 0 and metrics["rookery_gateway_sessions"] == 0

        await until(nothing_left, "the gateway has no connection and no session")

        client = await Client(cluster.domain, breaking.user).login(address)
        await client.available()
        await leave(client, watching, breaking)

        async def as_few_sessions() -> bool:
            return await _sessions(cluster) <= sessions_before

        await until(as_few_sessions, f"the session-managers have at most {sessions_before:.0f} sessions, as before")


async def _sessions(cluster: Cluster) -> float:
    """Of all session-managers, as each counted them when it last swept."""
    return sum([(await cluster.metrics(name))["rookery_session_manager_sessions"] for name in cluster.instances("session-manager")])
