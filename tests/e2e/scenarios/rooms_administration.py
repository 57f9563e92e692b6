"""Who may do what in a room: roles and affiliations, configuration, invitations, the end (XEP-0045 sections 8 to 10)."""

from harness.cluster import Cluster
from harness.runner import scenario
from harness.stock_rooms import guests, new_room, refusal


@scenario
async def kicked_and_banned(cluster: Cluster) -> None:
    """Sections 8.2 and 9.1; who is kicked may come again, who is banned may not, and nobody bans an owner."""
    room = new_room(cluster)
    async with guests(cluster, "prince", "tybalt", "romeo") as (prince, tybalt, romeo):
        await prince.create(room, "prince")
        await tybalt.enter(room, "tybalt")
        await romeo.enter(room, "romeo")
        await prince.set_role(room, "tybalt", "none", "brawling")
        for client in (prince, tybalt, romeo):
            gone = await client.events.wait("occupant", room=room, nick="tybalt", gone=True)
            assert 307 in gone["codes"] and gone["reason"] == "brawling" and gone["role"] == "none", gone
            assert (110 in gone["codes"]) == (client is tybalt), gone
        tybalt.say(room, "I am still here")
        assert (await tybalt.events.wait("room-error", room=room))["error"] == ("modify", "not-acceptable")
        await tybalt.enter(room, "tybalt")
        await prince.set_affiliation(room, tybalt.bare, "outcast", "a plague")
        for client in (prince, tybalt, romeo):
            gone = await client.events.wait("occupant", room=room, nick="tybalt", gone=True)
            assert 301 in gone["codes"] and gone["affiliation"] == "outcast" and gone["reason"] == "a plague", gone
        assert await refusal(tybalt.enter(room, "tybalt")) == ("auth", "forbidden")
        assert await prince.affiliated(room, "outcast") == [tybalt.bare]
        assert await refusal(romeo.set_affiliation(room, prince.bare, "outcast")) in (("auth", "forbidden"), ("cancel", "not-allowed"))
        assert await refusal(romeo.set_role(room, "prince", "none")) in (("auth", "forbidden"), ("cancel", "not-allowed"))
        await prince.set_affiliation(room, tybalt.bare, "none")
        await tybalt.enter(room, "tybalt")


async def _told(client, room: str, code: int) -> None:
    """The room says so; it may say other things before."""
    while code not in (await client.events.wait("note", room=room))["codes"]:
        pass


@scenario
async def members_passwords_and_voice(cluster: Cluster) -> None:
    """Members-only (7.2.6), password (7.2.5), moderated (7.4, 8.3); what is changed is told to all (10.2.1), and
    addresses to a new moderator (7.2.4)."""
    room = new_room(cluster)
    async with guests(cluster, "prince", "romeo") as (prince, romeo):
        await prince.create(room, "prince", membersonly=True)
        assert await refusal(romeo.enter(room, "romeo")) == ("auth", "registration-required")
        await prince.set_affiliation(room, romeo.bare, "member")
        await romeo.enter(room, "romeo")
        await prince.set_affiliation(room, romeo.bare, "none")
        gone = await romeo.events.wait("occupant", room=room, nick="romeo", gone=True)
        assert 321 in gone["codes"], gone
        await prince.configure(room, membersonly=False, passwordprotectedroom=True, roomsecret="capulet")
        await _told(prince, room, 104)
        assert await refusal(romeo.enter(room, "romeo")) == ("auth", "not-authorized")
        assert await refusal(romeo.enter(room, "romeo", password="montague")) == ("auth", "not-authorized")
        await romeo.enter(room, "romeo", password="capulet")
        await prince.configure(room, moderatedroom=True)
        await _told(romeo, room, 104)
        await prince.set_role(room, "romeo", "visitor")
        seen = await romeo.events.wait("occupant", room=room, nick="romeo", role="visitor")
        assert 110 in seen["codes"], seen
        romeo.say(room, "without voice")
        assert (await romeo.events.wait("room-error", room=room))["error"] == ("auth", "forbidden")
        await prince.set_role(room, "romeo", "participant")
        await romeo.events.wait("occupant", room=room, nick="romeo", role="participant")
        romeo.say(room, "with voice")
        assert (await prince.events.wait("groupchat", room=room))["body"] == "with voice"
        await prince.set_role(room, "romeo", "moderator")
        await romeo.events.wait("occupant", room=room, nick="prince", jid=prince.jid)
        assert await refusal(romeo.configure(room, moderatedroom=False)) == ("auth", "forbidden")


@scenario
async def a_room_is_locked_until_its_owner_has_said_how_it_is(cluster: Cluster) -> None:
    """Section 10.1; what an owner gives up goes (10.1.4: cancel)."""
    room = new_room(cluster)
    async with guests(cluster, "prince", "romeo") as (prince, romeo):
        entered = await prince.enter(room, "prince")
        assert {110, 201} <= set(entered.codes), entered
        assert await refusal(romeo.enter(room, "romeo")) == ("cancel", "item-not-found")
        await prince.configure(room)
        await romeo.enter(room, "romeo")
        # Nobody is without an owner.
        assert await refusal(prince.set_affiliation(room, prince.bare, "none")) == ("cancel", "conflict")


@scenario
async def invited_and_destroyed(cluster: Cluster) -> None:
    """Mediated invitations to who is elsewhere (7.8.2), which make members; the end of a room, with another one (10.9)."""
    room, other = new_room(cluster), new_room(cluster, "other")
    async with guests(cluster, "prince", "romeo", "juliet") as (prince, romeo, juliet):
        await prince.create(room, "prince", membersonly=True, passwordprotectedroom=True, roomsecret="capulet")
        prince.invite(room, romeo.bare, "come")
        invited = await romeo.events.wait("invited", room=room)
        assert invited["by"].startswith((prince.bare, f"{room}/prince")) and invited["reason"] == "come", invited
        assert invited["password"] == "capulet", invited
        await romeo.enter(room, "romeo", password="capulet")
        assert romeo.bare in await prince.affiliated(room, "member")
        # Who does not exist is no member of it (7.8.2).
        nobody = f"nobody-{room.partition('@')[0]}@{prince.bare.partition('@')[2]}"
        prince.invite(room, nobody, "come")
        assert (await prince.events.wait("room-error", room=room, nick=""))["error"] == ("cancel", "item-not-found")
        assert nobody not in await prince.affiliated(room, "member")
        juliet.invite(room, romeo.bare, "I am not in")
        assert (await juliet.events.wait("room-error", room=room))["error"][1] in ("not-acceptable", "forbidden"), juliet.events.last()
        assert await refusal(romeo.destroy(room)) == ("auth", "forbidden")
        await prince.destroy(room, "the feast is over", other)
        for client, nick in ((prince, "prince"), (romeo, "romeo")):
            gone = await client.events.wait("occupant", room=room, nick=nick, gone=True)
            assert gone["destroyed"] == "the feast is over", gone
        assert await refusal(prince.info(room)) == ("cancel", "item-not-found")
        # The name is free, and nothing of the old room is left.
        await juliet.create(room, "juliet")
        assert await juliet.affiliated(room, "member") == [] and (await romeo.enter(room, "romeo")).history == []
