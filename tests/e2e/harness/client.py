"""A small XMPP client of our own: no more than scenarios need, and everything in their hands.

It speaks RFC 6120 over TCP, STARTTLS, direct TLS and WebSocket, XEP-0077 and XEP-0198. It
is cheap: one Protocol for each connection, elements handed to a callback or a queue."""

import asyncio
import base64
import collections
import itertools
import ssl
import time
from xml.etree import ElementTree

from harness import ns
from harness.sasl import SaslFailure, Scram, plain
from harness.wait import BOUND
from harness.websocket import WebSocketFraming
from harness.xml import Element, StreamReader, child, escape, name, namespace, text

_ids = itertools.count(1)
STANZAS = ("message", "presence", "iq")


class Disconnected(Exception):
    """The connection ended while something was waited for."""


class StreamError(Disconnected):
    """The server ended the stream: `condition` is the stream error's."""

    def __init__(self, element: Element):
        conditions = [name(c) for c in element if namespace(c) == ns.STREAM_ERRORS and name(c) != "text"]
        self.condition = conditions[0] if conditions else "?"
        self.element = element
        super().__init__(f"stream error {self.condition}: {text(element)}")


class StanzaError(Exception):
    """An IQ was answered with an error."""

    def __init__(self, element: Element):
        self.element = element
        self.type, self.condition = error_of(element)
        super().__init__(f"{self.type}/{self.condition}: {text(element)}")


def error_of(element: Element) -> tuple[str, str]:
    """(type, condition) of a stanza of type error."""
    error = child(element, ns.CLIENT, "error")
    if error is None:
        return "", ""
    conditions = [name(c) for c in error if namespace(c) == ns.STANZA_ERRORS and name(c) != "text"]
    return error.get("type", ""), conditions[0] if conditions else ""


class WrongCount(Exception):
    """An acknowledgement of stanzas that were never sent, or that takes an earlier one back (XEP-0198 section 4)."""


