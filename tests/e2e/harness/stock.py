"""XMPP clients that we did not write: slixmpp (TCP) and stanza.js (WebSocket), with one face.

`events` has what happened to a client and was not waited for yet: (kind, fields)."""

import asyncio
import json
import logging
import os
import time

from harness.paths import E2E, NODE_MODULES
from harness.wait import BOUND


class _Events:
    def __init__(self):
        self._events: list[tuple[str, dict]] = []
        self._changed = asyncio.Event()

    def add(self, kind: str, **fields) -> None:
        self._events.append((kind, fields))
        self._changed.set()

    async def wait(self, kind: str, seconds: float = BOUND, **fields) -> dict:
        """Takes the first event of that kind with these fields."""
        deadline = time.monotonic() + seconds
        while True:
            for index, (kind_, fields_) in enumerate(self._events):
                if kind_ == kind and all(fields_.get(key) == value for key, value in fields.items()):
                    return self._events.pop(index)[1]
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                raise AssertionError(f"waited in vain for {kind} {fields}; there was {self._events[-6:]}") from None

    def count(self, kind: str, **fields) -> int:
        return len(self.all(kind, **fields))

    def all(self, kind: str, **fields) -> list[dict]:
        """Those that nobody has waited for, in their order."""
        return [f for kind_, f in self._events if kind_ == kind and all(f.get(key) == value for key, value in fields.items())]

    def last(self) -> list[tuple[str, dict]]:
        return self._events[-6:]


class Slixmpp:
    """On TCP with STARTTLS."""

    def __init__(self, jid: str, password: str, address: str, ca_file: str, register: bool, certificate=None, caps: bool = False):
        import slixmpp

        # What it says of itself is of use only to those who debug it.
        logging.getLogger("slixmpp").setLevel(logging.CRITICAL)
        self.events = _Events()
        self._address = address
        client = self._client = slixmpp.ClientXMPP(jid, password)
        client.ca_certs = ca_file
        if certificate:
            client.certfile, client.keyfile = str(certificate.file), str(certificate.key)
        client.register_plugin("xep_0030")
        client.register_plugin("xep_0191")
        client.register_plugin("xep_0198")
        client.register_plugin("xep_0199")
        self._caps = caps
        if caps:
            client.register_plugin("xep_0115")
        if register:
            client.register_plugin("xep_0077")
            client["xep_0077"].force_registration = False
            client.add_event_handler("register", self._register)
        client.auto_authorize = None
        client.auto_subscribe = False
        client.add_event_handler("session_start", self._started)
        client.add_event_handler("session_resumed", lambda _: self.events.add("resumed"))
        client.add_event_handler("disconnected", lambda _: self.events.add("disconnected"))
        client.add_event_handler("failed_all_auth", lambda _: self.events.add("auth-failed"))
        client.add_event_handler("tls_success", lambda _: self.events.add("tls"))
        client.add_event_handler("auth_success", lambda _: self.events.add("authenticated", mechanism=self.mechanism()))
        client.add_event_handler("message", self._message)
        client.add_event_handler("message_error", self._message)
        client.add_event_handler("presence_available", lambda p: self.events.add("available", jid=str(p["from"])))
        client.add_event_handler("presence_unavailable", lambda p: self.events.add("unavailable", jid=str(p["from"])))
        client.add_event_handler("presence_subscribe", lambda p: self.events.add("subscribe", jid=p["from"].bare))
        client.add_event_handler("presence_subscribed", lambda p: self.events.add("subscribed", jid=p["from"].bare))

    def mechanism(self) -> str:
        mech = self._client["feature_mechanisms"].mech
        return mech.name if mech else ""

    async def connect(self) -> None:
        host, _, port = self._address.rpartition(":")
        self._client.connect(host, int(port))

    async def message(self, to: str, body: str) -> None:
        self._client.send_message(mto=to, mbody=body, mtype="chat")

    async def subscribe(self, to: str) -> None:
        self._client.send_presence_subscription(pto=to, ptype="subscribe")

    async def accept(self, to: str) -> None:
        self._client.send_presence_subscription(pto=to, ptype="subscribed")

    async def block(self, jid: str) -> list[str]:
        """Blocks the address. Gives the list as it is then."""
        await self._client["xep_0191"].block(jid)
        return await self._blocked()

    async def unblock(self, jid: str) -> list[str]:
        await self._client["xep_0191"].unblock(jid)
        return await self._blocked()

    async def _blocked(self) -> list[str]:
        return sorted(str(jid) for jid in await self._client["xep_0191"].get_blocked_jids())

    async def set_vcard(self, name: str, photo: bytes) -> None:
        vcard = self._vcards().make_vcard()
        vcard["FN"] = name
        vcard["PHOTO"]["TYPE"] = "image/png"
        vcard["PHOTO"]["BINVAL"] = photo
        await self._vcards().publish_vcard(vcard)

    async def vcard(self, jid: str) -> tuple[str, bytes]:
        """The name and the photo in somebody's vCard."""
        vcard = (await self._vcards().get_vcard(jid, local=False))["vcard_temp"]
        return vcard["FN"], vcard["PHOTO"]["BINVAL"]

    def _vcards(self):
        self._client.register_plugin("xep_0054")
        return self._client["xep_0054"]

    async def go_away(self) -> None:
        self._client.disconnect()
        await self.events.wait("disconnected")

    async def close(self) -> None:
        try:
            await asyncio.wait_for(asyncio.ensure_future(self._client.disconnect(wait=1)), 5)
        except (asyncio.TimeoutError, TypeError):
            pass
        # What sends goes on for as long as the client exists, and complains when that is over.
        if self._client._run_out_filters:
            self._client._run_out_filters.cancel()
            await asyncio.gather(self._client._run_out_filters, return_exceptions=True)

    async def _register(self, form) -> None:
        iq = self._client.Iq()
        iq["type"] = "set"
        iq["register"]["username"] = self._client.boundjid.user
        iq["register"]["password"] = self._client.password
        await iq.send()
        self.events.add("registered")

    async def _started(self, _) -> None:
        await self._client.get_roster()
        if self._caps:
            await self._client["xep_0115"].update_caps()
        self._client.send_presence()
        self.events.add("online", jid=str(self._client.boundjid))

    def _message(self, message) -> None:
        if message["type"] == "error":
            self.events.add("message-error", jid=str(message["from"]))
        elif message["type"] != "groupchat" and message["body"]:
            delayed = message.xml.find("{urn:xmpp:delay}delay") is not None
            self.events.add("message", jid=message["from"].bare, body=message["body"], delayed=delayed)


