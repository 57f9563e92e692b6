"""Rooms whose occupants lose connections and sessions, with what each of them hears accounted for: what traffic.py is
for messages between users.

An occupant's stay lasts from its own presence in a room to the end of its session; a session that is resumed goes on.
Messages come in the same order in every stay: wherever one is heard, the same one comes before it and the same one behind
it, and one that somebody misses shows as two successors of another. The id of a message is `run.sender.room.number`.

How often people write, and try again to enter, is time by its nature; everything else waits for an event."""

import asyncio
import collections
import random
import re
import time
from typing import TYPE_CHECKING

from harness import ns
from harness.client import error_of
from harness.rooms import configure, enter, room_in, statuses
from harness.wait import until
from harness.xml import Element, child, name, text

if TYPE_CHECKING:
    from harness.traffic import Talker

_BODY = f"{{{ns.CLIENT}}}body"
_ID = re.compile(r" id='([^']*)'")
_DELAY = f"{{{ns.DELAY}}}delay"
# What was said before somebody came is not what is accounted for.
_JOIN = f"<x xmlns='{ns.MUC}'><history maxstanzas='0'/></x>"
_ENTER_AGAIN = 1.0
_SELF_PRESENCE = 110


class Stay:
    """`said` is what the occupant itself has said in it."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.said: set[str] = set()
        self.is_over = False


class RoomAccount:
    """`members` are in every room of `rooms`, whenever they have a session. What they say may be lost, or said though
    they were told otherwise, where it is in `ambiguous`. One that `may_be_out_of_reach` may find itself out of a room: it is
    refused there, told that it has left, and enters again."""

    def __init__(self, rooms: list[str], members: "list[Talker]", run: str, report, may_be_out_of_reach=lambda talker: False,
                 rate: float = 10.0, seed: int | None = None):
        self.rooms = rooms
        self.members = {talker.index: talker for talker in members}
        self.run = run
        self.rate = rate
        self.report = report
        self.may_be_out_of_reach = may_be_out_of_reach
        self.said: dict[str, set[str]] = {room: set() for room in rooms}
        self.stays: dict[tuple[int, str], list[Stay]] = collections.defaultdict(list)
        # Who is in, as each member has been told.
        self.present: dict[tuple[int, str], set[str]] = collections.defaultdict(set)
        # How each was told last that it has left.
        self.left: dict[tuple[int, str], str] = {}
        self.ambiguous: set[str] = set()
        self.entries_refused: collections.Counter[str] = collections.Counter()
        self.thrown_out = self.refused = 0
        self._recent: collections.deque[tuple[float, str]] = collections.deque(maxlen=4000)
        self._random = random.Random(seed)
        self._is_over = False

    @staticmethod
    async def open(rooms: int, members: "list[Talker]", run: str, report, cluster, may_be_out_of_reach, **more) -> "RoomAccount":
        """Makes that many rooms, in as many shards, and lets all members enter; they must have sessions."""
        names = [room_in(cluster, shard % cluster.partitions, f"talk{run}-{shard}") for shard in range(rooms)]
        first = members[0]
        taken, first.client.on_stanza = first.client.on_stanza, None
        for room in names:
            await enter(first.client, room, _nick(first))
            await configure(first.client, room, persistentroom="1")
        first.client.on_stanza = taken
        account = RoomAccount(names, members, run, report, may_be_out_of_reach, **more)
        for talker in members:
            talker.rooms = account
            account.on_session(talker)
        await until(account.all_are_in, "all are in the rooms", 60)
        return account

    # ---- what becomes of a member ----

    def on_session_over(self, talker: "Talker") -> None:
        """Nothing that it is given from now on is for the session that it had."""
        for room in self.rooms:
            self._leave(talker.index, room)

    def on_session(self, talker: "Talker") -> None:
        """It has begun a new one, which is in no room yet."""
        self.on_session_over(talker)
        for room in self.rooms:
            self._enter(talker, room)

    def on_uncertain(self, talker: "Talker", seconds: float) -> None:
        """Nobody knows what became of what it has said in the last seconds."""
        since = time.monotonic() - seconds
        self.ambiguous |= {id_ for when, id_ in self._recent if when >= since and _sender(id_) == talker.index}

    def is_ours(self, stanza: str) -> bool:
        """Whether a stanza on its way to the server is for a room; it is then not to be said again by another session."""
        if not any(f" to='{room}" in stanza for room in self.rooms):
            return False
        self.ambiguous |= set(_ID.findall(stanza))
        return True

    def on_stanza(self, talker: "Talker", stanza: Element) -> bool:
        """False: it has to do with no room."""
        room, _, nick = stanza.get("from", "").partition("/")
        if room not in self.said:
            return False
        key = (talker.index, room)
        if stanza.get("type") == "error":
            self._on_error(talker, room, stanza)
        elif name(stanza) == "presence":
            self._on_presence(talker, room, nick, stanza)
        elif name(stanza) == "message" and stanza.findtext(_BODY) is not None:
            is_old = any(e.get("from") == room for e in stanza if e.tag == _DELAY)
            stay = self._stay(key)
            if is_old or stanza.get("type") != "groupchat":
                self.report(f"room: {talker.client.bare} was given {text(stanza)}")
            elif stay is not None:
                # Before that it may hear what the session before it would hear, which is not known to be lost yet.
                stay.heard.append(stanza.get("id", ""))
                if stanza.get("id", "") not in self.said[room] or nick != f"n{_sender(stanza.get('id', ''))}":
                    self.report(f"room: nobody has said what {talker.client.bare} was given: {text(stanza)}")
        return True

    def _on_error(self, talker: "Talker", room: str, stanza: Element) -> None:
        error = child(stanza, ns.CLIENT, "error")
        if name(stanza) == "presence":
            # No more may enter for now, or the room is being loaded.
            if error is None or error.get("type") != "wait":
                self.report(f"room: {talker.client.bare} may not enter: {text(stanza)}")
            self.entries_refused[room] += 1
            asyncio.get_running_loop().call_later(_ENTER_AGAIN, self._enter, talker, room)
            return
        id_ = stanza.get("id", "")
        if id_ in self.ambiguous:
            return
        if error_of(stanza)[1] == "not-acceptable" and self.may_be_out_of_reach(talker):
            self.refused += 1
            self.ambiguous.add(id_)
        else:
            self.report(f"room: {talker.client.bare} was told an error: {text(stanza)}")

    def _on_presence(self, talker: "Talker", room: str, nick: str, stanza: Element) -> None:
        key = (talker.index, room)
        codes = statuses(stanza)
        if stanza.get("type") == "unavailable":
            self.present[key].discard(nick)
            if nick == _nick(talker):
                # What the session before it did, under the same resource, may be told to this one. Who is out, and did not
                # want to be, is found so at the end.
                self._leave(talker.index, room)
                self.left[key] = text(stanza)
                if self.may_be_out_of_reach(talker):
                    self.thrown_out += 1
                    asyncio.get_running_loop().call_later(_ENTER_AGAIN, self._enter, talker, room)
        else:
            self.present[key].add(nick)
            if nick == _nick(talker) and _SELF_PRESENCE in codes and self._stay(key) is None:
                self.stays[key].append(Stay())

    def _enter(self, talker: "Talker", room: str) -> None:
        if not self._is_over and talker.online and self._stay((talker.index, room)) is None:
            talker.client.presence(f"{room}/{_nick(talker)}", extra=_JOIN)

    def _leave(self, index: int, room: str) -> None:
        stay = self._stay((index, room))
        if stay is not None:
            stay.is_over = True
        self.present[(index, room)].clear()

    def _stay(self, key: tuple[int, str]) -> Stay | None:
        stays = self.stays[key]
        return stays[-1] if stays and not stays[-1].is_over else None

    # ---- the talk ----

    async def speak(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self._random.expovariate(self.rate))
            talker = self._random.choice(list(self.members.values()))
            if talker.online and not talker.leaving:
                self._say(talker, self._random.choice(self.rooms))

    def _say(self, talker: "Talker", room: str) -> str | None:
        stay = self._stay((talker.index, room))
        if stay is None:
            return None
        id_ = f"{self.run}.{talker.index}.{self.rooms.index(room)}.{len(self.said[room]) + 1}"
        self.said[room].add(id_)
        stay.said.add(id_)
        self._recent.append((time.monotonic(), id_))
        talker.client.message(room, id_, "groupchat", id_)
        return id_

    def all_are_in(self) -> bool:
        everybody = {_nick(talker) for talker in self.members.values()}
        return all(self._stay((index, room)) is not None and self.present[(index, room)] == everybody
                   for index in self.members for room in self.rooms)

    # ---- the account ----

    async def finish(self, seconds: float) -> list[str]:
        """When nobody talks any more and all are back: the faults."""
        try:
            await until(self.all_are_in, "all are in the rooms", seconds)
        except AssertionError:
            return self._who_is_missing() + self.faults()
        # Who hears these has heard all that came before.
        last = {room: {self._say(talker, room) for talker in self.members.values()} for room in self.rooms}
        def missing() -> list[str]:
            return [f"room: n{index} did not hear {sorted(last[room] - set(self.stays[(index, room)][-1].heard))} at the end"
                    for index in self.members for room in self.rooms if last[room] - set(self.stays[(index, room)][-1].heard)]

        try:
            await until(lambda: not missing(), "all have heard the last words", seconds)
        except AssertionError:
            pass  # What is missing is said below.
        self._is_over = True
        return missing() + self.faults()

    def _who_is_missing(self) -> list[str]:
        everybody = {_nick(talker) for talker in self.members.values()}
        return [f"room: {_nick(talker)} is {'in' if self._stay((index, room)) else 'not in'} {room} and sees "
                f"{sorted(self.present[(index, room)] ^ everybody)} wrongly; it left with {self.left.get((index, room), 'nothing')}"
                for index, talker in self.members.items() for room in self.rooms
                if self._stay((index, room)) is None or self.present[(index, room)] != everybody]

    def faults(self) -> list[str]:
        return [fault for room in self.rooms for fault in self._faults_of(room)]

    def _faults_of(self, room: str) -> list[str]:
        faults = []
        stays = [(index, stay) for index in self.members for stay in self.stays[(index, room)]]
        heard = {id_ for _, stay in stays for id_ in stay.heard}
        faults += [f"room: {id_} is lost" for id_ in sorted(self.said[room] - heard - self.ambiguous)]
        behind: dict[str, tuple[str, int]] = {}
        before: dict[str, tuple[str, int]] = {}
        for index, stay in stays:
            twice = [id_ for id_, count in collections.Counter(stay.heard).items() if count > 1]
            if twice:
                faults.append(f"room: n{index} was given {twice[0]} twice, and {len(twice) - 1} more")
                continue
            for one, next_ in zip(stay.heard, stay.heard[1:]):
                for known, key, other in ((behind, one, next_), (before, next_, one)):
                    first = known.setdefault(key, (other, index))
                    if first[0] != other:
                        word = "behind" if known is behind else "before"
                        faults.append(f"room: {word} {key} n{first[1]} has heard {first[0]}, n{index} {other}")
            if not stay.is_over:
                faults += [f"room: n{index} did not hear {id_}, which it has said" for id_ in sorted(stay.said - set(stay.heard) - self.ambiguous)]
            number: dict[int, int] = {}
            for id_ in stay.heard:
                if _number(id_) <= number.get(_sender(id_), 0):
                    faults.append(f"room: n{index} has heard {id_} behind number {number[_sender(id_)]}")
                number[_sender(id_)] = _number(id_)
        return faults

    def account(self) -> str:
        said = sum(map(len, self.said.values()))
        heard = sum(len(stay.heard) for stays in self.stays.values() for stay in stays)
        entered = sum(map(len, self.stays.values()))
        return (f"said in {len(self.rooms)} rooms {said}, heard {heard}, entered {entered} times (refused "
                f"{sum(self.entries_refused.values())}), out of reach and thrown out {self.thrown_out} times (refused {self.refused}), "
                f"possibly lost {len(self.ambiguous)}")


def _nick(talker: "Talker") -> str:
    return f"n{talker.index}"


def _sender(id_: str) -> int:
    return int(id_.split(".")[1])


def _number(id_: str) -> int:
    return int(id_.split(".")[3])