class Connection(asyncio.Protocol):
    """One stream over one transport: elements in, text out."""

    def __init__(self, domain: str, websocket: bool = False):
        self.domain = domain
        self.elements: collections.deque[Element] = collections.deque()
        self.on_element = None  # callback instead of the queue
        self.on_closed = None
        self.header: Element | None = None
        self.error: StreamError | None = None
        self.stream_ended = False
        self.closed = False
        self.received_bytes = 0
        self.malformed = ""  # what the server said that is no XML
        self._websocket = WebSocketFraming() if websocket else None
        self._changed = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._reader: StreamReader | None = None
        self._restart = False

    # ---- asyncio.Protocol ----

    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self._websocket:
            for message in self._websocket.feed(data, self._transport.write):
                try:
                    self._on_websocket_message(message)
                except ElementTree.ParseError as error:
                    self.malformed = f"{error}: {message[:200]!r}"
                    self._transport.abort()
            self._changed.set()
            return
        if self._reader is None:
            self._reader = StreamReader(self._on_header, self._on_element, self._on_stream_end)
        try:
            self._reader.feed(data)
        except ElementTree.ParseError as error:
            self.malformed = f"{error}: {data[:200]!r}"
            self._transport.abort()
        self._changed.set()

    def connection_lost(self, exception) -> None:
        self.closed = True
        self._changed.set()
        if self.on_closed:
            self.on_closed()

    # ---- for scenarios ----

    @property
    def transport(self) -> asyncio.Transport:
        return self._transport

    def write(self, data: str | bytes) -> None:
        data = data.encode() if isinstance(data, str) else data
        if self._websocket:
            data = self._websocket.text_frame(data)
        self._transport.write(data)

    def open_stream(self, to: str | None = None, version: str = "1.0") -> None:
        """A new stream; also the restart after TLS and SASL."""
        to = self.domain if to is None else to
        self.header = None
        if self._websocket:
            self.write(f"<open xmlns='{ns.FRAMING}' to='{escape(to)}' version='{version}'/>")
            return
        self._reader = None
        self.write(
            f"<?xml version='1.0'?><stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}'"
            f" to='{escape(to)}' version='{version}' xml:lang='en'>"
        )

    def end_stream(self) -> None:
        self.write(f"<close xmlns='{ns.FRAMING}'/>" if self._websocket else "</stream:stream>")

    async def next(self, seconds: float = BOUND) -> Element:
        """The next element. Raises StreamError or Disconnected where none comes any more."""
        deadline = time.monotonic() + seconds
        while not self.elements:
            if self.error:
                raise self.error
            if self.closed or self.stream_ended:
                raise Disconnected(self.malformed or "the stream has ended")
            await self._wait(deadline, "an element")
        return self.elements.popleft()

    async def features(self) -> Element:
        element = await self.next()
        assert element.tag == f"{{{ns.STREAMS}}}features", f"no stream features: {text(element)}"
        return element

    async def wait_closed(self, seconds: float = BOUND) -> None:
        deadline = time.monotonic() + seconds
        while not self.closed:
            await self._wait(deadline, "the end of the connection")

    async def wait_stream_end(self, seconds: float = BOUND) -> None:
        """The server's end of the stream, or of the connection."""
        deadline = time.monotonic() + seconds
        while not (self.stream_ended or self.closed):
            await self._wait(deadline, "the end of the stream")

    async def wait_error(self, seconds: float = BOUND) -> str:
        """The condition of the stream error that ends the stream; empty where it ends without."""
        await self.wait_stream_end(seconds)
        return self.error.condition if self.error else ""

    async def close(self, seconds: float = BOUND) -> None:
        """Ends the stream in order and then the connection."""
        if not self.closed:
            if not self.stream_ended:
                self.end_stream()
                await self.wait_stream_end(seconds)
            self._transport.close()
            await self.wait_closed()

    def abort(self) -> None:
        """Cuts the connection: a reset, nothing said."""
        if self._transport:
            self._transport.abort()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        self._transport = await loop.start_tls(self._transport, self, context, server_hostname=self.domain)
        self._reader = None

    async def websocket_handshake(self, host: str, path: str = "/xmpp-websocket", protocol: str = "xmpp") -> None:
        self._transport.write(self._websocket.request(host, path, protocol))
        deadline = time.monotonic() + BOUND
        while not self._websocket.is_open:
            if self.closed or self._websocket.refusal:
                raise Disconnected(f"WebSocket refused: {self._websocket.refusal}")
            await self._wait(deadline, "the WebSocket handshake")

    @property
    def websocket(self) -> WebSocketFraming | None:
        return self._websocket

    # ---- inside ----

    async def _wait(self, deadline: float, what: str) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), max(0.0, deadline - time.monotonic()))
        except asyncio.TimeoutError:
            raise AssertionError(f"waited in vain for {what}") from None

    def _on_header(self, element: Element) -> None:
        self.header = element

    def _on_element(self, element: Element) -> None:
        if element.tag == f"{{{ns.STREAMS}}}error":
            self.error = StreamError(element)
        elif self.on_element:
            self.on_element(element)
        else:
            self.elements.append(element)

    def _on_stream_end(self) -> None:
        self.stream_ended = True

    def _on_websocket_message(self, message: bytes) -> None:
        # RFC 7395: each message is a document of its own.
        element = ElementTree.fromstring(message)
        if element.tag == f"{{{ns.FRAMING}}}open":
            self._on_header(element)
        elif element.tag == f"{{{ns.FRAMING}}}close":
            self._on_stream_end()
        else:
            self._on_element(element)


async def connect(
    domain: str, address: str, mode: str = "plain", context: ssl.SSLContext | None = None,
    local_address: str | None = None, alpn: str = "xmpp-client",
) -> Connection:
    """Opens the transport; `mode`: plain, tls (direct), ws, wss. No stream yet."""
    host, _, port = address.rpartition(":")
    websocket = mode in ("ws", "wss")
    secure = mode in ("tls", "wss")
    if secure and alpn and not websocket:
        context.set_alpn_protocols([alpn])
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(domain, websocket), host, int(port), ssl=context if secure else None,
        server_hostname=domain if secure else None, local_addr=(local_address, 0) if local_address else None,
    )
    if websocket:
        await connection.websocket_handshake(f"{domain}:{port}")
    return connection


