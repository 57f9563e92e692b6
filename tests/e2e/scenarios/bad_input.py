"""Input that is wrong or hostile: refused with the protocol's own error, and nobody else notices."""

import asyncio
import base64

from harness import ns
from harness.client import Client, Disconnected, StanzaError, connect, error_of
from harness.cluster import Cluster
from harness.people import account, leave, pair, person, unique
from harness.runner import scenario
from harness.wait import until
from harness.websocket import encode
from harness.xml import name, text


async def _alive(cluster: Cluster) -> None:
    """Every process that ran still runs, and people can talk."""
    for service in ("gateway", "session-manager", "roster", "muc", "search"):
        for instance in cluster.instances(service):
            assert cluster.alive(instance), f"{instance} died"
    ann, bob = await pair(cluster)
    ann.message(bob.bare, "still working")
    await bob.expect_message("still working")
    await leave(ann, bob)


async def _stream_error(cluster: Cluster, data: str | bytes, mode: str = "plain", signed_in: bool = True) -> str:
    """What a stream is ended with after `data`."""
    if signed_in:
        client = await person(cluster, "bad", available=False)
        connection = client.connection
    else:
        connection = await connect(cluster.domain, cluster.address("gateway/1", "websocket" if mode == "ws" else "xmpp"), mode)
        connection.open_stream()
        await connection.features()
    connection.write(data)
    try:
        condition = await connection.wait_error()
        await connection.wait_closed()
    except AssertionError as error:
        raise AssertionError(f"{data[:80]!r}: {error}") from None
    return condition


MALFORMED = (
    ("<message><body>unclosed</message>", ("not-well-formed",)),
    ("<message to='a' to='b'/>", ("not-well-formed",)),
    ("<message to=unquoted/>", ("not-well-formed",)),
    ("<unknown:message/>", ("not-well-formed", "bad-namespace-prefix")),
    ("<message>&undefined;</message>", ("not-well-formed", "restricted-xml")),
    ("<message>&#0;</message>", ("not-well-formed",)),
    ("<message>\x01</message>", ("not-well-formed",)),
    ("</wrong>", ("not-well-formed",)),
    ("plain text between stanzas", ("not-well-formed", "bad-format", "unsupported-stanza-type", "invalid-xml")),
    ("<!-- a comment -->", ("restricted-xml",)),
    ("<?instruction of='processing'?>", ("restricted-xml",)),
    ("<!DOCTYPE x [<!ENTITY e 'e'>]>", ("restricted-xml", "not-well-formed")),
    ("<message><!-- inside --></message>", ("restricted-xml",)),
    ("<message><![CDATA[fine]]></message><message>&lt;<</message>", ("not-well-formed",)),
    (b"<message><body>\xff\xfe</body></message>", ("not-well-formed", "unsupported-encoding", "invalid-xml")),
    (b"<message><body>\xc0\xaf</body></message>", ("not-well-formed", "unsupported-encoding", "invalid-xml")),
    (b"<message><body>\xed\xa0\x80</body></message>", ("not-well-formed", "unsupported-encoding", "invalid-xml")),
    (b"<message><body>\xf4\x90\x80\x80</body></message>", ("not-well-formed", "unsupported-encoding", "invalid-xml")),
    (b"\x00\x00\x00\x00", ("not-well-formed", "invalid-xml")),
    ("<?xml version='1.0'?>", ("not-well-formed", "restricted-xml")),
    ("<stream:stream/>", ("not-well-formed", "unsupported-stanza-type", "bad-format", "invalid-namespace", "invalid-xml", "not-authorized")),
    ("<nonsense xmlns='urn:example'/>", ("unsupported-stanza-type",)),
    ("<message xmlns='jabber:server'/>", ("unsupported-stanza-type", "invalid-namespace")),
)


@scenario(seconds=120)
async def malformed_xml(cluster: Cluster) -> None:
    for data, allowed in MALFORMED:
        condition = await _stream_error(cluster, data)
        assert condition in allowed, f"{data!r}: {condition or 'no error'}"
    await _alive(cluster)


@scenario(seconds=120)
async def malformed_xml_before_sign_in(cluster: Cluster) -> None:
    for data, allowed in MALFORMED:
        condition = await _stream_error(cluster, data, signed_in=False)
        assert condition in (*allowed, "not-authorized"), f"{data!r}: {condition or 'no error'}"


