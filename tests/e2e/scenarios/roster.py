"""Rosters and subscriptions: RFC 6121 sections 2, 3 and appendix A."""

from harness import ns
from harness.client import Client, StanzaError, error_of
from harness.cluster import Cluster
from harness.people import account, another, befriend, interested, leave, pair, person, unique
from harness.runner import scenario
from harness.xml import child, escape, name, text

ITEM = f"{{{ns.ROSTER}}}item"


async def _set(client: Client, jid: str, name_: str = "", groups: tuple[str, ...] = (), extra: str = "", to: str = "") -> None:
    groups_ = "".join(f"<group>{escape(g)}</group>" for g in groups)
    name_ = f" name='{escape(name_)}'" if name_ else ""
    await client.iq("set", f"<query xmlns='{ns.ROSTER}'><item jid='{escape(jid)}'{name_}{extra}>{groups_}</item></query>", to)


async def _condition(work) -> str:
    try:
        await work
    except StanzaError as error:
        return error.condition
    return ""


def _is_push(stanza, jid: str = "") -> bool:
    query = child(stanza, ns.ROSTER, "query")
    return name(stanza) == "iq" and stanza.get("type") == "set" and query is not None and (not jid or query[0].get("jid") == jid)


async def _push(client: Client, jid: str):
    """The next push about `jid`, answered."""
    stanza = await client.expect(lambda s: _is_push(s, jid), f"a push of {jid}")
    assert stanza.get("from", client.bare) == client.bare, text(stanza)
    client.send(f"<iq xmlns='{ns.CLIENT}' type='result' id='{escape(stanza.get('id'))}'/>")
    return child(stanza, ns.ROSTER, "query")


async def _item(client: Client, jid: str) -> dict | None:
    for item in await interested(client):
        if item.get("jid") == jid:
            return dict(item.attrib) | {"groups": sorted(g.text for g in item)}
    return None


@scenario
async def set_push_change_remove(cluster: Cluster) -> None:
    phone = await person(cluster, "roster")
    desk = await another(cluster, phone)
    stranger_to_roster = await another(cluster, phone, "gateway/1")
    assert len(await interested(phone)) == 0 and len(await interested(desk)) == 0
    friend = f"{unique('friend')}@{phone.domain}"
    await _set(phone, friend, "Friend & <co>", ("A", "B"))
    for client in (phone, desk):
        item = (await _push(client, friend))[0]
        assert item.get("name") == "Friend & <co>" and item.get("subscription") == "none", text(item)
        assert sorted(g.text for g in item) == ["A", "B"], text(item)
    assert await _item(desk, friend) == {"jid": friend, "name": "Friend & <co>", "subscription": "none", "groups": ["A", "B"]}
    await _set(desk, friend, "", ())
    for client in (phone, desk):
        item = (await _push(client, friend))[0]
        assert item.get("name", "") == "" and len(item) == 0, text(item)
    await _set(phone, friend, extra=" subscription='remove'")
    for client in (phone, desk):
        assert (await _push(client, friend))[0].get("subscription") == "remove"
    assert await _item(phone, friend) is None
    await stranger_to_roster.sync()
    assert not stranger_to_roster.has(_is_push), "a push to one who never asked for the roster"
    await leave(phone, desk, stranger_to_roster)


