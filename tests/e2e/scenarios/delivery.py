"""RFC 6121 section 8.5: where a stanza goes, by the kind of its address and by who is there."""

import itertools

from harness import ns
from harness.client import error_of
from harness.cluster import Cluster
from harness.people import account, another, body_of, is_message, leave, person, priority_, unique
from harness.runner import scenario
from harness.xml import escape, name, text

TYPES = ("normal", "chat", "groupchat", "headline", "error")
_numbers = itertools.count(1)


class Outcome:
    """What became of one message: who got it, whether it bounced."""

    def __init__(self, receivers: set[str], error: str):
        self.receivers, self.error = receivers, error


async def _send(sender, type_: str, to: str, sessions: list) -> Outcome:
    """Sends one message and waits until everybody who could have got it would have: each
    asks the server for something behind it, on the same way."""
    body, id_ = f"body {next(_numbers)}", f"d{next(_numbers)}"
    type_ = "" if type_ == "normal" else f" type='{type_}'"
    sender.send(f"<message xmlns='{ns.CLIENT}' to='{escape(to)}' id='{id_}'{type_}><body>{body}</body></message>")
    await sender.sync()
    for session in sessions:
        # A message of our own behind it, by the same shard's log.
        mark = f"mark {next(_numbers)}"
        sender.message(session.jid, mark)
        await session.expect_message(mark)
    # An answer to the message comes back by the log, as the answer to an IQ behind it does.
    await sender.sync_through(to.partition("/")[0])
    got = set()
    for session in sessions:
        while session.has(lambda s: is_message(s) and body_of(s) == body):
            stanza = await session.expect(lambda s: is_message(s) and body_of(s) == body)
            assert stanza.get("to") == to, f"`to` was rewritten: {text(stanza)}"
            assert session.jid not in got, "delivered twice"
            got.add(session.jid)
    bounced = ""
    if sender.has(lambda s: name(s) == "message" and s.get("type") == "error" and s.get("id") == id_):
        answer = await sender.expect(lambda s: name(s) == "message" and s.get("type") == "error" and s.get("id") == id_)
        bounced = error_of(answer)[1]
    return Outcome(got, bounced)


def _check(situation: str, type_: str, outcome: Outcome, allowed: str, all_: set[str], best: set[str]) -> None:
    """`allowed`: letters of the table; D one, M best or all, A all, E error, S silence, O stored."""
    seen = "E" if outcome.error else "S" if not outcome.receivers else ""
    where = f"{situation}, type {type_}: got by {outcome.receivers or 'nobody'}, error {outcome.error or 'none'}; allowed: {allowed}"
    if seen == "E":
        assert "E" in allowed and outcome.error == "service-unavailable", where
    elif seen == "S":
        assert "S" in allowed or "O" in allowed, where
    else:
        assert not outcome.error, where
        fits = {"D": outcome.receivers == all_, "A": outcome.receivers == all_, "M": outcome.receivers in (all_, best)}
        assert any(fits.get(letter) for letter in allowed), where


async def _row(situation: str, sender, to: str, sessions: list, rules: tuple[str, ...], all_: list, best: list | None = None) -> None:
    jids = {s.jid for s in all_}
    for type_, allowed in zip(TYPES, rules):
        outcome = await _send(sender, type_, to, sessions)
        _check(situation, type_, outcome, allowed, jids, {s.jid for s in best} if best else jids)


@scenario
async def no_such_account(cluster: Cluster) -> None:
    ann = await person(cluster, "ann")
    bare = f"{unique('nobody')}@{ann.domain}"
    await _row("no account, bare", ann, bare, [], ("SE", "SE", "E", "S", "S"), [])
    await _row("no account, full", ann, f"{bare}/phone", [], ("SE", "SE", "SE", "S", "S"), [])
    await ann.close()


@scenario
async def nobody_available(cluster: Cluster) -> None:
    ann, bob = await person(cluster, "ann"), await account(cluster, "bob")
    await _row("nobody available, bare", ann, bob.bare, [], ("O", "O", "E", "S", "S"), [])
    await _row("nobody available, full", ann, f"{bob.bare}/phone", [], ("SE", "O", "SE", "S", "S"), [])
    # Two stored at the bare JID, and the chat message to a full JID (RFC 6121 section 8.5.3.2.1).
    await bob.login(cluster.address("gateway/2"))
    await bob.available()
    await bob.sync()
    stored = [s for s in bob.inbox if is_message(s)]
    assert len(stored) == 3 and [s.get("type", "normal") for s in stored] == ["normal", "chat", "chat"], [text(s) for s in stored]
    await leave(ann, bob)


@scenario
async def connected_but_not_available(cluster: Cluster) -> None:
    """A session without presence gets nothing by the bare JID."""
    ann = await person(cluster, "ann")
    bob = await person(cluster, "bob", "gateway/2", available=False)
    outcome = await _send(ann, "chat", bob.bare, [bob])
    assert not outcome.receivers and not outcome.error, vars(outcome)
    await _row("full JID of one without presence", ann, bob.jid, [bob], ("D", "D", "D", "D", "D"), [bob])
    await leave(ann, bob)


@scenario
async def only_negative_priorities(cluster: Cluster) -> None:
    ann, bob = await person(cluster, "ann"), await person(cluster, "bob", "gateway/2", priority=-1)
    await _row("negative, bare", ann, bob.bare, [bob], ("O", "O", "E", "S", "S"), [])
    await _row("negative, full match", ann, bob.jid, [bob], ("D", "D", "D", "D", "D"), [bob])
    # At priority 0 it may have what was stored.
    bob.presence(extra=priority_(0))
    await bob.expect_presence(bob.jid)
    await bob.sync()
    assert len(bob.bodies()) == 2, bob.bodies()
    await leave(ann, bob)


