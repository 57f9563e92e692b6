"""What rooms do beside talk (XEP-0045 sections 7.8, 7.10, 7.13, 8.6; XEP-0425, 0433, 0486, 0500), with slixmpp on two
gateways: what a plugin of it does not know is sent as XML."""

import hashlib
import base64

from harness import ns
from harness.cluster import Cluster
from harness.runner import scenario
from harness.stock_rooms import guests, new_room, refusal
from harness.xml import Element, child

_REGISTER = "http://jabber.org/protocol/muc#register"
_REQUEST = "http://jabber.org/protocol/muc#request"
_MODERATE = "urn:xmpp:message-moderate:1"
_RETRACT = "urn:xmpp:message-retract:1"
_SEARCH = "urn:xmpp:channel-search:0:search"


def _form(form_type: str, **fields: str) -> str:
    fields = {"FORM_TYPE": form_type, **fields}
    inside = "".join(f"<field var='{var.replace('__', '#')}'><value>{value}</value></field>" for var, value in fields.items())
    return f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{inside}</x>"


def _values(form: Element) -> dict[str, str]:
    return {field.get("var"): field.findtext(f"{{{ns.DATA_FORMS}}}value") for field in form.iter(f"{{{ns.DATA_FORMS}}}field")}


@scenario
async def a_nick_is_registered(cluster: Cluster) -> None:
    """XEP-0045 section 7.10: it is its owner's, in the room or not; disco tells what it is (6.6)."""
    room = new_room(cluster)
    async with guests(cluster, "prince", "romeo", "paris") as (prince, romeo, paris):
        await prince.create(room, "prince", persistentroom=True)
        await romeo.enter(room, "romeo")
        form = await romeo.ask("get", room, f"<query xmlns='{ns.REGISTER}'/>")
        assert _values(form).get("FORM_TYPE") == _REGISTER, _values(form)
        await romeo.ask("set", room, f"<query xmlns='{ns.REGISTER}'>{_form(_REGISTER, muc__register_roomnick='montague')}</query>")
        assert await refusal(paris.enter(room, "montague")) == ("cancel", "conflict")
        identities, _, _ = await romeo.info(room, "x-roomuser-item")
        assert ("conference", "text", "montague") in identities, identities
        romeo.leave(room, "romeo")
        await prince.events.wait("occupant", room=room, nick="romeo", gone=True)
        assert await refusal(paris.enter(room, "montague")) == ("cancel", "conflict")
        await romeo.enter(room, "montague")


@scenario
async def a_voice_is_asked_for(cluster: Cluster) -> None:
    """Sections 7.13 and 8.6: moderators are given a form, and who they let speak is a participant."""
    room = new_room(cluster)
    async with guests(cluster, "prince", "romeo") as (prince, romeo):
        await prince.create(room, "prince", moderatedroom=True)
        await romeo.enter(room, "romeo")
        await prince.events.wait("occupant", room=room, nick="romeo", role="visitor")
        romeo.say(room, "may I speak?")
        assert (await romeo.events.wait("room-error", room=room))["error"] == ("auth", "forbidden")
        romeo.send(f"<message xmlns='{ns.CLIENT}' to='{room}'>{_form(_REQUEST, muc__role='participant')}</message>")
        asked = _values((await prince.events.wait("form", room=room))["form"])
        assert (asked["muc#jid"], asked["muc#roomnick"], asked["muc#request_allow"]) == (romeo.jid, "romeo", "false"), asked
        fields = {var.replace("#", "__"): value for var, value in asked.items() if var != "FORM_TYPE"}
        fields["muc__request_allow"] = "true"
        prince.send(f"<message xmlns='{ns.CLIENT}' to='{room}'>{_form(_REQUEST, **fields)}</message>")
        await romeo.events.wait("occupant", room=room, nick="romeo", role="participant")
        romeo.say(room, "I may")
        await prince.events.wait("groupchat", room=room, body="I may")


@scenario
async def what_was_said_is_taken_back(cluster: Cluster) -> None:
    """XEP-0425 by a moderator, and by nobody else; who comes later is given a tombstone in its place."""
    room = new_room(cluster)
    async with guests(cluster, "prince", "romeo", "benvolio") as (prince, romeo, benvolio):
        await prince.create(room, "prince")
        await romeo.enter(room, "romeo")
        romeo.say(room, "something foul")
        said = await prince.events.wait("groupchat", room=room, body="something foul")
        moderate = f"<moderate xmlns='{_MODERATE}' id='{said['stanza_id']}'><retract xmlns='{_RETRACT}'/><reason>foul</reason></moderate>"
        refused = await refusal(romeo.ask("set", room, moderate))
        assert refused == ("modify", "forbidden"), refused
        await prince.ask("set", room, moderate)
        for client in (prince, romeo):
            retraction = (await client.events.wait("retraction", room=room))["retract"]
            assert retraction.get("id") == said["stanza_id"], retraction.attrib
            moderated = child(retraction, _MODERATE, "moderated")
            assert moderated is not None and moderated.get("by") == f"{room}/prince"
        entered = await benvolio.enter(room, "benvolio")
        assert "something foul" not in entered.history, entered
        refused = await refusal(prince.ask("set", room, moderate.replace(said["stanza_id"], "none of ours")))
        assert refused == ("cancel", "item-not-found"), refused


