"""Talk between many users while something dies, with every message accounted for.

Half of the users have stream management and half have not. All the time some are away for a
few seconds: those with it lose their connection and resume, on whatever gateway they
find; those without close their stream in order and come back for what waits for them.

A message's body is `run sender receiver number`, the numbers of each pair rising from 1, so
that what is missing, twice or out of order shows at the receiver.

What waits by the clock here is what people do in time: how often they write, how long they talk
and stay away. Everything else waits for an event."""

import asyncio
import collections
import math
import random
import re
import secrets
import time
from pathlib import Path

from harness import ns
from harness.client import Client, Disconnected, StanzaError
from harness.room_account import RoomAccount
from harness.sasl import SaslFailure
from harness.wait import until
from harness.xml import name

_BODY = f"{{{ns.CLIENT}}}body"
_DELAY = f"{{{ns.DELAY}}}delay"
_TEXT = re.compile(r"<body>([0-9a-f]{6}) (\d+) (\d+) (\d+)</body>")
# Seconds that a gateway waits, at the end of a connection, for its client to read (libs/net).
_HEARD_OUT = 1.5
# So many of the talkers are in rooms.
_ROOM_MEMBERS = 12
_SENT_AWAY = "the server of this account"  # does not answer, or is away


def _clock(when: float) -> str:
    """As the logs have it."""
    return time.strftime("%H:%M:%S", time.gmtime(when)) + f".{int(when * 1000) % 1000:03}"


