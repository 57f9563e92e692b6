"""What those learn of an account whom it does not know: from no answer's time whether it is online, offline or not there."""

import asyncio
import base64
import collections
import hashlib
import math
import random
import secrets
import time
from typing import NamedTuple

from harness import ns
from harness.client import Client, Connection, StanzaError, connect, error_of
from harness.cluster import Cluster
from harness.extra_gateway import NAME as EXTRA_GATEWAY
from harness.extra_gateway import extra_gateway
from harness.people import account, person, unique
from harness.runner import scenario
from harness.xml import Element, name

ACCOUNTS, QUESTIONS = 20, 1000
# After this constant time strangers are refused.
REFUSED_AFTER_MS = 50.0
# Between the medians of any two kinds, beyond what chance explains on a machine that has other things to do.
BOUND_MS = REFUSED_AFTER_MS / 10
# A median lies outside its interval in one of some ten thousand cases.
STANDARD_ERRORS = 4

# What is timed -> who was asked about -> how long each answer took, in ms.
Times = dict[str, dict[str, list[float]]]


async def _take_times(questions: list[tuple[str, str, str]], askers: list, ask) -> Times:
    """Puts each question (what, of whom, to whom) once, in any order, one at a time by each asker. `ask(asker, what, to)` gives
    the time of each answer by what it answers."""
    random.Random(1).shuffle(questions)
    times: Times = collections.defaultdict(lambda: collections.defaultdict(list))

    async def go_on(asker) -> None:
        while questions:
            what, kind, to = questions.pop()
            for answer, took in (await ask(asker, what, to)).items():
                times[answer][kind].append(took)

    await asyncio.gather(*(go_on(asker) for asker in askers))
    return times


def _median_interval(took: list[float]) -> tuple[float, float]:
    """Where the median of all such times lies, whatever their distribution: so many of n are smaller than it, give or take half a
    root of n."""
    took = sorted(took)
    middle, error = (len(took) - 1) / 2, STANDARD_ERRORS * len(took) ** 0.5 / 2
    return took[max(0, math.floor(middle - error))], took[min(len(took) - 1, math.ceil(middle + error))]


def _check(times: Times, kinds: int, bound_ms: float = BOUND_MS) -> None:
    for answer, of in times.items():
        intervals = {kind: _median_interval(took) for kind, took in of.items()}
        assert len(intervals) == kinds, f"{answer}: of {sorted(intervals)} alone"
        apart = max(low for low, _ in intervals.values()) - min(high for _, high in intervals.values())
        assert apart < bound_ms, f"{answer}: medians in {intervals}, {bound_ms:.1f} ms apart at most"


def _check_constant(times: Times) -> None:
    """No refusal comes sooner. Without the constant time the medians could still be close to each other, on a quick machine."""
    for answer, of in times.items():
        if answer in REQUESTS:
            quickest = {kind: min(took) for kind, took in of.items()}
            # It is counted in whole milliseconds.
            assert min(quickest.values()) > REFUSED_AFTER_MS - 1, f"{answer}: {quickest}"


# ---- accounts ----


class Request(NamedTuple):
    payload: str
    condition: str = "service-unavailable"  # of the error; none: a result
    resource: str = ""
    presence: str = ""  # a presence of this type goes before it
    questions: int = QUESTIONS // 2


