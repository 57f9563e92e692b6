"""XEP-0054: what an account says of itself; and XEP-0153: what its presence says of the image in that."""

import asyncio
import base64
import hashlib

from harness import ns
from harness.client import Client, StanzaError
from harness.cluster import Cluster
from harness.people import account, another, befriend, leave, pair, person, unique
from harness.rooms import configure, enter
from harness.runner import scenario
from harness.stock import Slixmpp
from harness.wait import until
from harness.xml import Element, child, name, text

GET = f"<vCard xmlns='{ns.VCARD}'/>"
IMAGE, OTHER_IMAGE = b"not quite an image", b"nor is this"
# After this time strangers are refused.
REFUSED_AFTER_S = 0.05


def _vcard(fn: str = "", image: bytes = b"") -> str:
    photo = f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{base64.b64encode(image).decode()}</BINVAL></PHOTO>" if image else ""
    return f"<vCard xmlns='{ns.VCARD}'>{f'<FN>{fn}</FN>' if fn else ''}{photo}</vCard>"


def _hash(image: bytes) -> str:
    return hashlib.sha1(image).hexdigest()


def _name_in(answer: Element) -> str | None:
    return child(answer, ns.VCARD, "vCard").findtext(f"{{{ns.VCARD}}}FN")


def _avatar(presence: Element) -> str | None:
    """What it says of the avatar: a hash; empty: there is none. None: nothing."""
    update = child(presence, ns.VCARD_UPDATE, "x")
    photo = None if update is None else child(update, ns.VCARD_UPDATE, "photo")
    return None if photo is None else photo.text or ""


async def _expect_avatar(client: Client, of: str, avatar: str | None) -> None:
    presence = await client.expect_presence(of)
    assert _avatar(presence) == avatar, text(presence)


async def _refusal(work) -> tuple[str, str]:
    try:
        await work
    except StanzaError as error:
        return error.type, error.condition
    return "", ""


