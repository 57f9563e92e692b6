"""Rooms that are talked in while something dies, with all that their occupants are told accounted for.

Each user is in every room, and there is a room in every shard. The id of a message is `run.sender.room.number`,
numbers rising from 1, so that what is missing, twice or out of order shows at each occupant; its stanza-id is the
room's own, and all occupants must see the same ones in the same order.

How often people write is time by its nature; everything else waits for an event."""

import asyncio
import collections
import dataclasses
import random
import secrets
import time

from harness import ns
from harness.client import Client, Disconnected, StanzaError
from harness.cluster import Cluster
from harness.sasl import SaslFailure
from harness.wait import BOUND, until
from harness.xml import Element, child, name, text

_JOIN = f"<x xmlns='{ns.MUC}'/>"
_BODY = f"{{{ns.CLIENT}}}body"
# Told to those who are taken out since the service, or their client, could not be reached.
_TROUBLE = {332, 333}


def statuses(stanza: Element) -> set[int]:
    """The codes of <x xmlns='…muc#user'/> (XEP-0045 section 15.6)."""
    x = child(stanza, ns.MUC_USER, "x")
    return set() if x is None else {int(status.get("code")) for status in x if name(status) == "status"}


def start_entering(client: Client, room: str, nick: str) -> None:
    client.presence(f"{room}/{nick}", extra=_JOIN)


async def enter(client: Client, room: str, nick: str, seconds: float = BOUND) -> set[int]:
    """Gives the status codes of its own presence; done when the subject is there."""
    start_entering(client, room, nick)
    own = await client.expect_presence(f"{room}/{nick}", seconds=seconds)
    await client.expect(
        lambda s: name(s) == "message" and s.get("from", "").startswith(room) and child(s, ns.CLIENT, "subject") is not None,
        f"the subject of {room}", seconds,
    )
    return statuses(own)


async def configure(client: Client, room: str, **config: str) -> None:
    """`persistentroom="1"`, …: fields of muc#roomconfig. None: as it is."""
    fields = {f"muc#roomconfig_{key}": value for key, value in config.items()}
    if fields:
        fields["FORM_TYPE"] = ns.ROOM_CONFIG
    form = "".join(f"<field var='{key}'><value>{value}</value></field>" for key, value in fields.items())
    await client.iq("set", f"<query xmlns='{ns.MUC_OWNER}'><x xmlns='{ns.DATA_FORMS}' type='submit'>{form}</x></query>", room)


async def is_in(client: Client, room: str, nick: str, seconds: float = BOUND) -> bool:
    """XEP-0410."""
    try:
        await client.iq("get", f"<ping xmlns='{ns.PING}'/>", f"{room}/{nick}", seconds)
        return True
    except StanzaError as error:
        assert error.condition == "not-acceptable", error
        return False


@dataclasses.dataclass(frozen=True)
class Heard:
    """A message as an occupant was given it."""

    id: str
    stanza_id: int
    nick: str


