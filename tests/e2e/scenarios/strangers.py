"""What those learn of an account whom it does not know."""

import asyncio
import random
import statistics
import time

from harness import ns
from harness.client import Client, StanzaError
from harness.cluster import Cluster
from harness.people import account, person, unique
from harness.runner import scenario

PING = f"<ping xmlns='{ns.PING}'/>"
ACCOUNTS, QUESTIONS, ASKERS, AT_ONCE = 20, 1000, 4, 4
# Between the medians of any two kinds: a tenth of the constant time after which strangers are refused.
BOUND_MS = 5.0


async def _ask(asker: Client, jid: str) -> float:
    begin = time.perf_counter()
    try:
        await asker.iq("get", PING, jid)
    except StanzaError as error:
        assert error.condition == "service-unavailable", error.condition
        return 1000 * (time.perf_counter() - begin)
    raise AssertionError(f"a stranger is answered for {jid}")


@scenario(seconds=180)
async def no_answers_time_tells_who_is_there(cluster: Cluster) -> None:
    """Online, offline or no account at all: a thousand questions about each, in any order."""
    online = await asyncio.gather(*(person(cluster, "there") for _ in range(ACCOUNTS)))
    offline = await asyncio.gather(*(account(cluster, "away") for _ in range(ACCOUNTS)))
    asked = {
        "online": [user.bare for user in online],
        "offline": [user.bare for user in offline],
        "nobody": [f"{unique('nobody')}@{cluster.domain}" for _ in range(ACCOUNTS)],
    }
    askers = await asyncio.gather(*(person(cluster, "curious", f"gateway/{1 + n % 2}") for n in range(ASKERS)))
    questions = [(kind, bares[n % ACCOUNTS]) for kind, bares in asked.items() for n in range(QUESTIONS)]
    random.Random(1).shuffle(questions)
    times: dict[str, list[float]] = {kind: [] for kind in asked}

    async def go_on(asker: Client) -> None:
        while questions:
            kind, bare = questions.pop()
            times[kind].append(await _ask(asker, bare))

    await asyncio.gather(*(go_on(asker) for asker in askers for _ in range(AT_ONCE)))
    medians = {kind: statistics.median(took) for kind, took in times.items()}
    assert max(medians.values()) - min(medians.values()) < BOUND_MS, medians
    await asyncio.gather(*(user.close() for user in (*online, *askers)))
