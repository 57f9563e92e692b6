"""In-band registration (XEP-0077): register, change the password, remove the account."""

from harness import ns
from harness.client import Client, StanzaError, error_of
from harness.cluster import Cluster
from harness.people import account, another, befriend, interested, leave, pair, person, unique
from harness.rooms import configure, enter, start_entering
from harness.runner import scenario
from harness.sasl import SaslFailure
from harness.wait import until
from harness.xml import child, name


async def _register_error(cluster: Cluster, user: str, password: str = "secret") -> str:
    client = await Client(cluster.domain, user, password).open(cluster.address("gateway/1"))
    try:
        await client.register()
    except StanzaError as error:
        return error.condition
    finally:
        client.abort()
    return ""


@scenario
async def register_and_sign_in_elsewhere(cluster: Cluster) -> None:
    user = await account(cluster, "fresh")
    client = await Client(cluster.domain, user.user).login(cluster.address("gateway/2"))
    await client.close()


@scenario
async def form_before_registration(cluster: Cluster) -> None:
    client = await Client(cluster.domain, unique("form")).open(cluster.address("gateway/1"))
    client.connection.write(f"<iq xmlns='{ns.CLIENT}' type='get' id='f1'><query xmlns='{ns.REGISTER}'/></iq>")
    answer = await client.connection.next()
    query = child(answer, ns.REGISTER, "query")
    assert answer.get("type") == "result" and child(query, ns.REGISTER, "username") is not None
    assert child(query, ns.REGISTER, "password") is not None
    client.abort()


@scenario
async def taken_and_unusable_names(cluster: Cluster) -> None:
    user = await account(cluster, "taken")
    assert await _register_error(cluster, user.user) == "conflict"
    # RFC 7622 makes both the same name.
    assert await _register_error(cluster, user.user.upper()) == "conflict"
    for name in ("", "a b", "a@b", "a/b", 'a"b', "<a>", "x" * 1100):
        assert await _register_error(cluster, name) in ("not-acceptable", "jid-malformed", "bad-request"), name
    assert await _register_error(cluster, unique("nopass"), "") in ("not-acceptable", "bad-request")


@scenario
async def password_changes(cluster: Cluster) -> None:
    client = await person(cluster, "change")
    await client.iq("set", f"<query xmlns='{ns.REGISTER}'><username>{client.user}</username><password>new one</password></query>", client.domain)
    await client.close()
    try:
        await Client(cluster.domain, client.user).login(cluster.address("gateway/2"))
        raise AssertionError("the old password still opens the account")
    except SaslFailure as failure:
        assert failure.condition == "not-authorized", failure
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
        again = await Client(cluster.domain, client.user, "new one").login(cluster.address("gateway/2"), mechanism=mechanism)
        await again.close()


