"""Rooms (XEP-0045) with slixmpp: what people do there, and what they are told, as events in the order in which it came.

Kinds of events and their fields:
- `occupant`: room, nick, gone, codes, role, affiliation, new_nick, reason, actor, jid, destroyed
- `groupchat`: room, nick, body, id, stanza_id, occupant_id, delayed
- `subject`: room, nick, subject
- `private`: room, nick, body
- `note`: room, codes (a message of the room itself)
- `invited`: room, by, reason, password
- `room-error`: room, nick, id, error: (type, condition)
- `declined`: room, by, reason
- `form`: room, form (a data form that the room sends)
- `retraction`: room, retract (XEP-0424)"""

import asyncio
import contextlib
import dataclasses

from harness import ns
from harness.client import error_of
from harness.cluster import Cluster
from harness.people import unique
from harness.stock import Slixmpp
from harness.wait import BOUND
from harness.xml import Element, child, name


class Refused(Exception):
    """The room, or the service, has answered with an error."""

    def __init__(self, kind: str, condition: str):
        self.error = (kind, condition)
        super().__init__(f"{kind}/{condition}")


async def refusal(attempt) -> tuple[str, str]:
    """(type, condition) of the error that is the answer; ("", "") where there is none."""
    try:
        await attempt
        return ("", "")
    except Refused as refused:
        return refused.error


@dataclasses.dataclass
class Entered:
    """What somebody learns who enters."""

    codes: list[int]
    nick: str
    others: list[str]
    history: list[str]
    subject: str