@scenario
async def malformed_websocket(cluster: Cluster) -> None:
    good = f"<message xmlns='{ns.CLIENT}'/>"
    frames = (
        b"\x81\x05hello",  # not masked
        encode(3, b"reserved"),
        encode(1, b"\xff\xfe\xfd"),
        encode(2, good.encode()),
        bytes([0xC1]) + encode(1, good.encode())[1:],  # RSV1 without an extension
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff" + b"mask",
        encode(9, b"p" * 126),  # a control frame of more than 125 bytes
        encode(0, b"continues nothing"),
        encode(1, good.encode() + good.encode()),  # two stanzas in one message
        encode(1, b"<message xmlns='jabber:client'><body>half"),
        encode(1, b""),
    )
    for frame in frames:
        connection = await connect(cluster.domain, cluster.address("gateway/1", "websocket"), "ws")
        connection.open_stream()
        await connection.features()
        connection.transport.write(frame)
        await connection.wait_closed(30)
    await _alive(cluster)


@scenario
async def entity_bombs(cluster: Cluster) -> None:
    laughs = "<!DOCTYPE lolz [<!ENTITY a 'lol'>" + "".join(
        f"<!ENTITY {chr(98 + n)} '{('&' + chr(97 + n) + ';') * 10}'>" for n in range(10)
    ) + "]><message><body>&k;</body></message>"
    before = cluster.memory("gateway/1")
    for signed_in in (True, False):
        assert await _stream_error(cluster, laughs, signed_in=signed_in) in ("restricted-xml", "not-well-formed")
    connection = await connect(cluster.domain, cluster.address("gateway/1"))
    connection.write("<?xml version='1.0'?>" + laughs)
    assert await connection.wait_error() in ("restricted-xml", "not-well-formed")
    external = "<?xml version='1.0'?><!DOCTYPE s SYSTEM 'file:///etc/passwd'><stream:stream/>"
    connection = await connect(cluster.domain, cluster.address("gateway/1"))
    connection.write(external)
    assert await connection.wait_error() in ("restricted-xml", "not-well-formed")
    assert cluster.memory("gateway/1") - before < 50 * 2**20
    await _alive(cluster)


@scenario
async def too_deep_too_many_too_large(cluster: Cluster) -> None:
    limits = ("policy-violation", "not-well-formed", "resource-constraint", "bad-format", "invalid-xml")
    attributes = " ".join(f"a{n}='x'" for n in range(5000))
    namespaces = " ".join(f"xmlns:n{n}='urn:{n}'" for n in range(5000))
    for data in (
        "<message>" + "<a>" * 5000 + "</a>" * 5000 + "</message>",
        f"<message {attributes}/>",
        f"<message {namespaces}/>",
        f"<message id='{'i' * 2_000_000}'/>",
        f"<{'n' * 2_000_000}/>",
        "<message><body>" + "b" * 20_000_000 + "</body></message>",
        "<message>" + "<e/>" * 1_000_000 + "</message>",
        "<message><body>" + "&amp;" * 2_000_000 + "</body></message>",
    ):
        condition = await _stream_error(cluster, data)
        assert condition in limits, f"{data[:60]}: {condition or 'no error'}"
    for data in ("<message>" + "<a>" * 500 + "</a>" * 500 + "</message>", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + "A" * 2_000_000 + "</auth>"):
        condition = await _stream_error(cluster, data, signed_in=False)
        assert condition in (*limits, "not-authorized"), f"{data[:60]}: {condition or 'no error'}"
    await _alive(cluster)


@scenario
async def a_stanza_as_large_as_allowed(cluster: Cluster) -> None:
    """What <limits/> says is taken, in one piece and in many."""
    ann, bob = await pair(cluster)
    limit = int(ann.features.find(f"{{{ns.LIMITS}}}limits").findtext(f"{{{ns.LIMITS}}}max-bytes"))
    body = "b" * (limit - 400)
    ann.message(bob.bare, body)
    await bob.expect_message(body)
    stanza = f"<message to='{bob.bare}' type='chat'><body>Grüße 💌 in pieces</body></message>".encode()
    for byte in stanza:
        ann.connection.write(bytes([byte]))
        await asyncio.sleep(0)
    await bob.expect_message("Grüße 💌 in pieces")
    await leave(ann, bob)