@scenario
async def one_available(cluster: Cluster) -> None:
    ann, bob = await person(cluster, "ann"), await person(cluster, "bob", "gateway/2")
    await _row("one, bare", ann, bob.bare, [bob], ("D", "D", "E", "D", "S"), [bob])
    await _row("one, full match", ann, bob.jid, [bob], ("D", "D", "D", "D", "D"), [bob])
    await _row("one, full without match", ann, f"{bob.bare}/nowhere", [bob], ("SE", "D", "SE", "SE", "S"), [bob])
    await leave(ann, bob)


@scenario
async def several_available(cluster: Cluster) -> None:
    ann, phone = await person(cluster, "ann"), await person(cluster, "bob", "gateway/1", priority=1)
    desk = await another(cluster, phone, "gateway/2", priority=5)
    asleep = await another(cluster, phone, "gateway/1", priority=-3)
    everybody = [phone, desk, asleep]
    await _row("several, bare", ann, phone.bare, everybody, ("M", "M", "E", "A", "S"), [phone, desk], [desk])
    await _row("several, full match", ann, asleep.jid, everybody, ("D", "D", "D", "D", "D"), [asleep])
    await _row("several, full without match", ann, f"{phone.bare}/nowhere", everybody, ("SE", "M", "SE", "SE", "S"), [phone, desk], [desk])
    await leave(ann, *everybody)


@scenario
async def to_oneself_and_without_to(cluster: Cluster) -> None:
    ann = await person(cluster, "self")
    ann.message(ann.bare, "to my account")
    await ann.expect_message("to my account")
    # Without `to` a message is for the sender's own bare JID (RFC 6120 section 10.3.1).
    ann.send(f"<message xmlns='{ns.CLIENT}' id='m'><body>to nobody</body></message>")
    await ann.expect_message("to nobody")
    await ann.close()


@scenario
async def from_is_stamped(cluster: Cluster) -> None:
    ann, bob = await person(cluster, "ann"), await person(cluster, "bob", "gateway/2")
    # Its own bare JID is allowed and becomes the full one.
    ann.send(f"<message xmlns='{ns.CLIENT}' to='{bob.jid}' from='{ann.bare}' type='chat'><body>mine</body></message>")
    got = await bob.expect_message("mine")
    assert got.get("from") == ann.jid, text(got)
    await leave(ann, bob)


@scenario
async def payload_arrives_unchanged(cluster: Cluster) -> None:
    ann, bob = await person(cluster, "ann"), await person(cluster, "bob", "gateway/2")
    payload = (
        "<body xml:lang='de'>Grüße &amp; &lt;Küsse&gt; 💌 &#x2603;\n\ttwo</body><subject>S</subject><thread parent='p'>t</thread>"
        "<x:data xmlns:x='urn:example:one' x:kind='a' plain='&quot;b&quot;'><y xmlns='urn:example:two'/> tail </x:data>"
    )
    ann.send(f"<message xmlns='{ns.CLIENT}' to='{bob.bare}' type='chat' id='pay' xml:lang='en'>{payload}</message>")
    got = await bob.expect(lambda s: s.get("id") == "pay")
    assert body_of(got) == "Grüße & <Küsse> 💌 ☃\n\ttwo", text(got)
    assert got.get("{http://www.w3.org/XML/1998/namespace}lang") == "en", text(got)
    data = got.find("{urn:example:one}data")
    assert data is not None and data.get("{urn:example:one}kind") == "a" and data.get("plain") == '"b"', text(got)
    assert data[0].tag == "{urn:example:two}y" and data[0].tail == " tail ", text(got)
    await leave(ann, bob)


@scenario
async def order_between_a_pair(cluster: Cluster) -> None:
    """Messages, presence and IQs of one pair keep their order (RFC 6120 section 10.1)."""
    ann, bob = await person(cluster, "ann"), await person(cluster, "bob", "gateway/2")
    for n in range(100):
        ann.message(bob.jid, f"{n}", id_=f"o{n}-a")
        ann.presence(bob.jid, extra=f"<status>{n}</status>")
        ann.send(f"<iq xmlns='{ns.CLIENT}' type='get' id='o{n}-c' to='{bob.jid}'><q xmlns='urn:example:order'/></iq>")
    await bob.expect(lambda s: s.get("id") == "o99-c")
    seen = []
    for stanza in bob.inbox:
        if stanza.get("from") == ann.jid:
            seen.append({"message": lambda s: f"{body_of(s)}a", "presence": lambda s: f"{s.findtext('{jabber:client}status')}b",
                         "iq": lambda s: s.get("id")[1:].replace("-", "")}[name(stanza)](stanza))
    wanted = [f"{n}{kind}" for n in range(100) for kind in "abc"][:-1]
    assert seen == wanted, f"out of order near {next((a, b) for a, b in zip(seen, wanted) if a != b) if seen != wanted[:len(seen)] else seen[-3:]}"
    await leave(ann, bob)


@scenario
async def foreign_domains(cluster: Cluster) -> None:
    ann = await person(cluster, "ann")
    ann.message("someone@elsewhere.example", "far away", id_="far")
    answer = await ann.expect(lambda s: s.get("id") == "far")
    assert answer.get("type") == "error" and error_of(answer)[1] in ("remote-server-not-found", "service-unavailable", "item-not-found"), text(answer)
    assert answer.get("from") == "someone@elsewhere.example", text(answer)
    await ann.close()