class RoomSlixmpp(Slixmpp):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        for plugin in ("xep_0045", "xep_0249", "xep_0410"):
            self._client.register_plugin(plugin)
        self._client.add_filter("in", self._seen)

    @property
    def jid(self) -> str:
        return str(self._client.boundjid)

    @property
    def bare(self) -> str:
        return self._client.boundjid.bare

    # ---- what people do ----

    async def enter(self, room: str, nick: str, **options) -> Entered:
        """`password`, `maxstanzas`, …, as slixmpp has them. Done when the subject is there."""
        from slixmpp import JID
        from slixmpp.exceptions import PresenceError

        try:
            presence, subject, others, history = await self._rooms.join_muc_wait(JID(room), nick, timeout=BOUND, **options)
        except PresenceError as error:
            await self.events.wait("room-error", room=room, nick=error.presence["from"].resource)
            raise Refused(error.etype, error.condition) from None
        except asyncio.TimeoutError:
            raise AssertionError(f"{self.bare} is not told that it is in {room}; there was {self.events.last()}") from None
        return Entered(
            codes=sorted(presence["muc"]["status_codes"]),
            nick=presence["from"].resource,
            others=[str(other["from"].resource) for other in others if other["from"] != presence["from"]],
            history=[message["body"] for message in history],
            subject=subject["subject"],
        )

    async def create(self, room: str, nick: str, **config) -> None:
        """Enters a room that is not there yet and opens it for others, with what is said of it."""
        entered = await self.enter(room, nick)
        assert {110, 201} <= set(entered.codes), entered
        await self.configure(room, **config)

    async def configure(self, room: str, **config) -> None:
        """`persistentroom=True`, …: fields of muc#roomconfig. None: as it is."""
        form = self._client["xep_0004"].make_form(ftype="submit")
        if config:
            form.add_field(var="FORM_TYPE", ftype="hidden", value=ns.ROOM_CONFIG)
        for key, value in config.items():
            form.add_field(var=f"muc#roomconfig_{key}", value={True: "1", False: "0"}.get(value, str(value)))
        await self._asked(self._rooms.set_room_config(room, form))

    def leave(self, room: str, nick: str) -> None:
        from slixmpp import JID

        self._rooms.leave_muc(JID(room), nick)

    def change_nick(self, room: str, nick: str) -> None:
        self._client.send_presence(pto=f"{room}/{nick}")

    def say(self, room: str, body: str, id_: str = "") -> None:
        message = self._client.make_message(mto=room, mbody=body, mtype="groupchat")
        if id_:
            message["id"] = id_
        message.send()

    def whisper(self, room: str, nick: str, body: str) -> None:
        self._client.send_message(mto=f"{room}/{nick}", mbody=body, mtype="chat")

    def set_subject(self, room: str, subject: str) -> None:
        self._rooms.set_subject(room, subject)

    def invite(self, room: str, jid: str, reason: str) -> None:
        self._rooms.invite(room, jid, reason)

    async def set_role(self, room: str, nick: str, role: str, reason: str = "") -> None:
        await self._asked(self._rooms.set_role(room, nick, role, reason=reason))

    async def set_affiliation(self, room: str, jid: str, affiliation: str, reason: str = "") -> None:
        await self._asked(self._rooms.set_affiliation(room, affiliation, jid=jid, reason=reason))

    async def affiliated(self, room: str, affiliation: str) -> list[str]:
        return sorted(str(jid) for jid in await self._asked(self._rooms.get_affiliation_list(room, affiliation)))

    async def destroy(self, room: str, reason: str = "", other: str = "") -> None:
        await self._asked(self._rooms.destroy(room, reason, other or None))

    async def is_in(self, room: str, nick: str) -> bool:
        """As XEP-0410 has it."""
        from slixmpp import JID
        from slixmpp.plugins.xep_0410 import PingStatus

        status = await self._client["xep_0410"].send_self_ping(JID(f"{room}/{nick}"), timeout=BOUND)
        assert status in (PingStatus.JOINED, PingStatus.DISCONNECTED), status
        return status == PingStatus.JOINED

    async def info(self, address: str, node: str = "") -> tuple[set, set, dict]:
        """(identities as (category, type, name), features, the fields of its form)."""
        answer = await self._asked(self._client["xep_0030"].get_info(jid=address, node=node or None, cached=False, timeout=BOUND))
        query = child(answer.xml, ns.DISCO_INFO, "query")
        identities = {(e.get("category"), e.get("type"), e.get("name")) for e in query if name(e) == "identity"}
        fields = {f.get("var"): f.findtext(f"{{{ns.DATA_FORMS}}}value") for f in query.iter(f"{{{ns.DATA_FORMS}}}field")}
        return identities, {e.get("var") for e in query if name(e) == "feature"}, fields

    async def items(self, address: str) -> dict[str, str]:
        """JID -> name."""
        answer = await self._asked(self._client["xep_0030"].get_items(jid=address, timeout=BOUND))
        return {e.get("jid"): e.get("name") for e in child(answer.xml, ns.DISCO_ITEMS, "query") if name(e) == "item"}

    def send(self, xml: str) -> None:
        self._client.send_raw(xml)

    def question(self, kind: str, to: str, payload: str):
        """An IQ that `asked` sends."""
        from slixmpp.xmlstream import ET

        iq = self._client.make_iq(ito=to, itype=kind)
        iq.append(ET.fromstring(payload))
        return iq

    async def asked(self, iq):
        """Gives the answer; an error is raised."""
        return await self._asked(iq.send(timeout=BOUND))

    async def ask(self, kind: str, to: str, payload: str) -> Element:
        return (await self.asked(self.question(kind, to, payload))).xml

    def listen(self, namespace: str) -> asyncio.Future:
        """The next question with a payload of that namespace, which slixmpp answers with an error."""
        heard = asyncio.get_running_loop().create_future()

        def see(stanza):
            is_it = name(stanza.xml) == "iq" and any(e.tag.startswith(f"{{{namespace}}}") for e in stanza.xml)
            if is_it and stanza.xml.get("type") in ("get", "set") and not heard.done():
                heard.set_result(stanza.xml)
            return stanza

        self._client.add_filter("in", see)
        return heard

    # ---- inside ----

    @property
    def _rooms(self):
        return self._client["xep_0045"]

    @staticmethod
    async def _asked(question):
        from slixmpp.exceptions import IqError

        try:
            return await question
        except IqError as error:
            raise Refused(error.etype, error.condition) from None

    def _seen(self, stanza):
        """Before slixmpp makes its own events of it."""
        room, _, nick = stanza.xml.get("from", "").partition("/")
        kind = name(stanza.xml)
        if kind in ("message", "presence") and stanza.xml.get("type") == "error":
            self.events.add("room-error", room=room, nick=nick, id=stanza.xml.get("id"), error=error_of(stanza.xml))
        elif kind == "presence":
            self._occupant(stanza.xml, room, nick)
        elif kind == "message":
            self._said(stanza.xml, room, nick)
        return stanza

    def _occupant(self, presence: Element, room: str, nick: str) -> None:
        x = child(presence, ns.MUC_USER, "x")
        if x is None:
            return
        item = child(x, ns.MUC_USER, "item")
        actor, destroyed = (None if where is None else child(where, ns.MUC_USER, word) for where, word in ((item, "actor"), (x, "destroy")))
        said = {} if item is None else item.attrib
        self.events.add(
            "occupant", room=room, nick=nick, gone=presence.get("type") == "unavailable", codes=_codes(x), role=said.get("role"),
            affiliation=said.get("affiliation"), new_nick=said.get("nick"), jid=said.get("jid"),
            reason=None if item is None else item.findtext(f"{{{ns.MUC_USER}}}reason"), actor=None if actor is None else actor.get("nick"),
            destroyed=None if destroyed is None else destroyed.findtext(f"{{{ns.MUC_USER}}}reason") or "",
        )

    def _said(self, message: Element, room: str, nick: str) -> None:
        body, subject, x = message.findtext(f"{{{ns.CLIENT}}}body"), child(message, ns.CLIENT, "subject"), child(message, ns.MUC_USER, "x")
        if message.get("type") == "groupchat" and body is not None:
            marks = [e.get("id") for e in message if e.tag == f"{{{ns.SID}}}stanza-id" and e.get("by") == room]
            occupant = child(message, ns.OCCUPANT_ID, "occupant-id")
            self.events.add(
                "groupchat", room=room, nick=nick, body=body, id=message.get("id"), stanza_id=marks[0] if len(marks) == 1 else marks,
                occupant_id=None if occupant is None else occupant.get("id"), delayed=child(message, ns.DELAY, "delay") is not None,
            )
        elif message.get("type") == "groupchat" and subject is not None:
            self.events.add("subject", room=room, nick=nick, subject=subject.text or "")
        elif x is not None and child(x, ns.MUC_USER, "invite") is not None:
            invite = child(x, ns.MUC_USER, "invite")
            self.events.add("invited", room=room, by=invite.get("from"), reason=invite.findtext(f"{{{ns.MUC_USER}}}reason"),
                            password=x.findtext(f"{{{ns.MUC_USER}}}password"))
        elif x is not None and child(x, ns.MUC_USER, "decline") is not None:
            decline = child(x, ns.MUC_USER, "decline")
            self.events.add("declined", room=room, by=decline.get("from"), reason=decline.findtext(f"{{{ns.MUC_USER}}}reason"))
        elif child(message, ns.RETRACT, "retract") is not None:
            self.events.add("retraction", room=room, retract=child(message, ns.RETRACT, "retract"))
        elif child(message, ns.DATA_FORMS, "x") is not None:
            self.events.add("form", room=room, form=child(message, ns.DATA_FORMS, "x"))
        elif x is not None and nick:
            self.events.add("private", room=room, nick=nick, body=body)
        elif x is not None:
            self.events.add("note", room=room, codes=_codes(x))


def _codes(x: Element) -> list[int]:
    return sorted(int(status.get("code")) for status in x if name(status) == "status")


@contextlib.asynccontextmanager
async def guests(cluster: Cluster, *names: str):
    """Registered and signed in over TLS, on the gateways in turn."""
    ca = str(cluster.state / "certificates" / "ca.pem")
    made = [
        RoomSlixmpp(f"{unique(who)}@{cluster.domain}", "wherefore", cluster.address(f"gateway/{number % 2 + 1}"), ca, register=True)
        for number, who in enumerate(names)
    ]
    try:
        await asyncio.gather(*(guest.connect() for guest in made))
        await asyncio.gather(*(guest.events.wait("online") for guest in made))
        yield made
    finally:
        await asyncio.gather(*(guest.close() for guest in made))


def new_room(cluster: Cluster, prefix: str = "hall") -> str:
    return f"{unique(prefix)}@conference.{cluster.domain}"
