"""XEP-0280: who gets copies of what, and what is never copied."""

from harness import ns
from harness.cluster import Cluster
from harness.people import another, body_of, is_message, leave, person
from harness.runner import scenario
from harness.xml import child, text


async def _enable(*clients) -> None:
    for client in clients:
        await client.iq("set", f"<enable xmlns='{ns.CARBONS}'/>")


def _carbon(stanza) -> tuple[str, str] | None:
    """(sent or received, body)."""
    for kind in ("sent", "received"):
        wrapper = child(stanza, ns.CARBONS, kind)
        if wrapper is not None:
            inner = wrapper.find(f"{{{ns.FORWARD}}}forwarded/{{{ns.CLIENT}}}message")
            return kind, body_of(inner) or ""
    return None


async def _three(cluster: Cluster):
    """ann, and bob's phone and desk, both with carbons on."""
    ann, phone = await person(cluster, "ann"), await person(cluster, "bob", "gateway/1")
    desk = await another(cluster, phone, "gateway/2")
    await _enable(phone, desk)
    return ann, phone, desk


@scenario
async def received_and_sent(cluster: Cluster) -> None:
    ann, phone, desk = await _three(cluster)
    ann.message(phone.jid, "to the phone")
    await phone.expect_message("to the phone")
    copy = await desk.expect(lambda s: _carbon(s) == ("received", "to the phone"))
    assert copy.get("from") == phone.bare and copy.get("to") == desk.jid and copy.get("type") == "chat", text(copy)
    phone.message(ann.jid, "from the phone")
    await ann.expect_message("from the phone")
    copy = await desk.expect(lambda s: _carbon(s) == ("sent", "from the phone"))
    assert copy.get("from") == phone.bare and copy.get("to") == desk.jid, text(copy)
    inner = child(copy, ns.CARBONS, "sent").find(f"{{{ns.FORWARD}}}forwarded/{{{ns.CLIENT}}}message")
    assert inner.get("from") == phone.jid and inner.get("to") == ann.jid, text(copy)
    await phone.sync()
    assert not phone.has(lambda s: _carbon(s) is not None), "a copy of its own message"
    await leave(ann, phone, desk)


@scenario
async def to_the_bare_jid_each_gets_one(cluster: Cluster) -> None:
    ann, phone, desk = await _three(cluster)
    ann.message(phone.bare, "to both")
    for client in (phone, desk):
        await client.expect(lambda s: is_message(s) and (body_of(s) == "to both" or _carbon(s) == ("received", "to both")))
        await client.sync()
        assert not client.has(is_message), [text(s) for s in client.inbox]
    await leave(ann, phone, desk)


@scenario
async def what_is_copied(cluster: Cluster) -> None:
    ann, phone, desk = await _three(cluster)
    ann.message(phone.jid, "private", extra=f"<private xmlns='{ns.CARBONS}'/>")
    ann.message(phone.jid, "no copy", extra=f"<no-copy xmlns='{ns.HINTS}'/>")
    ann.message(phone.jid, "news", type_="headline")
    ann.message(phone.jid, "room", type_="groupchat")
    ann.message(phone.jid, "normal", type_="")
    ann.message(phone.jid, "", extra=f"<composing xmlns='{ns.CHAT_STATES}'/>")
    ann.message(phone.jid, "the last")
    await desk.expect(lambda s: _carbon(s) == ("received", "normal"))
    await desk.expect(lambda s: _carbon(s) == ("received", "the last"))
    await desk.sync()
    copied = [c for s in desk.inbox if (c := _carbon(s))]
    assert copied == [("received", "")], f"beside the chat state: {copied}"
    got = await phone.expect_message("private")
    assert child(got, ns.CARBONS, "private") is None, "<private/> is taken away on delivery"
    await leave(ann, phone, desk)


@scenario
async def only_those_who_asked(cluster: Cluster) -> None:
    ann, phone, desk = await _three(cluster)
    await desk.iq("set", f"<disable xmlns='{ns.CARBONS}'/>")
    ann.message(phone.jid, "not for the desk")
    await phone.expect_message("not for the desk")
    ann.message(desk.jid, "a mark")
    await desk.expect_message("a mark")
    assert not desk.has(lambda s: _carbon(s) is not None)
    await phone.expect(lambda s: _carbon(s) == ("received", "a mark"))
    await leave(ann, phone, desk)


@scenario
async def errors_follow_the_original(cluster: Cluster) -> None:
    ann, phone, desk = await _three(cluster)
    phone.message(f"{ann.bare}/nowhere", "to an absent one", type_="")
    await desk.expect(lambda s: _carbon(s) == ("sent", "to an absent one"))
    # Whether it bounces is the server's choice (RFC 6121 section 8.5.3.2.1); a copy is never forged by others.
    ann.send(
        f"<message xmlns='{ns.CLIENT}' to='{desk.jid}' type='chat' id='forged'><received xmlns='{ns.CARBONS}'><forwarded xmlns='{ns.FORWARD}'>"
        f"<message xmlns='{ns.CLIENT}' from='{phone.bare}' to='{desk.jid}'><body>forged</body></message></forwarded></received></message>"
    )
    got = await desk.expect(lambda s: s.get("id") == "forged" or _carbon(s) == ("received", "forged"))
    assert got.get("from") != desk.bare, text(got)
    await leave(ann, phone, desk)