@scenario
async def ones_own_and_others(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    for to in (ann.domain, ann.bare):
        info = await ann.iq("get", f"<query xmlns='{ns.DISCO_INFO}'/>", to)
        assert ns.VCARD in [e.get("var") for e in info[0] if name(e) == "feature"], text(info)
    empty = await ann.iq("get", GET)
    assert len(child(empty, ns.VCARD, "vCard")) == 0, text(empty)
    await ann.iq("set", _vcard("Ann", IMAGE))
    assert _name_in(await ann.iq("get", GET)) == "Ann"
    # Strangers read it, whether or not Ann is there.
    answer = await bob.iq("get", GET, ann.bare)
    assert _name_in(answer) == "Ann" and answer.get("from") == ann.bare, text(answer)
    assert base64.b64decode(answer.findtext(f".//{{{ns.VCARD}}}BINVAL")) == IMAGE, text(answer)
    await ann.iq("set", _vcard("Ann Other"), ann.bare)
    await ann.close()
    assert _name_in(await bob.iq("get", GET, ann.bare)) == "Ann Other"
    # Who has none, nobody, and who has blocked the one who asks: all the same.
    carol, absent = await person(cluster, "carol"), await account(cluster, "absent")
    await carol.iq("set", _vcard("Carol"))
    await carol.iq("set", f"<block xmlns='{ns.BLOCKING}'><item jid='{bob.bare}'/></block>")
    clock = asyncio.get_running_loop().time
    for to in (absent.bare, f"{unique('nobody')}@{ann.domain}", carol.bare):
        since = clock()
        assert await _refusal(bob.iq("get", GET, to)) == ("cancel", "service-unavailable"), to
        assert clock() - since > REFUSED_AFTER_S - 0.001, f"{to}: {clock() - since}"
    for to in (absent.bare, f"{unique('nobody')}@{ann.domain}", carol.bare, ann.bare, ann.domain):
        assert await _refusal(bob.iq("set", _vcard("Fool"), to)) == ("auth", "forbidden"), to
    assert _name_in(await bob.iq("get", GET, ann.bare)) == "Ann Other"
    await leave(bob, carol)


@scenario
async def limits(cluster: Cluster) -> None:
    ann = await person(cluster, "ann")
    await ann.iq("set", _vcard("Ann", bytes(64 * 1024)))
    for refused, why in (
        (_vcard("Fool", bytes(64 * 1024 + 1)), ("modify", "policy-violation")),
        (_vcard("x" * 128 * 1024), ("modify", "policy-violation")),
        (f"<vCard xmlns='{ns.VCARD}'><PHOTO><BINVAL>?</BINVAL></PHOTO></vCard>", ("modify", "not-acceptable")),
    ):
        assert await _refusal(ann.iq("set", refused)) == why, refused[:100]
    assert _name_in(await ann.iq("get", GET)) == "Ann"
    await leave(ann)


@scenario
async def the_image_in_presence(cluster: Cluster) -> None:
    """Contacts and rooms see its hash though no client says it, and contacts see each change."""
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    phone = await another(cluster, ann)
    await bob.expect_presence(phone.jid)
    await bob.sync()
    bob.inbox.clear()
    await ann.iq("set", _vcard("Ann", IMAGE))
    for jid in (ann.jid, phone.jid):
        await _expect_avatar(bob, jid, _hash(IMAGE))
    ann.presence(extra="<show>away</show>")
    await _expect_avatar(bob, ann.jid, _hash(IMAGE))
    ann.presence(extra=f"<x xmlns='{ns.VCARD_UPDATE}'><photo>{_hash(OTHER_IMAGE)}</photo></x>")
    await _expect_avatar(bob, ann.jid, _hash(IMAGE))
    ann.presence(extra=f"<x xmlns='{ns.VCARD_UPDATE}'><photo/></x>")
    await _expect_avatar(bob, ann.jid, "")
    ann.presence(extra=f"<x xmlns='{ns.VCARD_UPDATE}'/>")
    await _expect_avatar(bob, ann.jid, _hash(IMAGE))
    late = await another(cluster, bob)
    await _expect_avatar(late, ann.jid, _hash(IMAGE))
    # In a room it comes with the presence that enters it, and the room asks the account for the vCard.
    room = f"{unique('vcards')}@conference.{cluster.domain}"
    await enter(ann, room, "ann")
    await configure(ann, room)
    await enter(bob, room, "bob")
    await ann.expect_presence(f"{room}/bob")
    carol = await person(cluster, "carol")
    carol.presence(f"{room}/carol", extra=f"<x xmlns='{ns.MUC}'/>")
    await _expect_avatar(carol, f"{room}/ann", _hash(IMAGE))
    await _expect_avatar(carol, f"{room}/bob", None)
    assert _name_in(await carol.iq("get", GET, f"{room}/ann")) == "Ann"
    # Another image, and none.
    bob.inbox.clear()
    await ann.iq("set", _vcard("Ann", OTHER_IMAGE))
    await _expect_avatar(bob, ann.jid, _hash(OTHER_IMAGE))
    await ann.iq("set", _vcard())
    await _expect_avatar(bob, ann.jid, "")
    await leave(phone, late)
    await leave(ann, bob, carol)


@scenario(seconds=120)
async def while_no_roster_service_runs(cluster: Cluster) -> None:
    """Nothing is acknowledged that is not stored, and clients are told to try again."""
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    await ann.iq("set", _vcard("Ann", IMAGE))
    await _expect_avatar(bob, ann.jid, _hash(IMAGE))
    for roster in ("roster/1", "roster/2"):
        cluster.kill(roster)
    type_, _ = await _refusal(ann.iq("set", _vcard("Ann Other", OTHER_IMAGE)))
    assert type_ == "wait", type_
    type_, _ = await _refusal(bob.iq("get", GET, ann.bare))
    assert type_ == "wait", type_
    # What is known is said all the same.
    ann.presence(extra="<show>away</show>")
    await _expect_avatar(bob, ann.jid, _hash(IMAGE))
    await cluster.up()

    async def is_set() -> bool:
        refusal = await _refusal(ann.iq("set", _vcard("Ann Other", OTHER_IMAGE)))
        assert refusal[0] in ("", "wait"), refusal
        return not refusal[0]

    await until(is_set, "a vCard is stored again", 60)
    await _expect_avatar(bob, ann.jid, _hash(OTHER_IMAGE))
    assert _name_in(await bob.iq("get", GET, ann.bare)) == "Ann Other"
    await leave(ann, bob)


@scenario
async def it_outlives_the_owner_and_goes_with_the_account(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    await ann.iq("set", _vcard("Ann", IMAGE))
    await _expect_avatar(bob, ann.jid, _hash(IMAGE))
    owner = (await cluster.all_owned())[cluster.shard(ann.bare)]
    cluster.kill("/".join(owner.rsplit("-", 1)))
    await cluster.up()
    await cluster.refresh()
    await cluster.all_owned()
    bob.inbox.clear()
    ann.presence(extra="<show>dnd</show>")
    presence = await bob.expect(
        lambda s: s.get("from") == ann.jid and s.findtext(f"{{{ns.CLIENT}}}show") == "dnd", "presence of then", 30
    )
    assert _avatar(presence) == _hash(IMAGE), text(presence)
    await ann.iq("set", f"<query xmlns='{ns.REGISTER}'><remove/></query>", ann.domain)
    assert await _refusal(bob.iq("get", GET, ann.bare)) == ("cancel", "service-unavailable")
    await leave(bob)


@scenario
async def with_a_client_of_others(cluster: Cluster) -> None:
    ca = str(cluster.state / "certificates" / "ca.pem")
    ann_jid, bob_jid = (f"{unique(n)}@{cluster.domain}" for n in ("ann", "bob"))
    ann = Slixmpp(ann_jid, "one", cluster.address("gateway/1", "xmpp"), ca, register=True)
    bob = Slixmpp(bob_jid, "two", cluster.address("gateway/2", "xmpp"), ca, register=True)
    try:
        await asyncio.gather(ann.connect(), bob.connect())
        await asyncio.gather(ann.events.wait("online"), bob.events.wait("online"))
        await ann.set_vcard("Ann", IMAGE)
        assert await ann.vcard(ann_jid) == ("Ann", IMAGE)
        assert await bob.vcard(ann_jid) == ("Ann", IMAGE)
    finally:
        await asyncio.gather(ann.close(), bob.close())