@scenario
async def removal_takes_everything_along(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    second = await another(cluster, ann)
    await ann.iq("set", f"<query xmlns='{ns.REGISTER}'><remove/></query>", ann.domain)
    assert await second.connection.wait_error() in ("not-authorized", "conflict", "reset")
    await bob.expect_presence(ann.jid, "unavailable")
    try:
        await Client(cluster.domain, ann.user).login(cluster.address("gateway/2"))
        raise AssertionError("a removed account still signs in")
    except SaslFailure as failure:
        assert failure.condition == "not-authorized", failure
    roster = await bob.iq("get", f"<query xmlns='{ns.ROSTER}'/>")
    subscriptions = {item.get("jid"): item.get("subscription") for item in roster[0]}
    assert subscriptions.get(ann.bare, "none") == "none", subscriptions
    await leave(ann, bob, second)


@scenario
async def nobody_removes_or_changes_another(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    for payload in ("<remove/>", f"<username>{bob.user}</username><password>stolen</password>"):
        for to in (bob.bare, ann.domain):
            if "remove" in payload and to == ann.domain:
                continue
            try:
                await ann.iq("set", f"<query xmlns='{ns.REGISTER}'>{payload}</query>", to)
                raise AssertionError(f"{payload} to {to} was accepted")
            except StanzaError:
                pass
    again = await Client(cluster.domain, bob.user).login(cluster.address("gateway/1"))
    await leave(ann, bob, again)


async def _heir(cluster: Cluster, user: Client, gateway: str = "gateway/1", seconds: float = 30) -> Client:
    """Registers the name again, with the same password, once all of the old account is gone. Not signed in yet."""
    async def registered() -> Client | None:
        client = await Client(cluster.domain, user.user, user.password).open(cluster.address(gateway))
        try:
            await client.register()
            return client
        except StanzaError as error:
            # Not free yet, or the owner of its shard is dead.
            assert error.condition == "conflict" or error.type == "wait", error
            client.abort()
            return None
    return await until(registered, f"{user.user} is free again", seconds, every=0.2)


async def _authenticated(cluster: Cluster, user: Client, gateway: str) -> Client:
    """Has told its password, and has not bound a resource yet."""
    stream = await Client(cluster.domain, user.user, user.password).open(cluster.address(gateway))
    await stream.authenticate()
    return stream


async def _is_turned_away(stream: Client) -> None:
    stream.connection.write(f"<iq xmlns='{ns.CLIENT}' type='set' id='bind'><bind xmlns='{ns.BIND}'/></iq>")
    assert await stream.connection.wait_error() == "not-authorized"


@scenario
async def a_stream_outlives_neither_its_account_nor_its_password(cluster: Cluster) -> None:
    """Who authenticated before the account was removed, or its password changed, begins no session afterwards: it
    would be the next owner's, or a thief's for ever."""
    user = await person(cluster, "heir")
    waiting = [await _authenticated(cluster, user, gateway) for gateway in ("gateway/1", "gateway/2")]
    await user.iq("set", f"<query xmlns='{ns.REGISTER}'><username>{user.user}</username><password>another</password></query>", user.domain)
    for stream in waiting:
        await _is_turned_away(stream)

    user.password = "another"
    waiting = [await _authenticated(cluster, user, gateway) for gateway in ("gateway/1", "gateway/2")]
    await user.iq("set", f"<query xmlns='{ns.REGISTER}'><remove/></query>", user.domain)
    await _is_turned_away(waiting[0])
    # The next owner of the name, with the same password.
    heir = await _heir(cluster, user)
    await _is_turned_away(waiting[1])
    await heir.authenticate()
    await heir.bind()
    await heir.close()


@scenario
async def a_session_is_not_resumed_with_an_old_password(cluster: Cluster) -> None:
    user = await person(cluster, "resumer")
    other = await another(cluster, user)
    await other.enable()
    stream = await _authenticated(cluster, user, "gateway/1")
    other.abort()
    await user.iq("set", f"<query xmlns='{ns.REGISTER}'><username>{user.user}</username><password>another</password></query>", user.domain)
    stream.connection.write(f"<resume xmlns='{ns.SM}' previd='{other.sm_id}' h='0'/>")
    assert await stream.connection.wait_error() == "not-authorized"
    await user.close()


async def _kill_the_owner_of(cluster: Cluster, user: Client) -> None:
    owner = (await cluster.all_owned())[cluster.shard(user.bare)]
    cluster.kill("/".join(owner.rsplit("-", 1)))


async def _usual(cluster: Cluster) -> None:
    await cluster.up()
    await cluster.refresh()
    await cluster.all_owned()


@scenario(seconds=180)
async def the_next_owner_of_a_name_finds_nothing_of_the_last(cluster: Cluster) -> None:
    """The account has friends, a room for members, messages that wait, a session whose client is away at another gateway
    and a stream that has only authenticated; the owner of its shard is killed right after it has answered that the account is gone."""
    await _usual(cluster)
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    room = f"{unique('den')}@conference.{ann.domain}"
    await enter(ann, room, "ann")
    await configure(ann, room, membersonly="1", persistentroom="1")
    away = await another(cluster, ann, available=False)
    await away.enable()
    away.connection.abort()
    bob.message(away.jid, "for the one who is away")
    await bob.sync()
    waiting = await _authenticated(cluster, ann, "gateway/2")
    await ann.iq("set", f"<query xmlns='{ns.REGISTER}'><remove/></query>", ann.domain)
    await _kill_the_owner_of(cluster, ann)
    bob.message(ann.bare, "too late")
    # Bob's own owner may be the one that was killed: until his message is in the log, nobody was sent it.
    await bob.sync()
    heir = await _heir(cluster, ann, "gateway/2", 60)
    await _is_turned_away(waiting)
    await heir.authenticate()
    answer = await _resumed(heir, away)
    assert name(answer) == "failed", answer
    await heir.bind()
    await heir.available()
    assert len(await interested(heir)) == 0
    await heir.sync()
    assert not heir.bodies(), heir.bodies()
    start_entering(heir, room, "ann")
    refusal = await heir.expect(lambda s: name(s) == "presence" and s.get("from", "").startswith(room), f"an answer of {room}")
    assert refusal.get("type") == "error" and error_of(refusal) == ("auth", "registration-required"), refusal
    subscriptions = {item.get("jid"): item.get("subscription") for item in await interested(bob)}
    assert subscriptions.get(ann.bare, "none") == "none", subscriptions
    await _usual(cluster)
    await leave(heir, bob)


async def _resumed(stream: Client, previous: Client):
    """What a stream that has authenticated is answered when it wants to go on with a session."""
    stream.connection.write(f"<resume xmlns='{ns.SM}' previd='{previous.sm_id}' h='0'/>")
    return await stream.connection.next()


@scenario(seconds=180)
async def an_old_password_keeps_nobody_in(cluster: Cluster) -> None:
    """Of three sessions one has its client away and one is at another gateway; the owner of the shard is killed right
    after it has answered that the password is another one."""
    await _usual(cluster)
    user = await person(cluster, "victim")
    thief = await another(cluster, user)
    away = await another(cluster, user)
    await away.enable()
    away.connection.abort()
    await user.iq("set", f"<query xmlns='{ns.REGISTER}'><username>{user.user}</username><password>another</password></query>", user.domain)
    await _kill_the_owner_of(cluster, user)
    assert await thief.connection.wait_error(60) == "reset"
    await cluster.all_owned()
    await user.sync()
    back = Client(cluster.domain, user.user, "another")
    await back.open(cluster.address("gateway/1"))
    await back.authenticate()
    answer = await _resumed(back, away)
    assert name(answer) == "failed", answer
    await _usual(cluster)
    await leave(back, user)