PING = f"<ping xmlns='{ns.PING}'/>"
REQUESTS = {
    "ping": Request(PING, questions=QUESTIONS),
    "a resource that is not there": Request(PING, resource="/nowhere", questions=QUESTIONS),
    "vCard": Request("<vCard xmlns='vcard-temp'/>"),
    "version": Request(f"<query xmlns='{ns.VERSION}'/>"),
    "features": Request(f"<query xmlns='{ns.DISCO_INFO}'/>"),
    "items": Request(f"<query xmlns='{ns.DISCO_ITEMS}'/>", condition=""),
    "last activity": Request(f"<query xmlns='{ns.LAST}'/>", condition="forbidden"),
    # A probe and a subscription have no answer of their own; what comes behind them has.
    "behind a probe": Request(PING, presence="probe"),
    "behind a subscription": Request(PING, presence="subscribe", questions=QUESTIONS // 4),
}
GROUPCHAT = "a groupchat message"


async def _ask(asker: Client, what: str, bare: str) -> dict[str, float]:
    if what == GROUPCHAT:
        return {what: await _write_as_a_room(asker, bare)}
    request = REQUESTS[what]
    if request.presence:
        asker.presence(bare, request.presence)
    condition = ""
    begin = time.perf_counter()
    try:
        await asker.iq("get", request.payload, bare + request.resource)
    except StanzaError as error:
        condition = error.condition
    took = 1000 * (time.perf_counter() - begin)
    assert condition == request.condition, f"{what} of {bare}: {condition or 'a result'}"
    return {what: took}


async def _write_as_a_room(asker: Client, bare: str) -> float:
    """No account takes such a message: who is written to makes no difference."""
    begin = time.perf_counter()
    id_ = asker.message(bare, "hello all", "groupchat")
    answer = await asker.expect(lambda s: s.get("id") == id_ and s.get("type") == "error", "the error for a message")
    assert error_of(answer)[1] == "service-unavailable", error_of(answer)
    return 1000 * (time.perf_counter() - begin)


class _People:
    """Accounts that are online and that are offline, and names that nobody has; and who asks about them."""

    def __init__(self, online: list[Client], askers: list[Client], asked: dict[str, list[str]]):
        self.askers, self.asked = askers, asked
        self._online = online

    @classmethod
    async def make(cls, cluster: Cluster, askers: int) -> "_People":
        online = await asyncio.gather(*(person(cluster, "there") for _ in range(ACCOUNTS)))
        offline = await asyncio.gather(*(account(cluster, "away") for _ in range(ACCOUNTS)))
        asked = {
            "online": [user.bare for user in online],
            "offline": [user.bare for user in offline],
            "nobody": [f"{unique('nobody')}@{cluster.domain}" for _ in range(ACCOUNTS)],
        }
        return cls(online, await asyncio.gather(*(person(cluster, "curious", f"gateway/{1 + n % 2}") for n in range(askers))), asked)

    def questions(self, what: str, count: int) -> list[tuple[str, str, str]]:
        return [(what, kind, bares[n % ACCOUNTS]) for kind, bares in self.asked.items() for n in range(count)]

    async def close(self) -> None:
        await asyncio.gather(*(user.close() for user in (*self._online, *self.askers)))


@scenario(seconds=180)
async def no_answers_time_tells_who_is_there(cluster: Cluster) -> None:
    """Online, offline or no account at all: a thousand questions about each, in any order."""
    people = await _People.make(cluster, askers=4)
    times = await _take_times(people.questions("ping", QUESTIONS), people.askers * 4, _ask)
    _check(times, len(people.asked))
    _check_constant(times)
    await people.close()


@scenario(seconds=180)
async def no_other_answers_time_tells_it_either(cluster: Cluster) -> None:
    """Thousands more: whatever else a stranger is answered by an account or in its place. (Whoever writes a message learns whether
    there is such an account, but not whether it is online.)"""
    people = await _People.make(cluster, askers=6)
    questions = people.questions(GROUPCHAT, QUESTIONS // 2)
    for what, request in REQUESTS.items():
        if what != "ping":
            questions += people.questions(what, request.questions)
    times = await _take_times(questions, people.askers * 4, _ask)
    _check(times, len(people.asked))
    _check_constant(times)
    await people.close()


# ---- signing in ----


class _Guesser:
    """Guesses passwords, on one stream after the other: each takes no more than so many."""

    TRIES = 100  # as many as can be allowed

    def __init__(self, cluster: Cluster):
        self._cluster = cluster
        self._stream: Connection | None = None
        self._left = 0

    async def guess(self, mechanism: str, user: str) -> dict[str, float]:
        if self._left == 0:
            self.close()
            self._stream = await connect(self._cluster.domain, self._cluster.address(EXTRA_GATEWAY))
            self._stream.open_stream()
            await self._stream.features()
            # The last failure would end the stream.
            self._left = self.TRIES - 1
        self._left -= 1
        if mechanism == "PLAIN":
            failure, took = await self._say(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>", f"\0{user}\0wrong", "</auth>")
            self._expect_refusal(failure)
            return {"PLAIN": took}
        nonce = secrets.token_urlsafe(18)
        challenge, took = await self._say(f"<auth xmlns='{ns.SASL}' mechanism='{mechanism}'>", f"n,,n={user},r={nonce}", "</auth>")
        assert name(challenge) == "challenge", name(challenge)
        nonce = dict(part.split("=", 1) for part in base64.b64decode(challenge.text).decode().split(","))["r"]
        proof = base64.b64encode(secrets.token_bytes(hashlib.sha256().digest_size)).decode()
        failure, took_by_proof = await self._say(f"<response xmlns='{ns.SASL}'>", f"c=biws,r={nonce},p={proof}", "</response>")
        self._expect_refusal(failure)
        return {f"{mechanism}, the challenge": took, f"{mechanism}, the proof": took_by_proof}

    def close(self) -> None:
        if self._stream:
            self._stream.abort()

    async def _say(self, begin: str, data: str, end: str) -> tuple[Element, float]:
        since = time.perf_counter()
        self._stream.write(begin + base64.b64encode(data.encode()).decode() + end)
        answer = await self._stream.next()
        return answer, 1000 * (time.perf_counter() - since)

    @staticmethod
    def _expect_refusal(failure: Element) -> None:
        assert name(failure) == "failure" and name(failure[0]) == "not-authorized", [name(e) for e in (failure, *failure)]


def _cost_of_a_password_ms() -> float:
    """Of the derivation that a password which is told takes to be checked."""
    costs = []
    for _ in range(5):
        begin = time.perf_counter()
        hashlib.pbkdf2_hmac("sha256", b"wrong", b"a salt of 16 oct", 10_000)
        costs.append(1000 * (time.perf_counter() - begin))
    return min(costs)


@scenario(seconds=180)
async def no_failed_sign_ins_time_tells_who_has_an_account(cluster: Cluster) -> None:
    """A thousand wrong proofs and half as many wrong passwords for each, while none are too many; with a password, a name that
    nobody has takes the time that the password of an account takes to be checked."""
    users = {
        "account": [user.user for user in await asyncio.gather(*(account(cluster, "known") for _ in range(ACCOUNTS)))],
        "nobody": [unique("nobody") for _ in range(ACCOUNTS)],
    }
    many = str(100 * QUESTIONS)
    async with extra_gateway(cluster, LIMITS__AUTH_ATTEMPTS=str(_Guesser.TRIES), LIMITS__NEGOTIATION_TIMEOUT="2m",
                             SASL__MAX_FAILURES_PER_ACCOUNT=many, SASL__MAX_FAILURES_PER_NETWORK=many):
        # Of passwords the gateway checks two at a time.
        for mechanism, count, at_once, bound_ms in (("SCRAM-SHA-256", QUESTIONS, 12, BOUND_MS),
                                                    ("PLAIN", QUESTIONS // 2, 2, min(BOUND_MS, _cost_of_a_password_ms() / 2))):
            guessers = [_Guesser(cluster) for _ in range(at_once)]
            questions = [(mechanism, kind, names[n % ACCOUNTS]) for kind, names in users.items() for n in range(count)]
            try:
                _check(await _take_times(questions, guessers, _Guesser.guess), len(users), bound_ms)
            finally:
                for guesser in guessers:
                    guesser.close()