class Occupant:
    """One user in all rooms of a talk."""

    def __init__(self, talk: "RoomTalk", index: int, managed: bool):
        self.talk = talk
        self.managed = managed
        self.nick = f"n{index}"
        self.index = index
        self.client = Client(talk.cluster.domain, f"room{talk.run}-{index}")
        self.gateway = f"gateway/{index % 2 + 1}"
        self.heard: dict[str, list[Heard]] = collections.defaultdict(list)
        self.numbers: dict[str, int] = collections.defaultdict(int)
        self.departures: list[tuple[str, str]] = []
        self.resumed = 0
        # When something was heard in each room last.
        self.latest: dict[str, float] = {}

    async def start(self) -> None:
        await self.client.open(self.talk.cluster.address(self.gateway))
        await self.client.register()
        await self.client.authenticate()
        await self.client.bind()
        if self.managed:
            await self.client.enable()
        self.client.presence()

    def attend(self) -> None:
        """From now on what is said is counted."""
        self.client.on_stanza = self._on_stanza
        self.client.connection.on_closed = self._on_closed
        taken, self.client.inbox = self.client.inbox, []
        for stanza in taken:
            self._on_stanza(stanza)

    def say(self, room: str) -> None:
        self.numbers[room] += 1
        id_ = f"{self.talk.run}.{self.index}.{self.talk.rooms.index(room)}.{self.numbers[room]}"
        self.talk.sent[room].append(id_)
        self.client.message(room, id_, "groupchat", id_)

    def _on_stanza(self, stanza: Element) -> None:
        room, _, nick = stanza.get("from", "").partition("/")
        if room not in self.talk.sent or name(stanza) == "iq":
            self.client.inbox.append(stanza)
        elif stanza.get("type") == "error":
            self.talk.report(f"{self.nick} was told an error: {text(stanza)}")
        elif name(stanza) == "presence":
            if statuses(stanza) & _TROUBLE:
                self.talk.report(f"{self.nick} was told {statuses(stanza)} of {nick}")
            if stanza.get("type") == "unavailable":
                self.departures.append((room, nick))
        elif stanza.findtext(_BODY) is not None:
            self._on_message(room, nick, stanza)

    def _on_message(self, room: str, nick: str, stanza: Element) -> None:
        marks = [e.get("id") for e in stanza if e.tag == f"{{{ns.SID}}}stanza-id" and e.get("by") == room]
        # A stamp of the server's is on what waited for a client; one of the room's would be on its history.
        is_old = any(e.get("from") == room for e in stanza if e.tag == f"{{{ns.DELAY}}}delay")
        if len(marks) != 1 or stanza.get("id") != stanza.findtext(_BODY) or is_old:
            self.talk.report(f"{self.nick} was given {text(stanza)}")
            return
        self.heard[room].append(Heard(stanza.get("id"), int(marks[0]), nick))
        now = time.monotonic()
        self.talk.longest_silence = max(self.talk.longest_silence, now - self.latest.get(room, now))
        self.latest[room] = now

    def _on_closed(self) -> None:
        if self.talk.is_over:
            return
        if self.managed and self.talk.may_drop:
            self.talk.spawn(self._resume())
        else:
            self.talk.report(f"{self.nick} lost its connection: {self.client.connection.error or 'no stream error'}")

    async def _resume(self) -> None:
        refused: Exception | None = None

        async def resumes() -> bool:
            nonlocal refused
            try:
                answer = await self.client.resume(self.talk.cluster.address(self.talk.any_gateway()))
            except (OSError, Disconnected, SaslFailure, StanzaError, asyncio.TimeoutError, AssertionError) as error:
                refused = error
                self.client.abort()
                return False
            assert name(answer) == "resumed", text(answer)
            return True

        try:
            await until(resumes, f"{self.nick} has resumed", 60, every=0.2)
            self.resumed += 1
            self.client.connection.on_closed = self._on_closed
        except AssertionError as error:
            self.talk.report(f"{error}: {refused!r}")


