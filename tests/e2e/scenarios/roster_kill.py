"""Rosters and presence subscriptions while session-managers die: what a roster's change must
lead to is done by the next owner, and both sides' rosters agree in the end."""

import asyncio
import itertools

from harness import ns
from harness.client import Client
from harness.cluster import Cluster
from harness.people import interested, leave, unique
from harness.runner import scenario
from harness.wait import until
from harness.xml import escape, name, text

PEOPLE = 10


class _Crowd:
    """Users on two gateways who accept whoever asks, and count what they hear."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.heard = 0
        self.changed = asyncio.Event()
        self.faults: list[str] = []

    async def gather(self, cluster: Cluster) -> None:
        for n in range(PEOPLE):
            client = await cluster.user(unique("crowd"), f"gateway/{1 + n % 2}")
            await interested(client)
            await client.available()
            client.on_stanza = lambda stanza, client=client: self._on_stanza(client, stanza)
            self.clients.append(client)

    def _on_stanza(self, client: Client, stanza) -> None:
        if name(stanza) == "presence" and stanza.get("type") == "subscribe":
            client.presence(stanza.get("from"), "subscribed")
        elif name(stanza) == "presence" and stanza.get("type") in ("subscribed", "unsubscribed"):
            self.heard += 1
        elif stanza.get("type") == "error":
            self.faults.append(text(stanza))
        elif name(stanza) == "iq" and stanza.get("type") == "set":
            client.send(f"<iq xmlns='{ns.CLIENT}' type='result' id='{escape(stanza.get('id'))}'/>")
        self.changed.set()

    async def hear(self, count: int) -> None:
        """Until so many answers have come."""
        async with asyncio.timeout(20):
            while self.heard < count:
                self.changed.clear()
                await self.changed.wait()

    async def rosters(self) -> dict[str, dict[str, tuple[str | None, str | None]]]:
        """Everybody's items: (subscription, ask)."""
        found = {}
        for client in self.clients:
            client.on_stanza = None
            client.inbox.clear()
            items = await interested(client)
            found[client.bare] = {item.get("jid"): (item.get("subscription"), item.get("ask")) for item in items}
            client.on_stanza = lambda stanza, client=client: self._on_stanza(client, stanza)
            for stanza in client.inbox:
                self._on_stanza(client, stanza)
            client.inbox.clear()
        return found


def _differences(rosters: dict, expected) -> list[str]:
    """Where a roster is not as `expected(owner, contact)` says (None: no item)."""
    return [
        f"{owner} has {contact} as {rosters[owner].get(contact)}"
        for owner, contact in itertools.permutations(rosters, 2)
        if rosters[owner].get(contact) != expected(owner, contact)
    ]


async def _all_as(crowd: _Crowd, expected, what: str) -> None:
    last: list[str] = []

    async def agree() -> bool:
        nonlocal last
        last = _differences(await crowd.rosters(), expected)
        return not last

    try:
        await until(agree, what, 40, every=1)
    except AssertionError as error:
        raise AssertionError(f"{error}: {len(last)} differ: {last[:6]}") from None


@scenario(seconds=240)
async def owners_die_while_people_subscribe_and_remove(cluster: Cluster) -> None:
    await cluster.up(gateway=2, session_manager=2)
    await cluster.all_owned()
    crowd = _Crowd()
    await crowd.gather(cluster)
    places = {client.bare: place for place, client in enumerate(crowd.clients)}

    # Everybody asks everybody, and an owner dies in the middle of it.
    for asker, asked in itertools.permutations(crowd.clients, 2):
        asker.presence(asked.bare, "subscribe")
    await crowd.hear(PEOPLE)
    cluster.kill("session-manager/2")
    await _all_as(crowd, lambda owner, contact: ("both", None), "everybody sees everybody")
    assert not crowd.faults, crowd.faults[:5]
    await cluster.up(gateway=2, session_manager=2)
    await cluster.all_owned()

    # The first of each pair removes the second, and the other owner dies.
    crowd.heard = 0
    for number, (remover, removed) in enumerate(itertools.combinations(crowd.clients, 2)):
        remover.send(
            f"<iq xmlns='{ns.CLIENT}' type='set' id='remove-{number}'><query xmlns='{ns.ROSTER}'>"
            f"<item jid='{escape(removed.bare)}' subscription='remove'/></query></iq>"
        )
    await crowd.hear(PEOPLE // 2)
    cluster.kill("session-manager/1")
    await _all_as(
        crowd,
        lambda owner, contact: None if places[owner] < places[contact] else ("none", None),
        "nobody sees anybody",
    )
    assert not crowd.faults, crowd.faults[:5]
    await leave(*crowd.clients)
    await cluster.up(gateway=2, session_manager=2)
    await cluster.all_owned()