class Talker:
    """One user: sends, receives, goes away, comes back."""

    def __init__(self, traffic: "Traffic", index: int, managed: bool):
        self.traffic = traffic
        self.managed = managed
        self.client = Client(traffic.cluster.domain, f"u{traffic.run}-{index}")
        self.index = index
        self.online = False
        self.until = 0.0  # it was online then last
        self.began = 0.0  # when it bound its resource last
        # Where its session may be: it has tried to resume there since, up to `tried`.
        self.at: set[str] = set()
        self.tried = 0.0
        self.leaving = False
        self.done = False
        self.unexpected_drops = 0
        self.resent = 0
        self.reconnects = 0
        self.failed_resumes: list[str] = []
        # Sessions that were lost by two faults at once: from when to when what came may come twice, or late, for it.
        self.lost_sessions: list[tuple[float, float]] = []
        self.ambiguous: set[tuple[int, int]] = set()
        self.refused: list[str] = []
        # Of those without stream management: numbers that were on the way when a connection died.
        self.excused: set[tuple[int, int]] = set()
        self.next_number: dict[int, int] = collections.defaultdict(int)
        # sender -> numbers in the order of arrival
        self.received: dict[int, list[int]] = collections.defaultdict(list)
        # (sender, number) -> times of arrival, of what came more than once
        self.again: dict[tuple[int, int], list[str]] = {}
        self.arrived: dict[tuple[int, int], float] = {}
        # By the steady clock, for the first time.
        self.given_at: dict[tuple[int, int], float] = {}
        # Of those, which said that they had waited (XEP-0203), and when the session began that was given them.
        self.delayed: set[tuple[int, int]] = set()
        self.session_of: dict[tuple[int, int], float] = {}
        self.recent: collections.deque = collections.deque(maxlen=4000)
        # The rooms that it is in.
        self.rooms: RoomAccount | None = None
        self.client.on_stanza = self._on_stanza

    # ---- sending ----

    def say(self, to: "Talker") -> None:
        self.next_number[to.index] += 1
        number = self.next_number[to.index]
        self.traffic.sent_at[(self.index, to.index, number)] = time.monotonic()
        self.recent.append((time.monotonic(), to.index, number))
        self.client.message(to.client.bare, f"{self.traffic.run} {self.index} {to.index} {number}")

    def _on_stanza(self, stanza) -> None:
        if self.rooms is not None and self.rooms.on_stanza(self, stanza):
            return
        if name(stanza) != "message":
            return
        body = stanza.findtext(_BODY)
        if stanza.get("type") == "error":
            self.refused.append(f"{self.client.bare} -> {stanza.get('from')}: {[name(c) for c in stanza.iter()][-2:]}")
            return
        if body is None:
            return
        run, sender, receiver, number = body.split(" ")
        assert run == self.traffic.run and int(receiver) == self.index, f"{self.client.bare} got another's message: {body}"
        self.received[int(sender)].append(int(number))
        key = (int(sender), int(number))
        if key in self.arrived:
            self.again.setdefault(key, [_clock(self.arrived[key])]).append(_clock(time.time()))
        self.arrived[key] = time.time()
        self.given_at.setdefault(key, time.monotonic())
        self.session_of[key] = self.began
        if stanza.find(_DELAY) is not None:
            self.delayed.add(key)
        self.traffic.on_delivery((int(sender), self.index, int(number)), self)

    # ---- presence on the network ----

    async def start(self) -> None:
        client = self.client
        gateway = self.traffic.any_gateway()
        await client.open(self.traffic.cluster.address(gateway))
        await client.register()
        await client.authenticate()
        await self._begin_session(gateway)

    async def _begin_session(self, gateway: str) -> None:
        if self.rooms is not None:
            # The new one may be given what was for its predecessor before we get to know that it has begun.
            self.rooms.on_session_over(self)
        await self.client.bind()
        self.began = time.time()
        if self.managed:
            await self.client.enable()
        self.client.presence()
        self._online(gateway)
        if self.rooms is not None:
            self.rooms.on_session(self)

    def _online(self, gateway: str) -> None:
        self.online = True
        self.at = {gateway}
        self.since = time.monotonic()
        self.client.connection.on_closed = self._on_closed

    @staticmethod
    def _numbers(stanzas) -> set[tuple[int, int]]:
        """(receiver, number) of each message among the stanzas, which are XML."""
        return {(int(to), int(number)) for text in stanzas for _, _, to, number in _TEXT.findall(str(text))}

    def _on_closed(self) -> None:
        self.online = False
        self.until = time.monotonic()
        if not self.leaving and not self.done:
            self.unexpected_drops += 1
            self.traffic.on_drop(self)

    async def be_away(self, seconds: float) -> None:
        """Goes, waits, comes back."""
        self.leaving = True
        self.online = False
        self.until = time.monotonic()
        try:
            if self.managed:
                self.client.abort()
                await self.client.connection.wait_closed()
            else:
                # The log takes first what the client has said; unless the gateway dies or gives up meanwhile.
                connection, began = self.client.connection, time.monotonic()
                await connection.close(self.traffic.patience)
                if connection.error or not connection.stream_ended:
                    self.forgive(self.traffic.uncertain + time.monotonic() - began)
            await asyncio.sleep(seconds)
            await self.come_back()
        finally:
            self.leaving = False

    def forgive(self, seconds: float) -> None:
        """The connection of a client without stream management died: nobody can know how
        far the last messages came, in both directions."""
        now = time.monotonic()
        self.excused |= {(to, number) for when, to, number in self.recent if now - when <= seconds}
        self.traffic.deaths[self.index].append((now - seconds, now))
        if self.rooms is not None:
            self.rooms.on_uncertain(self, seconds)

    async def come_back(self) -> None:
        """As often as it takes: a gateway may be gone, a backend away for a moment."""
        refused: Exception | None = None

        async def signs_in() -> bool:
            nonlocal refused
            try:
                await asyncio.wait_for(self._sign_in(), 30)
                return True
            except (OSError, Disconnected, SaslFailure, StanzaError, asyncio.TimeoutError, AssertionError) as error:
                if isinstance(error, SaslFailure) and error.condition != "temporary-auth-failure":
                    raise
                refused = error
                self.client.abort()
                return False

        try:
            await until(signs_in, "signed in again", self.traffic.patience, every=0.3)
        except AssertionError as late:
            raise AssertionError(f"{self.client.bare} cannot come back, {late}: {refused!r}") from refused
        self.reconnects += 1

    async def _sign_in(self) -> None:
        gateway = self.traffic.any_gateway()
        client = self.client
        await client.open(self.traffic.cluster.address(gateway))
        await client.authenticate()
        if not self.managed:
            await self._begin_session(gateway)
            return
        before = len(client.unacked)
        try:
            answer = await client.resume_here()
        except BaseException:
            self.at.add(gateway)
            self.tried = time.monotonic()
            raise
        if name(answer) == "resumed":
            self.resent += len(client.unacked)
            self._online(gateway)
            return
        conditions = [name(child) for child in answer]
        if "item-not-found" in conditions:
            waiting = [stanza for stanza in client.unacked if self.rooms is None or not self.rooms.is_ours(stanza)]
            since = self.traffic.may_lose_session(self)
            if since is not None:
                self.lost_sessions.append((since, time.monotonic()))
                self.ambiguous |= self._numbers(waiting)
            else:
                # What it had not been given is elsewhere or lost: a failure.
                self.failed_resumes.append(f"not resumed: {client.bare}: {conditions}, {before} unacknowledged, {_clock(time.time())}")
            await self._begin_session(gateway)
            for stanza in waiting:
                client.send(stanza)
            return
        raise Disconnected(f"resumption refused: {conditions}")


