"""XEP-0198: counting, acknowledgements, resumption on any gateway."""

import asyncio

from harness import ns
from harness.client import Client, Disconnected
from harness.cluster import Cluster
from harness.people import account, another, befriend, body_of, is_message, leave, pair, person
from harness.runner import scenario
from harness.wait import until
from harness.xml import child, name, text


@scenario
async def enable_at_the_wrong_time(cluster: Cluster) -> None:
    user = await account(cluster, "early")
    client = await Client(cluster.domain, user.user).open(cluster.address("gateway/1"))
    await client.authenticate()
    client.connection.write(f"<enable xmlns='{ns.SM}'/>")
    answer = await client.connection.next()
    assert name(answer) == "failed", text(answer)
    await client.bind()
    await client.enable()
    client.sm_answers.clear()
    client.connection.write(f"<enable xmlns='{ns.SM}'/>")
    await until(lambda: client.sm_answers or client.connection.closed, "an answer to the second <enable/>")
    assert not client.sm_answers or name(client.sm_answers[0]) == "failed", text(client.sm_answers[0])
    client.abort()


@scenario
async def both_sides_count(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    enabled = await ann.enable()
    assert enabled.get("resume") in ("true", "1") and len(ann.sm_id) >= 16, text(enabled)
    for n in range(10):
        ann.message(bob.bare, f"n{n}")
    await ann.iq("get", f"<ping xmlns='{ns.PING}'/>", ann.domain)
    await ann.all_acked()
    assert ann.acked == 11, ann.acked
    for n in range(5):
        bob.message(ann.bare, f"back {n}")
    await ann.expect_message("back 4")
    assert ann.handled == 6, f"5 messages and the ping's answer, counted {ann.handled}"
    await leave(ann, bob)


@scenario
async def the_server_asks_and_forgets(cluster: Cluster) -> None:
    """A client that answers <r/> has nothing given again."""
    ann, bob = await pair(cluster)
    await ann.enable()
    for n in range(300):
        bob.message(ann.bare, f"n{n}")
    await ann.expect_message("n299")
    ann.send_ack()
    await ann.sync()
    ann.inbox.clear()
    ann.abort()
    await ann.resume(cluster.address("gateway/2"))
    await ann.sync()
    assert not ann.bodies(), f"given again: {ann.bodies()[:5]}"
    await leave(ann, bob)


@scenario
async def resumption_on_another_gateway(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    await ann.enable()
    ann.answers_requests = False
    for n in range(10):
        bob.message(ann.bare, f"before {n}")
    await ann.expect_message("before 9")
    # Of these ten only five are said to have been handled.
    ann.handled -= 5
    ann.inbox.clear()
    ann.abort()
    await ann.connection.wait_closed()
    for n in range(10):
        bob.message(ann.bare, f"meanwhile {n}")
    bob.presence(extra="<show>xa</show>")
    await bob.sync()
    # Ann's own, written when the connection was gone.
    for n in range(3):
        ann.message(bob.bare, f"kept {n}")
    resumed = await ann.resume(cluster.address("gateway/2"))
    assert name(resumed) == "resumed" and resumed.get("previd") == ann.sm_id, text(resumed)
    await ann.expect(lambda s: name(s) == "presence" and s.findtext(f"{{{ns.CLIENT}}}show") == "xa")
    wanted = [f"before {n}" for n in range(5, 10)] + [f"meanwhile {n}" for n in range(10)]
    await until(lambda: len(ann.bodies()) >= len(wanted), "everything is there")
    await ann.sync()
    assert ann.bodies() == wanted, ann.bodies()
    for n in range(3):
        await bob.expect_message(f"kept {n}")
    # Bob never saw ann go: she was only away.
    assert not bob.has(lambda s: s.get("from") == ann.jid and s.get("type") == "unavailable"), "presence was lost by a resumption"
    ann.presence(extra="<show>chat</show>")
    await bob.expect(lambda s: s.get("from") == ann.jid and s.findtext(f"{{{ns.CLIENT}}}show") == "chat")
    await leave(ann, bob)


@scenario
async def resumption_restores_the_session(cluster: Cluster) -> None:
    """Carbons, interest in the roster, priority and directed presence."""
    ann, phone = await pair(cluster)
    desk = await another(cluster, phone, "gateway/2", priority=3)
    await desk.iq("set", f"<enable xmlns='{ns.CARBONS}'/>")
    await desk.iq("get", f"<query xmlns='{ns.ROSTER}'/>")
    desk.presence(ann.jid)
    await ann.expect_presence(desk.jid)
    await desk.enable()
    desk.abort()
    await desk.resume(cluster.address("gateway/1"))
    ann.message(phone.jid, "for the phone")
    await phone.expect_message("for the phone")
    await desk.expect(lambda s: is_message(s) and child(s, ns.CARBONS, "received") is not None, "a carbon")
    await phone.iq("set", f"<query xmlns='{ns.ROSTER}'><item jid='someone@{phone.domain}'/></query>")
    await desk.expect(lambda s: name(s) == "iq" and child(s, ns.ROSTER, "query") is not None, "a roster push")
    await desk.close()
    await ann.expect_presence(desk.jid, "unavailable")
    await leave(ann, phone)


@scenario
async def resuming_takes_over_an_open_connection(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await ann.enable()
    old = ann.connection
    assert name(await ann.resume(cluster.address("gateway/2"))) == "resumed"
    assert await old.wait_error() == "conflict"
    bob.message(ann.jid, "after")
    await ann.expect_message("after")
    # And again, back to the gateway where it was.
    old = ann.connection
    assert name(await ann.resume(cluster.address("gateway/1"))) == "resumed"
    assert await old.wait_error() == "conflict"
    bob.message(ann.jid, "after that")
    await ann.expect_message("after that")
    await leave(ann, bob)


@scenario
async def many_resumptions_in_a_row(cluster: Cluster) -> None:
    """Broken and resumed thirty times while both write: nothing lost, nothing twice."""
    ann, bob = await pair(cluster)
    await ann.enable()
    rounds, said = 30, 0

    async def talk() -> None:
        nonlocal said
        while not done:
            said += 1
            bob.message(ann.bare, f"b{said}")
            ann.message(bob.bare, f"a{said}")
            # Bob's connection stays: his answers set the pace, also while ann has none.
            await bob.sync()

    done = False
    talking = asyncio.create_task(talk())
    for round_ in range(rounds):
        so_far = len(ann.bodies())
        await until(lambda: len(ann.bodies()) > so_far, "a message since the last resumption")
        ann.abort()
        answer = await ann.resume(cluster.address(f"gateway/{round_ % 2 + 1}"))
        assert name(answer) == "resumed", text(answer)
    done = True
    await talking
    await until(lambda: f"b{said}" in ann.bodies() and f"a{said}" in bob.bodies(), "the last of each")
    await ann.all_acked()
    assert ann.bodies() == [f"b{n}" for n in range(1, said + 1)], "to the one who resumes"
    assert bob.bodies() == [f"a{n}" for n in range(1, said + 1)], "from the one who resumes"
    await leave(ann, bob)


@scenario
async def what_cannot_be_resumed(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await ann.enable()

    async def refused(user: str, id_: str, h: str = "0") -> str:
        client = await Client(cluster.domain, user).open(cluster.address("gateway/2"))
        await client.authenticate()
        client.connection.write(f"<resume xmlns='{ns.SM}' h='{h}' previd='{id_}'/>")
        answer = await client.connection.next()
        assert name(answer) == "failed", text(answer)
        # The stream goes on: a new session can begin here.
        await client.bind()
        await client.sync()
        await client.close()
        return [name(c) for c in answer if name(c) != "text"][0]

    assert await refused(ann.user, "unknown") == "item-not-found"
    assert await refused(ann.user, "") in ("item-not-found", "bad-request")
    assert await refused(ann.user, ("A" if ann.sm_id[0] != "A" else "B") + ann.sm_id[1:]) == "item-not-found"
    assert await refused(ann.user, ann.sm_id, "abc") in ("item-not-found", "bad-request", "undefined-condition")
    # Another user's: as if it did not exist, and its owner is not disturbed.
    assert await refused(bob.user, ann.sm_id) == "item-not-found"
    bob.message(ann.jid, "still there")
    await ann.expect_message("still there")
    # A session that was closed in order is over.
    old = ann.sm_id
    await ann.close()
    assert await refused(ann.user, old) == "item-not-found"
    await leave(bob)


@scenario
async def absurd_h(cluster: Cluster) -> None:
    """More acknowledged than was sent ends the stream (XEP-0198 section 4)."""
    ann, bob = await pair(cluster)
    await ann.enable()
    bob.message(ann.bare, "one")
    await ann.expect_message("one")
    ann.connection.write(f"<a xmlns='{ns.SM}' h='4000000000'/>")
    assert await ann.connection.wait_error() == "undefined-condition"
    assert ann.connection.error.element.find(f"{{{ns.SM}}}handled-count-too-high") is not None, text(ann.connection.error.element)
    carl = await person(cluster, "carl")
    await carl.enable()
    carl.abort()
    try:
        answer = await carl.resume(cluster.address("gateway/2"), h=77)
        assert name(answer) == "failed", text(answer)
    except Disconnected:
        assert carl.connection.error is not None and carl.connection.error.condition == "undefined-condition"
    dora = await person(cluster, "dora")
    await dora.enable()
    for h in ("-1", "nonsense", "99999999999999999999"):
        dora.connection.write(f"<a xmlns='{ns.SM}' h='{h}'/>")
    await until(lambda: dora.connection.closed or dora.connection.error, "the end of the stream")
    await leave(bob)


@scenario
async def replayed_h_changes_nothing(cluster: Cluster) -> None:
    ann, bob = await pair(cluster)
    await ann.enable()
    for n in range(3):
        bob.message(ann.bare, f"n{n}")
    await ann.expect_message("n2")
    for _ in range(5):
        ann.send_ack(3)
    await ann.sync()
    bob.message(ann.bare, "after")
    await ann.expect_message("after")
    # Less than was acknowledged before: modulo 2^32 that is far more than was sent.
    ann.send_ack(1)
    try:
        await ann.sync()
    except Disconnected:
        assert ann.connection.error and ann.connection.error.condition == "undefined-condition", ann.connection.error
    await leave(bob)
    ann.abort()


@scenario(seconds=180)
async def time_out_hands_everything_on(cluster: Cluster) -> None:
    """A client that does not come back: presence ends then, and not before, and what it had
    not acknowledged waits for its next session."""
    ann, bob = await pair(cluster)
    await befriend(ann, bob)
    enabled = await ann.enable()
    limit = int(enabled.get("max", "30"))
    assert limit <= 60, f"the tests' cluster gives sessions {limit} s"
    ann.answers_requests = False
    bob.message(ann.bare, "seen but not acknowledged")
    await ann.expect_message("seen but not acknowledged")
    ann.abort()
    await ann.connection.wait_closed()
    bob.message(ann.bare, "never seen")
    await bob.sync()
    assert not bob.has(lambda s: s.get("from") == ann.jid and s.get("type") == "unavailable"), "gone before its time"
    await bob.expect_presence(ann.jid, "unavailable", limit + 40)
    ann.handled = None
    await ann.login(cluster.address("gateway/2"))
    await ann.available()
    for body in ("seen but not acknowledged", "never seen"):
        got = await ann.expect(is_message)
        assert body_of(got) == body and child(got, ns.DELAY, "delay") is not None, text(got)
    await leave(ann, bob)


@scenario
async def without_resume_messages_go_elsewhere(cluster: Cluster) -> None:
    """Enabled without resumption: what was not acknowledged goes where a closed stream's messages go."""
    ann, bob = await pair(cluster)
    await ann.enable(resume=False)
    ann.answers_requests = False
    for n in range(5):
        bob.message(ann.bare, f"n{n}")
    await ann.expect_message("n4")
    ann.inbox.clear()
    ann.abort()
    await ann.connection.wait_closed()
    ann.handled = None
    await ann.login(cluster.address("gateway/2"))
    await ann.available()
    for n in range(5):
        got = await ann.expect(is_message)
        assert body_of(got) == f"n{n}" and child(got, ns.DELAY, "delay") is not None, text(got)
    await leave(ann, bob)