class RoomTalk:
    """`managed`: which users have stream management; the others have no connection to lose."""

    def __init__(self, cluster: Cluster, users: int = 8, rate: float = 50.0, all_managed: bool = False):
        self.cluster = cluster
        self.run = secrets.token_hex(3)
        self.rate = rate
        self.occupants = [Occupant(self, index, all_managed or index % 4 < 2) for index in range(users)]
        self.gateways = list(cluster.instances("gateway"))
        # What was said, in each room.
        self.sent: dict[str, list[str]] = {room: [] for room in _rooms(cluster, self.run)}
        self.may_drop = False
        self.is_over = False
        self.longest_silence = 0.0
        self._problems: list[str] = []
        self._problem = asyncio.Event()
        self._random = random.Random()
        self._tasks: set[asyncio.Task] = set()
        self._speaking = asyncio.Event()

    @property
    def rooms(self) -> list[str]:
        return list(self.sent)

    def any_gateway(self) -> str:
        return self._random.choice(self.gateways)

    async def __aenter__(self) -> "RoomTalk":
        await asyncio.gather(*(occupant.start() for occupant in self.occupants))
        first, *others = self.occupants
        for room in self.rooms:
            await enter(first.client, room, first.nick)
            await configure(first.client, room)
        await asyncio.gather(*(self._enter_all(occupant) for occupant in others))
        for occupant in self.occupants:
            occupant.attend()
        self._speaking.set()
        self.spawn(self._speak())
        return self

    async def _enter_all(self, occupant: Occupant) -> None:
        for room in self.rooms:
            await enter(occupant.client, room, occupant.nick)

    async def __aexit__(self, *_) -> None:
        self.is_over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for occupant in self.occupants:
            occupant.client.abort()

    def report(self, problem: str) -> None:
        self._problems.append(problem)
        self._problem.set()

    def spawn(self, coroutine) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def talk(self, seconds: float) -> None:
        """Lets them talk. What goes wrong meanwhile is raised at once."""
        try:
            await asyncio.wait_for(self._problem.wait(), seconds)
        except asyncio.TimeoutError:
            pass
        self._raise_problems()

    async def talk_until(self, task: asyncio.Task, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not task.done():
            assert time.monotonic() < deadline, f"not done after {seconds} s: {task}"
            await self.talk(0.1)
        await task

    async def check(self, what: str, gone: set[tuple[str, str]] = frozenset(), seconds: float = 60) -> str:
        """Waits until all that was said has been heard, and looks at it: the same, each once and in one order, for all;
        everybody is in, but for those who are `gone`: (room, nick), each told once. Then the talk goes on."""
        self._speaking.clear()
        # What comes twice comes before this, or before the answers below.
        for occupant in self.occupants:
            for room in self.rooms:
                occupant.say(room)

        def complete() -> bool:
            return bool(self._problems) or (
                all(len(o.heard[room]) >= len(said) for room, said in self.sent.items() for o in self.occupants)
                and all(set(o.departures) >= gone for o in self.occupants))

        try:
            await until(complete, "everything was heard", seconds)
        except AssertionError:
            pass  # What is missing is said below.
        self._raise_problems()
        present = await asyncio.gather(*(self._is_in(o, room) for o in self.occupants for room in self.rooms))
        faults = [fault for fault in present if fault] + [fault for room in self.rooms for fault in self._faults_of(room)]
        faults += [f"{o.nick} was told that {o.departures} have left" for o in self.occupants if sorted(o.departures) != sorted(gone)]
        said = sum(map(len, self.sent.values()))
        account = (f"{what}: {said} messages in {len(self.rooms)} rooms, heard by {len(self.occupants)} each, "
                   f"longest silence of a room {self.longest_silence:.1f} s, streams resumed {sum(o.resumed for o in self.occupants)}")
        assert not faults, f"{len(faults)} faults: " + "; ".join(faults[:10]) + f"\n  {account}"
        self.longest_silence = 0.0
        for occupant in self.occupants:
            occupant.latest = dict.fromkeys(self.rooms, time.monotonic())
        self._speaking.set()
        return account

    # ---- inside ----

    async def _is_in(self, occupant: Occupant, room: str) -> str:
        try:
            return "" if await is_in(occupant.client, room, occupant.nick) else f"{occupant.nick} is not in {room} any more"
        except (StanzaError, Disconnected, AssertionError) as error:
            return f"{occupant.nick} does not know whether it is in {room}: {error}"

    def _faults_of(self, room: str) -> list[str]:
        faults = []
        said = set(self.sent[room])
        order = self.occupants[0].heard[room]
        for occupant in self.occupants:
            heard = occupant.heard[room]
            ids = [message.id for message in heard]
            where = f"{occupant.nick} in {room}"
            faults += [f"{where}: {id_} is lost" for id_ in sorted(said - set(ids))[:3]]
            faults += [f"{where}: {id_} came {count} times" for id_, count in collections.Counter(ids).items() if count > 1][:3]
            if heard != order:
                at = next((n for n, (a, b) in enumerate(zip(heard, order)) if a != b), min(len(heard), len(order)))
                faults.append(f"{where}: another order than {self.occupants[0].nick} from {at} on: {heard[at:at + 3]}, {order[at:at + 3]}")
            marks = [message.stanza_id for message in heard]
            if marks != sorted(set(marks)):
                faults.append(f"{where}: its stanza-ids do not rise")
            latest: dict[str, int] = {}
            for message in heard:
                _, sender, _, number = message.id.split(".")
                if message.nick != f"n{sender}":
                    faults.append(f"{where}: {message.id} came from {message.nick}")
                if int(number) <= latest.get(sender, 0):
                    faults.append(f"{where}: {message.id} came behind {latest[sender]}")
                latest[sender] = int(number)
        return faults

    async def _speak(self) -> None:
        while True:
            await self._speaking.wait()
            self._random.choice(self.occupants).say(self._random.choice(self.rooms))
            await asyncio.sleep(self._random.expovariate(self.rate))

    def _raise_problems(self) -> None:
        assert not self._problems, f"{len(self._problems)} problems: " + "; ".join(self._problems[:5])


def room_in(cluster: Cluster, shard: int, prefix: str) -> str:
    """The address of a room in that shard."""
    for number in range(10_000):
        room = f"{prefix}-{number}@conference.{cluster.domain}"
        if cluster.shard(room) == shard:
            return room
    raise AssertionError(f"no name lies in shard {shard}")


def _rooms(cluster: Cluster, run: str) -> list[str]:
    return [room_in(cluster, shard, f"hall{run}") for shard in range(cluster.partitions)]