class Traffic:
    def __init__(self, cluster, users: int = 40, rate: float = 560.0, away: bool = True, seed: int | None = None, patience: float = 60.0,
                 uncertain: float = 10.0, may_be_sent_away: bool = False, report: Path | None = None, rooms: int = 0):
        self.cluster = cluster
        self.run = secrets.token_hex(3)
        self.rate = rate
        self.with_away = away
        # Seconds in which somebody who tries must be able to come back.
        self.patience = patience
        # How long before the death of a connection without stream management nobody knows what has passed it:
        # as long as a link was cut.
        self.uncertain = uncertain
        self.random = random.Random(seed)
        self.talkers = [Talker(self, n, managed=n % 2 == 0) for n in range(users)]
        self.sent_at: dict[tuple[int, int, int], float] = {}
        # From when to when what was said to one without stream management may be lost.
        self.deaths: dict[int, list[tuple[float, float]]] = collections.defaultdict(list)
        self.gateways = list(cluster.instances("gateway"))
        self.expected_drops = False
        # Several faults at once may leave a shard without an owner for longer than clients are kept waiting.
        self.may_be_sent_away = may_be_sent_away
        # Since when a talker's session may be gone; None: it may not.
        self.may_lose_session = lambda talker: None
        # Whether one without stream management may be told that its session is over.
        self.may_lose_connection = lambda talker: False
        # Whether its rooms may have been told that nobody is there.
        self.may_be_out_of_reach = lambda talker: False
        # How many rooms some of them talk in besides, those with and without stream management.
        self._rooms = rooms
        self.rooms: RoomAccount | None = None
        self._speaking_in_rooms: asyncio.Task | None = None
        # Where all faults are written, however many.
        self._report = report
        # False where messages for the absent may come after newer ones: PostgreSQL was away.
        self.stored_in_order = True
        self.problems: list[str] = []
        self._problem = asyncio.Event()
        self.slowest = 0.0
        self.longest_gap = 0.0
        self._last_delivery: dict[int, float] = {}
        self._tasks: set[asyncio.Task] = set()
        self._speaking = False
        self._speaking_for = 0.0
        self._duplicates_before: dict[tuple[str, int], float] = {}
        # When this process last went on after it had stood still for longer than a gateway waits to be heard out.
        self._stood_still = -math.inf

    def any_gateway(self) -> str:
        return self.random.choice(self.gateways)

    async def __aenter__(self) -> "Traffic":
        self._duplicates_before = await self._refused_duplicates()
        gate = asyncio.Semaphore(8)

        async def start(talker: Talker) -> None:
            async with gate:
                await talker.start()

        await asyncio.gather(*map(start, self.talkers))
        if self._rooms:
            members = self.talkers[:_ROOM_MEMBERS]
            self.rooms = await RoomAccount.open(self._rooms, members, self.run, self.report, self.cluster,
                                                 lambda talker: self.may_be_out_of_reach(talker), seed=self.random.random())
            self._speaking_in_rooms = self._spawn(self.rooms.speak())
        self._speaking = True
        self._spawn(self._speak())
        self._spawn(self._acknowledge())
        self._spawn(self._watch_itself())
        if self.with_away:
            self._spawn(self._send_some_away())
        return self

    async def __aexit__(self, kind, error, trace) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for talker in self.talkers:
            talker.done = True
            talker.client.abort()

    async def talk(self, seconds: float) -> None:
        """Lets them talk. What goes wrong meanwhile is raised at once."""
        try:
            await asyncio.wait_for(self._problem.wait(), seconds)
        except asyncio.TimeoutError:
            self._speaking_for += seconds
        self._raise_problems()

    async def finish(self, seconds: float = 90) -> str:
        """Stops the talk, brings everybody back, waits for what is on its way, checks, and
        gives the account."""
        self._speaking = False
        if self._speaking_in_rooms is not None:
            self._speaking_in_rooms.cancel()
        await until(lambda: not any(t.leaving for t in self.talkers), "everybody is back", seconds)
        self._raise_problems()
        try:
            await until(lambda: not self._missing() and not self._unacknowledged(), "every message has arrived", seconds, every=0.2)
        except AssertionError:
            pass
        # Anything that comes twice comes behind what was waited for.
        await asyncio.gather(*(self._settle(t) for t in self.talkers))
        try:
            await until(lambda: not self._unacknowledged(), "every stanza is acknowledged", 20)
        except AssertionError:
            pass
        in_rooms = await self.rooms.finish(seconds) if self.rooms is not None else []
        account = await self._account() + (f"; {self.rooms.account()}" if self.rooms is not None else "")
        # What was reported since nobody talks any more is among them.
        faults = self._faults() + in_rooms
        kinds = collections.Counter(re.sub(r"\d+", "N", fault).split(": [")[0] for fault in faults)
        if faults and self._report:
            self._report.write_text("".join(f"{fault}\n" for fault in faults))
        counted = "; ".join(f"{count} x {kind}" for kind, count in kinds.most_common(8))
        assert not faults, f"{len(faults)} faults ({counted}): " + "; ".join(faults[:12]) + f"\n  {account}"
        return account

    # ---- while they talk ----

    def on_delivery(self, key: tuple[int, int, int], talker: Talker) -> None:
        now = time.monotonic()
        sent = self.sent_at.get(key)
        if sent is not None and talker.online and sent > talker.since:
            self.slowest = max(self.slowest, now - sent)
        last = self._last_delivery.get(talker.index)
        # A receiver's own absence is no gap.
        if last is not None and talker.online and last > talker.since and self._speaking:
            self.longest_gap = max(self.longest_gap, now - last)
        self._last_delivery[talker.index] = now

    def report(self, problem: str) -> None:
        self.problems.append(problem)
        self._problem.set()

    async def _watch_itself(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.1)
            if time.monotonic() - before > _HEARD_OUT:
                self._stood_still = time.monotonic()

    def on_drop(self, talker: Talker) -> None:
        """A connection ended that nobody here ended."""
        reason = talker.client.connection.error
        # Who waits for an owner of the shard for half a minute is told so, and resumes.
        # Two faults at once may have cost a session whose client is still connected.
        is_over = self.may_lose_session(talker) is not None or (not talker.managed and self.may_lose_connection(talker))
        # Whoever reads nothing for so long while it is sent away loses the words with the connection.
        was_deaf = reason is None and time.monotonic() - self._stood_still < 10
        is_sent_away = self.may_be_sent_away and (was_deaf or _SENT_AWAY in str(reason))
        if not self.expected_drops and not is_over and not is_sent_away:
            self.report(f"{talker.client.bare} lost its connection: {reason or 'no stream error'}")
            return
        if not talker.managed:
            talker.forgive(self.uncertain)
        talker.leaving = True

        async def back() -> None:
            try:
                await talker.come_back()
            finally:
                talker.leaving = False

        self._spawn(back())

    def _spawn(self, work) -> asyncio.Task:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def ended(task_: asyncio.Task) -> None:
            self._tasks.discard(task_)
            if not task_.cancelled() and task_.exception():
                self.report(repr(task_.exception()))

        task.add_done_callback(ended)
        return task

    def _raise_problems(self) -> None:
        assert not self.problems, "; ".join(self.problems[:8])

    async def _speak(self) -> None:
        began, said = time.monotonic(), 0
        while self._speaking:
            due = int((time.monotonic() - began) * self.rate)
            while said < due:
                said += 1
                talker = self.random.choice(self.talkers)
                if talker.online:
                    talker.say(self._other(talker))
                else:
                    # The others say its share, so that the rate holds.
                    online = [t for t in self.talkers if t.online]
                    if online:
                        talker = self.random.choice(online)
                        talker.say(self._other(talker))
            await asyncio.sleep(0.005)

    def _other(self, talker: Talker) -> Talker:
        # A few partners each: pairs see enough messages for their order to mean something.
        step = self.random.choice((1, 2, 5, 9))
        return self.talkers[(talker.index + step) % len(self.talkers)]

    async def _acknowledge(self) -> None:
        while True:
            for talker in self.talkers:
                if talker.managed and talker.online:
                    talker.client.request_ack()
                    talker.client.send_ack()
            await asyncio.sleep(0.5)

    async def _send_some_away(self) -> None:
        while self._speaking:
            await asyncio.sleep(0.4)
            if not self._speaking:
                return
            candidates = [t for t in self.talkers if t.online and not t.leaving]
            away = len(self.talkers) - len(candidates)
            if away < len(self.talkers) // 6 and candidates:
                talker = self.random.choice(candidates)
                self._spawn(talker.be_away(self.random.uniform(1.5, 4.0)))

    # ---- accounts ----

    def _missing(self) -> list[tuple[int, int, int]]:
        missing = []
        for sender in self.talkers:
            for receiver, last in sender.next_number.items():
                there = set(self.talkers[receiver].received.get(sender.index, ()))
                for number in range(1, last + 1):
                    if number not in there and not self._is_excused(sender, self.talkers[receiver], number):
                        missing.append((sender.index, receiver, number))
        return missing

    def _is_excused(self, sender: Talker, receiver: Talker, number: int) -> bool:
        if (receiver.index, number) in sender.excused:
            return True
        if receiver.managed:
            return False
        sent = self.sent_at[(sender.index, receiver.index, number)]
        return any(first <= sent <= last + 10 for first, last in self.deaths[receiver.index])

    def _may_come_twice(self, sender: int, receiver: Talker, number: int) -> bool:
        """Whether it may come twice or late: a session was lost that had sent it and did not hear that it was taken, or
        that had been given it and could not say so."""
        if (receiver.index, number) in self.talkers[sender].ambiguous or (receiver.index, number) in self.talkers[sender].excused:
            return True
        # One that was long under way was given shortly before.
        times = {self.sent_at[(sender, receiver.index, number)], receiver.given_at.get((sender, number), 0.0)}
        return any(min(since, lost) - self.uncertain - 10 <= when <= lost for since, lost in receiver.lost_sessions for when in times)

    def _unacknowledged(self) -> int:
        return sum(len(t.client.unacked) for t in self.talkers if t.managed)

    async def _settle(self, talker: Talker) -> None:
        arrived = asyncio.Event()
        id_ = f"settle{talker.index}"

        def listen(stanza) -> None:
            if stanza.get("id") == id_:
                arrived.set()
            else:
                talker._on_stanza(stanza)

        talker.client.on_stanza = listen
        talker.client.send(f"<iq xmlns='{ns.CLIENT}' type='get' id='{id_}' to='{talker.client.domain}'><ping xmlns='{ns.PING}'/></iq>")
        try:
            await asyncio.wait_for(arrived.wait(), 20)
        except asyncio.TimeoutError:
            self.report(f"{talker.client.bare} gets no answer any more")

    def _faults(self) -> list[str]:
        faults = list(self.problems)
        for sender, receiver, number in self._missing():
            kinds = f"{self._kind(sender)} to {self._kind(receiver)}"
            when = _clock(self._at(self.sent_at[(sender, receiver, number)]))
            faults.append(f"lost: number {number} of {sender} to {receiver} ({kinds}), sent at {when}")
        for talker in self.talkers:
            faults += talker.failed_resumes
            faults += [f"bounced: {text}" for text in talker.refused]
            for sender, numbers in talker.received.items():
                first_seen = [n for n in dict.fromkeys(numbers) if not self._may_come_twice(sender, talker, n)]
                if first_seen != sorted(first_seen) and (talker.managed or self.stored_in_order):
                    at = next(i for i in range(1, len(first_seen)) if first_seen[i] < first_seen[i - 1])
                    faults.append(
                        f"out of order: {sender} to {talker.index} ({self._kind(sender)} to {self._kind(talker.index)}): "
                        + ", ".join(self._tell(sender, talker, number) for number in first_seen[max(0, at - 3):at + 3])
                    )
                counted = collections.Counter(numbers)
                twice = [n for n, count in counted.items() if count > 1 and not self._may_come_twice(sender, talker, n)]
                if talker.managed and twice:
                    told = ", ".join(self._tell(sender, talker, n) for n in (twice[0], twice[-1]))
                    lost = ", ".join(_clock(self._at(when)) for _, when in talker.lost_sessions)
                    faults.append(
                        f"twice: {sender} to {talker.index} ({self._kind(sender)} to managed): {len(twice)}, the first and the last: {told}; "
                        f"sessions lost: {lost or 'none'}"
                    )
        if self._unacknowledged():
            faults.append(f"never acknowledged: {self._unacknowledged()}")
        return faults

    @staticmethod
    def _at(when: float) -> float:
        """The time of day at which the monotonic clock said `when`."""
        return time.time() - (time.monotonic() - when)

    def _tell(self, sender: int, receiver: Talker, number: int) -> str:
        key = (sender, number)
        sent = self._at(self.sent_at[(sender, receiver.index, number)])
        here = " and ".join(receiver.again.get(key, [_clock(receiver.arrived[key])]))
        delayed = ", delayed" if key in receiver.delayed else ""
        return f"{number} (sent {_clock(sent)}, here {here}{delayed}, session of {_clock(receiver.session_of[key])})"

    def _kind(self, index: int) -> str:
        return "managed" if self.talkers[index].managed else "plain"

    async def _account(self) -> str:
        sent = len(self.sent_at)
        got = sum(len(numbers) for t in self.talkers for numbers in t.received.values())
        again = sum(len(n) - len(set(n)) for t in self.talkers for n in t.received.values())
        resumed = sum(t.client.resumed_count for t in self.talkers)
        refused_now = await self._refused_duplicates()
        refused = sum(value - self._duplicates_before.get(key, 0.0) for key, value in refused_now.items())
        rate = sent / self._speaking_for if self._speaking_for else 0
        excused = sum(len(t.excused) for t in self.talkers)
        lost = sum(len(t.lost_sessions) for t in self.talkers)
        return (
            f"sent {sent} in {self._speaking_for:.0f} s ({rate:.0f}/s), received {got} (twice by clients without stream "
            f"management: {again}), resent by clients {sum(t.resent for t in self.talkers)}, refused as duplicate "
            f"{refused:.0f}, streams resumed {resumed}, signed in again {sum(t.reconnects for t in self.talkers) - resumed}, "
            f"unexpected drops {sum(t.unexpected_drops for t in self.talkers)}, possibly lost with their connection {excused}, "
            f"sessions lost by two faults at once {lost}, "
            f"longest gap {self.longest_gap:.1f} s, slowest message {self.slowest:.1f} s"
        )

    async def _refused_duplicates(self) -> dict[tuple[str, int], float]:
        """As the session-managers that still run have counted them; by process, since one
        that was started again counts from 0."""
        counts = {}
        for instance in self.cluster.instances("session-manager"):
            try:
                metrics = await asyncio.wait_for(self.cluster.metrics(instance), 10)
            except (OSError, asyncio.TimeoutError):
                continue
            key = (instance, self.cluster.process(instance)["pid"])
            counts[key] = sum(v for name_, v in metrics.items() if name_.endswith("duplicates_refused_total"))
        return counts