@scenario
async def what_a_set_must_not_do(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    friend = f"{unique('friend')}@{ann.domain}"
    assert await _condition(_set(ann, friend, to=bob.bare)) in ("forbidden", "not-allowed", "service-unavailable")
    assert await _condition(ann.iq("get", f"<query xmlns='{ns.ROSTER}'/>", bob.bare)) in ("forbidden", "not-allowed", "service-unavailable")
    two = f"<query xmlns='{ns.ROSTER}'><item jid='{friend}'/><item jid='x{friend}'/></query>"
    assert await _condition(ann.iq("set", two)) == "bad-request"
    assert await _condition(ann.iq("set", f"<query xmlns='{ns.ROSTER}'/>")) == "bad-request"
    assert await _condition(_set(ann, friend, groups=("twice", "twice"))) == "bad-request"
    assert await _condition(_set(ann, friend, groups=("",))) == "not-acceptable"
    for size in (1024, 5000):
        assert await _condition(_set(ann, friend, "n" * size)) == "not-acceptable"
        assert await _condition(_set(ann, friend, groups=("g" * size,))) == "not-acceptable"
    assert await _condition(_set(ann, "a b@c", "x")) in ("jid-malformed", "bad-request")
    assert await _condition(_set(ann, friend, extra=" subscription='remove'")) == "item-not-found"
    # `ask` and any subscription but remove are ignored.
    await _set(ann, friend, extra=" subscription='both' ask='subscribe'")
    assert await _item(ann, friend) == {"jid": friend, "subscription": "none", "groups": []}
    # As long as they may be.
    await _set(ann, friend, "n" * 1023, ("g" * 1023,))
    assert await _item(ann, friend) == {"jid": friend, "subscription": "none", "name": "n" * 1023, "groups": ["g" * 1023]}
    await leave(ann, bob)


@scenario
async def versions(cluster: Cluster) -> None:
    ann = await person(cluster, "version")
    empty = await ann.iq("get", f"<query xmlns='{ns.ROSTER}' ver=''/>")
    version = empty[0].get("ver")
    assert version is not None, text(empty)
    friend = f"{unique('friend')}@{ann.domain}"
    await _set(ann, friend)
    pushed = await _push(ann, friend)
    assert pushed.get("ver") and pushed.get("ver") != version, text(pushed)
    # The newest is known: an empty result, or pushes of what changed and no more.
    current = await ann.iq("get", f"<query xmlns='{ns.ROSTER}' ver='{escape(pushed.get('ver'))}'/>")
    assert child(current, ns.ROSTER, "query") is None, text(current)
    old = await ann.iq("get", f"<query xmlns='{ns.ROSTER}' ver='{escape(version)}'/>")
    query = child(old, ns.ROSTER, "query")
    if query is None:
        await _push(ann, friend)
    else:
        assert query.get("ver") == pushed.get("ver") and query[0].get("jid") == friend, text(old)
    await ann.close()


@scenario
async def subscription_from_none_to_both_and_back(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await interested(ann), await interested(bob)
    ann.presence(bob.bare, "subscribe")
    item = (await _push(ann, bob.bare))[0]
    assert (item.get("subscription"), item.get("ask")) == ("none", "subscribe"), text(item)
    request = await bob.expect_presence(ann.bare, "subscribe")
    assert request.get("to") == bob.bare, text(request)
    await bob.sync()
    assert not bob.has(lambda s: _is_push(s, ann.bare)), "a request received is not in the roster"
    bob.presence(ann.bare, "subscribed")
    item = (await _push(bob, ann.bare))[0]
    assert (item.get("subscription"), item.get("ask")) == ("from", None), text(item)
    await ann.expect_presence(bob.bare, "subscribed")
    item = (await _push(ann, bob.bare))[0]
    assert (item.get("subscription"), item.get("ask")) == ("to", None), text(item)
    await ann.expect_presence(bob.jid)
    bob.presence(ann.bare, "subscribe")
    await _push(bob, ann.bare)
    await ann.expect_presence(bob.bare, "subscribe")
    ann.presence(bob.bare, "subscribed")
    assert (await _push(ann, bob.bare))[0].get("subscription") == "both"
    await bob.expect_presence(ann.bare, "subscribed")
    assert (await _push(bob, ann.bare))[0].get("subscription") == "both"
    await bob.expect_presence(ann.jid)
    # Ann does not want bob's presence any more.
    ann.presence(bob.bare, "unsubscribe")
    assert (await _push(ann, bob.bare))[0].get("subscription") == "from"
    await bob.expect_presence(ann.bare, "unsubscribe")
    assert (await _push(bob, ann.bare))[0].get("subscription") == "to"
    await ann.expect_presence(bob.jid, "unavailable")
    # And takes hers away.
    ann.presence(bob.bare, "unsubscribed")
    assert (await _push(ann, bob.bare))[0].get("subscription") == "none"
    await bob.expect_presence(ann.bare, "unsubscribed")
    assert (await _push(bob, ann.bare))[0].get("subscription") == "none"
    await bob.expect_presence(ann.jid, "unavailable")
    await leave(ann, bob)


@scenario
async def request_is_shown_until_it_is_answered(cluster: Cluster) -> None:
    ann, bob = await person(cluster, "ann"), await account(cluster, "bob")
    ann.presence(bob.bare, "subscribe", extra="<status>it's me</status>")
    await ann.sync()
    for gateway in ("gateway/1", "gateway/2"):
        await bob.login(cluster.address(gateway))
        await bob.available()
        request = await bob.expect_presence(ann.bare, "subscribe")
        assert request.findtext(f"{{{ns.CLIENT}}}status") == "it's me", text(request)
        await bob.close()
    await bob.login(cluster.address("gateway/1"))
    await bob.available()
    await bob.expect_presence(ann.bare, "subscribe")
    bob.presence(ann.bare, "unsubscribed")
    await bob.sync()
    await bob.close()
    await bob.login(cluster.address("gateway/1"))
    await bob.available()
    await bob.sync()
    assert not bob.has(lambda s: s.get("type") == "subscribe"), "a request that was declined is shown again"
    await leave(ann, bob)


@scenario
async def a_subscription_says_no_more_than_4_kib(cluster: Cluster) -> None:
    """A stranger's request is stored, and shown to every device again and again."""
    ann, bob = await pair(cluster)

    def say(type_: str, size: int) -> None:
        ann.send(f"<presence xmlns='{ns.CLIENT}' id='{type_}' type='{type_}' to='{bob.bare}'><status>{'x' * size}</status></presence>")

    for type_ in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
        say(type_, 4097)
        answer = await ann.expect(lambda s: name(s) == "presence" and s.get("id") == type_ and s.get("type") == "error", f"an error for {type_}")
        assert error_of(answer)[1] == "policy-violation", text(answer)
    await ann.sync_through(bob.bare)
    await bob.sync()
    assert not bob.has(lambda s: s.get("from") == ann.bare), [text(s)[:200] for s in bob.inbox]
    assert await _item(ann, bob.bare) is None, "refused, and noted in the roster all the same"
    say("subscribe", 4000)
    request = await bob.expect_presence(ann.bare, "subscribe")
    assert request.findtext(f"{{{ns.CLIENT}}}status") == "x" * 4000, text(request)[:200]
    await leave(ann, bob)


@scenario
async def pre_approval(cluster: Cluster) -> None:
    """RFC 6121 section 3.4."""
    ann, bob = await pair(cluster)
    await interested(ann), await interested(bob)
    bob.presence(ann.bare, "subscribed")
    item = (await _push(bob, ann.bare))[0]
    assert (item.get("subscription"), item.get("approved")) == ("none", "true"), text(item)
    await ann.sync()
    assert not ann.has(lambda s: s.get("type") == "subscribed"), "a pre-approval is nobody else's matter"
    ann.presence(bob.bare, "subscribe")
    await ann.expect_presence(bob.bare, "subscribed")
    await ann.expect_presence(bob.jid)
    assert (await _push(bob, ann.bare))[0].get("subscription") == "from"
    await bob.sync()
    assert not bob.has(lambda s: s.get("type") == "subscribe"), "asked although approved"
    await leave(ann, bob)


@scenario
async def removal_ends_both_directions(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    await _set(ann, bob.bare, extra=" subscription='remove'")
    await bob.expect_presence(ann.bare, "unsubscribe")
    await bob.expect_presence(ann.bare, "unsubscribed")
    await bob.expect_presence(ann.jid, "unavailable")
    await ann.expect_presence(bob.jid, "unavailable")
    item = await _item(bob, ann.bare)
    assert item is not None and item["subscription"] == "none", item
    assert await _item(ann, bob.bare) is None
    await leave(ann, bob)


@scenario
async def what_changes_nothing_is_silent(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    await ann.sync(), await bob.sync()
    ann.inbox.clear(), bob.inbox.clear()
    ann.presence(bob.bare, "subscribed")
    ann.presence(bob.bare, "subscribe")
    bob.presence(unique("stranger") + "@" + bob.domain, "unsubscribed")
    await ann.sync(), await bob.sync(), await ann.sync()
    for client in (ann, bob):
        assert not client.has(lambda s: s.get("type") in ("subscribed", "unsubscribed")), [text(s) for s in client.inbox]
    assert not bob.has(lambda s: s.get("type") == "subscribe"), "already subscribed: answered for bob, not shown to him"
    await leave(ann, bob)