@scenario
async def questions_to_occupants_tell_nobodys_address(cluster: Cluster) -> None:
    """Section 17.4 of what is asked of an occupant: it comes from the asker's nick and is answered from the nick, with
    neither address, errors included; and nobody asks from outside."""
    room = new_room(cluster)
    async with guests(cluster, "prince", "romeo", "tybalt") as (prince, romeo, tybalt):
        await prince.create(room, "prince")
        await romeo.enter(room, "romeo")
        question = "<query xmlns='urn:example:question'/>"
        seen = romeo.listen("urn:example:question")
        assert (await refusal(prince.ask("get", f"{room}/romeo", question)))[0] == "cancel"
        asked = await seen
        assert asked.get("from") == f"{room}/prince", asked.attrib
        answer = await prince.asked(prince.question("get", f"{room}/romeo", f"<ping xmlns='{ns.PING}'/>"))
        assert str(answer["from"]) == f"{room}/romeo" and romeo.bare not in str(answer), answer
        refused = await refusal(tybalt.ask("get", f"{room}/romeo", f"<ping xmlns='{ns.PING}'/>"))
        assert refused == ("cancel", "not-acceptable"), refused
        assert await refusal(prince.ask("get", f"{room}/nobody", f"<query xmlns='{ns.VERSION}'/>")) == ("cancel", "item-not-found")


@scenario
async def an_invitation_is_declined(cluster: Cluster) -> None:
    """Section 7.8.2: the inviter hears of it, and that it is no invitation that nobody has made."""
    room = new_room(cluster)
    async with guests(cluster, "prince", "romeo") as (prince, romeo):
        await prince.create(room, "prince")
        prince.invite(room, romeo.bare, "come")
        assert (await romeo.events.wait("invited", room=room))["reason"] == "come"
        decline = f"<x xmlns='{ns.MUC_USER}'><decline to='{prince.bare}'><reason>too busy</reason></decline></x>"
        romeo.send(f"<message xmlns='{ns.CLIENT}' to='{room}'>{decline}</message>")
        declined = await prince.events.wait("declined", room=room)
        assert (declined["by"], declined["reason"]) == (romeo.bare, "too busy"), declined


@scenario
async def a_room_has_a_picture_and_a_pace(cluster: Cluster) -> None:
    """XEP-0486: an owner sets its vCard, and disco and the room's presence tell the hash; XEP-0500: who writes too fast
    is told to wait."""
    room = new_room(cluster)
    picture = b"not quite a picture"
    digest = hashlib.sha1(picture).hexdigest()
    async with guests(cluster, "prince", "romeo") as (prince, romeo):
        await prince.create(room, "prince")
        await romeo.enter(room, "romeo")
        vcard = f"<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>{base64.b64encode(picture).decode()}</BINVAL></PHOTO></vCard>"
        assert await refusal(romeo.ask("set", room, vcard)) == ("auth", "forbidden")
        await prince.ask("set", room, vcard)
        got = await romeo.ask("get", room, "<vCard xmlns='vcard-temp'/>")
        assert got.findtext(".//{vcard-temp}BINVAL") == base64.b64encode(picture).decode()
        _, features, fields = await romeo.info(room)
        assert "vcard-temp" in features and fields.get("muc#roominfo_avatarhash") == digest, fields
        await prince.configure(room, **{"slow_mode_duration": "60"})
        romeo.say(room, "one")
        await prince.events.wait("groupchat", room=room, body="one")
        romeo.say(room, "two")
        assert (await romeo.events.wait("room-error", room=room))["error"] == ("wait", "policy-violation")


@scenario
async def rooms_are_searched(cluster: Cluster) -> None:
    """XEP-0433: by words of name and description, public rooms only."""
    room, hidden = new_room(cluster, "found"), new_room(cluster, "lost")
    word = room.partition("@")[0].replace("-", "")
    conference = f"conference.{cluster.domain}"
    async with guests(cluster, "prince", "romeo") as (prince, romeo):
        await prince.create(room, "prince", persistentroom=True, roomname=f"Capulets {word}")
        await prince.create(hidden, "prince", persistentroom=True, roomname=f"Montagues {word}", publicroom=False)
        search = f"<search xmlns='{_SEARCH}'>{_form('urn:xmpp:channel-search:0:search-params', q=word, key='{urn:xmpp:channel-search:0:order}address')}</search>"
        result = await romeo.ask("get", conference, search)
        found = {item.get("address"): item.findtext(f"{{{_SEARCH}}}name") for item in result.iter(f"{{{_SEARCH}}}item")}
        assert found == {room: f"Capulets {word}"}, found