class Client:
    """A user on one connection after the other."""

    def __init__(self, domain: str, user: str, password: str = "secret", resource: str | None = None):
        self.domain, self.user, self.password = domain, user, password
        self.resource = resource or f"r{next(_ids)}"
        self.bare = f"{user}@{domain}"
        self.jid = ""
        self.mechanism = "SCRAM-SHA-256"  # or what was used last
        self.connection: Connection | None = None
        # Between binding (or resuming) and the end of the connection stanzas may be written.
        self.has_session = False
        self.features: Element | None = None
        # Stanzas that nobody has taken yet.
        self.inbox: list[Element] = []
        self.on_stanza = None  # callback instead of the inbox
        self._changed = asyncio.Event()
        # XEP-0198: None while it is off.
        self.handled: int | None = None
        self.sm_id = ""
        self.unacked: collections.deque[str] = collections.deque()
        self.acked = 0  # what the server said last
        self.resumed_count = 0
        self.answers_requests = True
        # Everything <enabled/>, <resumed/> and the like said.
        self.sm_answers: list[Element] = []

    # ---- signing in ----

    async def open(self, address: str, mode: str = "plain", context: ssl.SSLContext | None = None, **options) -> "Client":
        """Connects and reads the first features; `mode` also starttls."""
        if self.connection:
            # What an older connection still says is no longer for us.
            self.connection.on_element = self.connection.elements.append
            self.connection.on_closed = None
        self.has_session = False
        self.connection = await connect(
            self.domain, address, "plain" if mode == "starttls" else mode, context, **options
        )
        self.connection.open_stream()
        self.features = await self.connection.features()
        if mode == "starttls":
            self.connection.write(f"<starttls xmlns='{ns.TLS}'/>")
            answer = await self.connection.next()
            assert answer.tag == f"{{{ns.TLS}}}proceed", text(answer)
            await self.connection.start_tls(context)
            self.connection.open_stream()
            self.features = await self.connection.features()
        return self

    def mechanisms(self) -> list[str]:
        element = child(self.features, ns.SASL, "mechanisms")
        return [] if element is None else [m.text for m in element if name(m) == "mechanism"]

    async def authenticate(self, mechanism: str = "", binding=None, password: str | None = None) -> None:
        mechanism = self.mechanism = mechanism or self.mechanism
        password = self.password if password is None else password
        exchange = None
        if mechanism == "PLAIN":
            initial = plain(self.user, password)
        else:
            exchange = Scram(mechanism, self.user, password, binding)
            initial = exchange.first()
        self.connection.write(f"<auth xmlns='{ns.SASL}' mechanism='{mechanism}'>{base64.b64encode(initial).decode()}</auth>")
        while True:
            answer = await self.connection.next()
            data = base64.b64decode(answer.text) if answer.text and answer.text != "=" else b""
            kind = name(answer)
            if kind == "challenge":
                self.connection.write(
                    f"<response xmlns='{ns.SASL}'>{base64.b64encode(exchange.final(data)).decode()}</response>"
                )
            elif kind == "success":
                if exchange:
                    exchange.check(data)
                break
            else:
                conditions = [name(c) for c in answer if name(c) != "text"]
                raise SaslFailure(conditions[0] if conditions else "?")
        self.connection.open_stream()
        self.features = await self.connection.features()

    async def bind(self) -> str:
        # A resumption that failed has turned elements to the inbox.
        self.connection.on_element = None
        answer = await self._early_iq(f"<bind xmlns='{ns.BIND}'><resource>{escape(self.resource)}</resource></bind>")
        self.jid = answer.find(f"{{{ns.BIND}}}bind/{{{ns.BIND}}}jid").text
        self.has_session = True
        self._attend()
        return self.jid

    async def login(self, address: str, mode: str = "plain", context=None, mechanism: str = "", **options) -> "Client":
        await self.open(address, mode, context, **options)
        await self.authenticate(mechanism)
        await self.bind()
        return self

    async def register(self) -> None:
        """XEP-0077 on an open stream, before SASL."""
        await self._early_iq(
            f"<query xmlns='{ns.REGISTER}'><username>{escape(self.user)}</username>"
            f"<password>{escape(self.password)}</password></query>"
        )

    async def _early_iq(self, payload: str) -> Element:
        """Before anything else can arrive."""
        id_ = f"e{next(_ids)}"
        self.connection.write(f"<iq xmlns='{ns.CLIENT}' type='set' id='{id_}'>{payload}</iq>")
        answer = await self.connection.next()
        if answer.get("type") == "error":
            raise StanzaError(answer)
        assert answer.get("id") == id_ and answer.get("type") == "result", text(answer)
        return answer

    # ---- stream management ----

    async def enable(self, resume: bool = True, seconds: int | None = None) -> Element:
        """`seconds`: for how long the session is to wait for its client at most."""
        self.handled, self.acked = 0, 0
        self.unacked.clear()
        self.sm_answers.clear()
        options = (" resume='true'" if resume else "") + (f" max='{seconds}'" if seconds is not None else "")
        self.connection.write(f"<enable xmlns='{ns.SM}'{options}/>")
        answer = await self._sm_answer("enabled", "failed")
        assert name(answer) == "enabled", text(answer)
        self.sm_id = answer.get("id", "")
        return answer

    async def resume(self, address: str, mode: str = "plain", context=None, h: int | None = None) -> Element:
        """A new connection that goes on with the session. Gives <resumed/>, and sends again
        what the server has not; or <failed/>, with the stream still open."""
        await self.open(address, mode, context)
        await self.authenticate()
        return await self.resume_here(h)

    async def resume_here(self, h: int | None = None) -> Element:
        self.sm_answers.clear()
        self._attend()
        h = self.handled if h is None else h
        self.connection.write(f"<resume xmlns='{ns.SM}' h='{h}' previd='{escape(self.sm_id)}'/>")
        answer = await self._sm_answer("resumed", "failed")
        if name(answer) == "resumed":
            self.resumed_count += 1
            self._on_ack(int(answer.get("h")))
            for stanza in self.unacked:
                self.connection.write(stanza)
            self.has_session = True
        return answer

    def request_ack(self) -> None:
        self.connection.write(f"<r xmlns='{ns.SM}'/>")

    def send_ack(self, h: int | None = None) -> None:
        self.connection.write(f"<a xmlns='{ns.SM}' h='{self.handled if h is None else h}'/>")

    async def all_acked(self, seconds: float = BOUND) -> None:
        """Asks, and waits until the server has everything."""
        self.request_ack()
        await self._until(lambda: not self.unacked, f"<a/> for {len(self.unacked)} stanzas", seconds)

    def _on_ack(self, h: int) -> None:
        new = (h - self.acked) % 2**32
        if new > len(self.unacked):
            raise WrongCount(f"{self.jid}: the server acknowledges {h}, after {self.acked} and with {len(self.unacked)} unacknowledged")
        for _ in range(new):
            self.unacked.popleft()
        self.acked = h

    async def _sm_answer(self, *names: str) -> Element:
        await self._until(lambda: any(name(e) in names for e in self.sm_answers), " or ".join(names))
        return next(e for e in self.sm_answers if name(e) in names)

    # ---- stanzas ----

    def send(self, stanza: str) -> None:
        """A stanza as text. With stream management it is kept until acknowledged."""
        if self.handled is not None:
            self.unacked.append(stanza)
        if self.has_session and not self.connection.closed:
            self.connection.write(stanza)

    def message(self, to: str, body: str, type_: str = "chat", id_: str = "", extra: str = "") -> str:
        id_ = id_ or f"m{next(_ids)}"
        type_ = f" type='{type_}'" if type_ else ""
        body = f"<body>{escape(body)}</body>" if body else ""
        self.send(f"<message xmlns='{ns.CLIENT}' to='{escape(to)}'{type_} id='{id_}'>{body}{extra}</message>")
        return id_

    def presence(self, to: str = "", type_: str = "", extra: str = "") -> None:
        to = f" to='{escape(to)}'" if to else ""
        type_ = f" type='{type_}'" if type_ else ""
        self.send(f"<presence xmlns='{ns.CLIENT}'{to}{type_}>{extra}</presence>")

    async def iq(self, type_: str, payload: str, to: str = "", seconds: float = BOUND) -> Element:
        """Gives the result; an error is raised."""
        id_ = f"q{next(_ids)}"
        to_ = f" to='{escape(to)}'" if to else ""
        self.send(f"<iq xmlns='{ns.CLIENT}' type='{type_}' id='{id_}'{to_}>{payload}</iq>")
        answer = await self.expect(
            lambda s: name(s) == "iq" and s.get("id") == id_ and s.get("type") in ("result", "error"),
            f"the answer to {payload}", seconds,
        )
        if answer.get("type") == "error":
            raise StanzaError(answer)
        return answer

    async def sync(self) -> None:
        """Everything the server had for us before this call has arrived after it: a ping goes
        the same way as our own stanzas."""
        try:
            await self.iq("get", f"<ping xmlns='{ns.PING}'/>", self.domain)
        except StanzaError:
            pass

    async def sync_through(self, bare: str) -> None:
        """What we sent to the user before this call has been routed, and what was answered to it
        is here: an IQ to the account goes the same way, and is always answered."""
        try:
            await self.iq("get", "<query xmlns='urn:example:behind'/>", bare)
        except StanzaError:
            pass

    async def available(self, extra: str = "") -> None:
        """Initial presence, until it has come back."""
        self.presence(extra=extra)
        await self.expect(
            lambda s: name(s) == "presence" and s.get("from") == self.jid and not s.get("type"), "our own presence"
        )

    async def expect(self, matches, what: str = "a stanza", seconds: float = BOUND) -> Element:
        """Takes the first stanza that matches out of the inbox, waiting for it."""
        found: list[int] = []

        def look() -> bool:
            for index, stanza in enumerate(self.inbox):
                if matches(stanza):
                    found.append(index)
                    return True
            return False

        await self._until(look, what, seconds)
        return self.inbox.pop(found[0])

    async def expect_message(self, body: str, seconds: float = BOUND) -> Element:
        return await self.expect(
            lambda s: name(s) == "message" and s.findtext(f"{{{ns.CLIENT}}}body") == body, f"the message {body!r}", seconds
        )

    async def expect_presence(self, from_: str, type_: str = "", seconds: float = BOUND) -> Element:
        return await self.expect(
            lambda s: name(s) == "presence" and s.get("from") == from_ and s.get("type", "") == type_,
            f"presence {type_} of {from_}", seconds,
        )

    def has(self, matches) -> bool:
        return any(matches(stanza) for stanza in self.inbox)

    def bodies(self) -> list[str]:
        return [b for s in self.inbox if name(s) == "message" and (b := s.findtext(f"{{{ns.CLIENT}}}body")) is not None]

    # ---- the end ----

    async def close(self) -> None:
        self.handled = None
        if self.connection:
            await self.connection.close()

    def abort(self) -> None:
        if self.connection:
            self.connection.abort()

    # ---- inside ----

    def _attend(self) -> None:
        """From now on elements come here."""
        self.connection.on_element = self._on_element
        self.connection.on_closed = self._changed.set
        while self.connection.elements:
            self._on_element(self.connection.elements.popleft())

    def _on_element(self, element: Element) -> None:
        tag = element.tag
        if tag.startswith("{jabber:client}"):
            if self.handled is not None:
                self.handled = (self.handled + 1) % 2**32
            if self.on_stanza:
                self.on_stanza(element)
            else:
                self.inbox.append(element)
        elif tag == f"{{{ns.SM}}}r":
            if self.answers_requests:
                self.send_ack()
        elif tag == f"{{{ns.SM}}}a":
            self._on_ack(int(element.get("h")))
        elif tag.startswith(f"{{{ns.SM}}}"):
            if tag == f"{{{ns.SM}}}enabled":
                self.handled = 0
            self.sm_answers.append(element)
        else:
            self.inbox.append(element)
        self._changed.set()

    async def _until(self, condition, what: str, seconds: float = BOUND) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if self.connection.error:
                raise self.connection.error
            if self.connection.closed:
                raise Disconnected(f"{self.bare}: connection lost while waiting for {what}")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                waiting = " ".join(text(s)[:300] for s in self.inbox[-5:])
                raise AssertionError(f"{self.bare}: waited in vain for {what}; last in the inbox: {waiting or 'nothing'}") from None


def trusting(ca_file: str) -> ssl.SSLContext:
    """A TLS context that trusts the cluster's authority only."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