@scenario
async def forged_from(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    for forged in (bob.bare, bob.jid, cluster.domain, f"{ann.bare}/another", "a@@b"):
        mallory = await person(cluster, "mallory")
        mallory.connection.write(f"<message xmlns='{ns.CLIENT}' from='{forged}' to='{bob.bare}'><body>forged</body></message>")
        condition = await mallory.connection.wait_error()
        assert condition == "invalid-from", f"{forged}: {condition or 'no error'}"
    await bob.sync()
    assert "forged" not in bob.bodies()
    await leave(ann, bob)


@scenario
async def bad_addresses(cluster: Cluster) -> None:
    ann = await person(cluster, "ann")
    long = "a" * 1024
    for to in ("@", "a@", "@b", "a@b@c", "a b@localhost", f"{long}@localhost", f"a@{long}", f"a@localhost/{long}", "a@-b-.c",
               "a@b..c", "\u200b@localhost", "a@localhost/", "<&>@localhost", "a@\u2028"):
        escaped = to.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        ann.send(f"<message xmlns='{ns.CLIENT}' to='{escaped}' id='bad'><body>x</body></message>")
        answer = await ann.expect(lambda s: s.get("id") == "bad", f"an answer for {to!r}")
        assert answer.get("type") == "error" and error_of(answer)[1] == "jid-malformed", f"{to!r}: {text(answer)}"
    # The stream lives on, and addresses that only look strange work.
    bob = await person(cluster, "bob", "gateway/2")
    ann.message(f"{bob.user.upper()}@LOCALHOST", "shouted")
    await bob.expect_message("shouted")
    await leave(ann, bob)


@scenario
async def bad_resources(cluster: Cluster) -> None:
    user = await account(cluster, "resource")
    for resource, good in (("x" * 1024, False), ("naïve ☃ /@ resource", True), ("a&<>'", True), ("\u061c\u2028", False)):
        client = Client(cluster.domain, user.user, resource=resource)
        await client.open(cluster.address("gateway/1"))
        await client.authenticate()
        try:
            await client.bind()
            assert good or client.jid.partition("/")[2] != resource, f"{resource[:20]!r} was bound"
        except StanzaError as error:
            assert not good and error.condition in ("bad-request", "jid-malformed", "not-acceptable"), error
        client.abort()


@scenario
async def stanzas_too_early(cluster: Cluster) -> None:
    user = await account(cluster, "early")
    stanza = f"<message xmlns='{ns.CLIENT}' to='{user.bare}'><body>early</body></message>"
    assert await _stream_error(cluster, stanza, signed_in=False) == "not-authorized"
    client = await Client(cluster.domain, user.user).open(cluster.address("gateway/1"))
    await client.authenticate()
    client.connection.write(stanza)
    assert await client.connection.wait_error() == "not-authorized"
    # SASL again, after it has succeeded.
    client = await Client(cluster.domain, user.user).login(cluster.address("gateway/1"))
    client.connection.write(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{base64.b64encode(b'x').decode()}</auth>")
    assert await client.connection.wait_error() != "" or client.connection.closed
    # Two resources on one stream.
    client = await Client(cluster.domain, user.user).login(cluster.address("gateway/1"))
    try:
        await client.iq("set", f"<bind xmlns='{ns.BIND}'/>")
        raise AssertionError("a second resource was bound")
    except (StanzaError, Disconnected):
        pass
    client.abort()
    await client.login(cluster.address("gateway/2"))
    await client.available()
    assert "early" not in client.bodies()
    await client.close()


@scenario
async def resumption_of_another_users_stream(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await ann.enable()
    mallory = await account(cluster, "mallory")
    for gateway in ("gateway/1", "gateway/2"):
        await mallory.open(cluster.address(gateway))
        await mallory.authenticate()
        mallory.connection.write(f"<resume xmlns='{ns.SM}' h='0' previd='{ann.sm_id}'/>")
        answer = await mallory.connection.next()
        assert name(answer) == "failed" and answer[0].tag.endswith("item-not-found"), text(answer)
        mallory.abort()
    bob.message(ann.jid, "mine alone")
    await ann.expect_message("mine alone")
    assert not ann.connection.closed
    await leave(ann, bob)


@scenario
async def type_values_that_do_not_exist(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    ann.send(f"<message xmlns='{ns.CLIENT}' to='{bob.bare}' type='nonsense'><body>as normal</body></message>")
    await bob.expect_message("as normal")
    ann.send(f"<iq xmlns='{ns.CLIENT}' to='{bob.jid}' type='nonsense' id='odd'><q xmlns='urn:x'/></iq>")
    answer = await ann.expect(lambda s: s.get("id") == "odd")
    assert error_of(answer)[1] == "bad-request", text(answer)
    ann.send(f"<iq xmlns='{ns.CLIENT}' to='{bob.jid}' type='get'><q xmlns='urn:x'/></iq>")
    answer = await ann.expect(lambda s: name(s) == "iq" and s.get("type") == "error", "an answer to an IQ without id")
    assert error_of(answer)[1] == "bad-request", text(answer)
    await leave(ann, bob)


@scenario
async def stanza_ids_of_every_size(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    for id_ in ("i" * 1023, "&lt;&quot;&apos;&amp;", "☃"):
        ann.send(f"<message xmlns='{ns.CLIENT}' to='{bob.bare}' id='{id_}' type='chat'><body>sized</body></message>")
        got = await bob.expect_message("sized")
        assert got.get("id") == id_.replace("&lt;", "<").replace("&quot;", '"').replace("&apos;", "'").replace("&amp;", "&"), text(got)[:200]
    await leave(ann, bob)


@scenario
async def a_stanza_that_grows_when_it_is_written_is_refused(cluster: Cluster) -> None:
    """Neither a victim's stream nor the log is given what escaping makes too large; the sender is told and goes on."""
    ann, bob = await pair(cluster)
    await ann.enable()
    await bob.enable()
    for number, (attributes, body, condition) in enumerate((
        (f'id="{"&apos;" * 40_000}"', "", "bad-request"),
        ('id="' + "'" * 250_000 + '"', "", "bad-request"),
        (f"id='{'i' * 1024}'", "", "bad-request"),
        (f"id='t1' type='{'t' * 5000}'", "", "bad-request"),
        (f"id='l1' xml:lang='{'l' * 5000}'", "", "bad-request"),
        ("id='b1'", ">" * 250_000, "policy-violation"),
    )):
        seen = len(ann.inbox)
        ann.send(f"<message xmlns='{ns.CLIENT}' to='{bob.bare}' {attributes}><body>large{body}</body></message>")
        await until(lambda seen=seen: len(ann.inbox) > seen, f"an answer to stanza {number}")
        kind, found = error_of(ann.inbox[-1])
        assert (kind, found) == ("modify", condition), f"stanza {number}: {kind} {found}"
    ann.message(bob.bare, "small again")
    await bob.expect_message("small again")
    # What was refused is counted like anything else.
    await ann.all_acked()
    assert not any("large" in body for body in bob.bodies())
    assert not bob.connection.closed and not ann.connection.closed
    await leave(ann, bob)


@scenario
async def http_that_has_no_end(cluster: Cluster) -> None:
    """Where HTTP comes before XMPP: a header that is too long is refused whatever it says; one that goes on and on costs neither
    memory nor the time that a sign-in may take."""
    host, _, port = cluster.address("gateway/1", "websocket").rpartition(":")
    before = highest = cluster.memory("gateway/1")

    async def watch() -> None:
        nonlocal highest
        while True:
            highest = max(highest, cluster.memory("gateway/1"))
            await asyncio.sleep(0.01)

    async def answer_to(piece: bytes, size: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        data = b"GET /xmpp-websocket HTTP/1.1\r\nHost: localhost\r\n" + piece * (size // len(piece))
        try:
            for at in range(0, len(data), 10_000):
                writer.write(data[at : at + 10_000])
                await writer.drain()
            return await reader.read()
        except ConnectionError:
            return b""  # Closed before all was taken.
        finally:
            writer.transport.abort()

    watching = asyncio.create_task(watch())
    for piece in (b"a: b\r\n", b"x"):
        answer = await asyncio.wait_for(answer_to(piece, 9_000), 10)
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")), answer[:100]
        # Earlier than the silent are sent away (half_open_before_sign_in).
        answers = await asyncio.wait_for(asyncio.gather(*(answer_to(piece, 2**20) for _ in range(50))), 10)
        assert all(not a or a.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")) for a in answers), answers
    watching.cancel()
    assert highest - before < 20 * 2**20, f"the gateway grew by {highest - before >> 20} MB for headers without end"
    await _alive(cluster)


@scenario
async def garbage_on_every_listener(cluster: Cluster) -> None:
    """Bytes that are of no protocol at all, also where only our own services should knock: whoever
    ends the stream after them has the connection closed."""
    garbage = (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x00" * 300, b"\x00" * 5000, bytes(range(256)) * 40, b"\n" * 100_000)
    targets = [cluster.address("gateway/1", listener) for listener in ("xmpp", "xmpp-tls", "websocket", "websocket-tls", "admin")]
    targets += [cluster.address(f"{service}/1", "rpc") for service in ("session-manager", "roster", "muc", "search")]
    for address in targets:
        host, _, port = address.rpartition(":")
        for data in garbage:
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(data)
                writer.write_eof()
                await asyncio.wait_for(reader.read(), 20)
            except OSError:
                pass  # Closed before all was taken.
            except asyncio.TimeoutError:
                raise AssertionError(f"{address} keeps a connection open after {data[:20]!r} and its end") from None
            finally:
                writer.close()
    await _alive(cluster)


@scenario
async def floods_of_stanzas_without_answers(cluster: Cluster) -> None:
    """Many requests at once are all answered; subscriptions to the many who do not exist do no harm."""
    ann = await person(cluster, "flood")
    for n in range(2000):
        ann.send(f"<iq xmlns='{ns.CLIENT}' type='get' id='f{n}' to='{ann.domain}'><ping xmlns='{ns.PING}'/></iq>")
    await until(lambda: sum(1 for s in ann.inbox if name(s) == "iq") >= 2000, "2000 answers", 30)
    ids = [s.get("id") for s in ann.inbox if name(s) == "iq"]
    assert len(set(ids)) == 2000, "an answer is missing or came twice"
    for n in range(300):
        ann.presence(f"{unique('nobody')}@{ann.domain}", "subscribe")
    await ann.sync()
    await leave(ann)
    await _alive(cluster)