class StanzaJs:
    """On WebSocket, in a Node process."""

    def __init__(self, jid: str, password: str, url: str, ca_file: str, register: bool, caps: bool = False):
        self.events = _Events()
        self._options = {"jid": jid, "password": password, "url": url, "register": register, "caps": caps}
        self._ca_file = ca_file
        self._process = None
        self._reader: asyncio.Task | None = None

    async def connect(self) -> None:
        if self._process:
            await self._command(do="connect")
            return
        self._process = await asyncio.create_subprocess_exec(
            "node", str(E2E / "stanzajs" / "client.js"), json.dumps(self._options),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "NODE_PATH": str(NODE_MODULES), "NODE_EXTRA_CA_CERTS": self._ca_file},
        )
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def message(self, to: str, body: str) -> None:
        await self._command(do="message", to=to, body=body)

    async def enter(self, room: str, nick: str) -> dict:
        """Gives `codes` and `nick`, as the room has them."""
        await self._command(do="enter", to=room, nick=nick)
        return await self.events.wait("entered", room=room)

    async def say(self, room: str, body: str, id_: str = "") -> None:
        await self._command(do="say", to=room, body=body, id=id_ or None)

    async def set_subject(self, room: str, subject: str) -> None:
        await self._command(do="topic", to=room, subject=subject)

    async def subscribe(self, to: str) -> None:
        await self._command(do="subscribe", to=to)

    async def accept(self, to: str) -> None:
        await self._command(do="accept", to=to)

    async def block(self, jid: str) -> list[str]:
        await self._command(do="block", to=jid)
        return sorted((await self.events.wait("blocked"))["jids"])

    async def unblock(self, jid: str) -> list[str]:
        await self._command(do="unblock", to=jid)
        return sorted((await self.events.wait("unblocked"))["jids"])

    async def cut(self) -> None:
        """The connection breaks without a word."""
        await self._command(do="cut")
        await self.events.wait("disconnected")

    async def go_away(self) -> None:
        await self._command(do="disconnect")
        await self.events.wait("disconnected")

    async def close(self) -> None:
        if self._process:
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), 5)
            except asyncio.TimeoutError:
                self._process.kill()
            await self._reader

    async def _command(self, **fields) -> None:
        self._process.stdin.write((json.dumps(fields) + "\n").encode())
        await self._process.stdin.drain()

    async def _read(self) -> None:
        while line := await self._process.stdout.readline():
            fields = json.loads(line)
            kind = fields.pop("event")
            if kind in ("available", "unavailable", "online"):
                fields["jid"] = fields.get("from") or fields.get("jid")
            elif "from" in fields:
                fields["jid"] = fields["from"].split("/")[0]
            if kind == "message":
                fields["delayed"] = bool(fields["delayed"])
            self.events.add(kind, **fields)
        self.events.add("ended")
