"""What is heard in rooms by people who come and go is looked at as it should be."""

import types
import unittest
from xml.etree import ElementTree

from harness import ns
from harness.room_account import RoomAccount, Stay
from harness.wait import until

ROOM = "hall@conference.localhost"


class RoomAccountTest(unittest.TestCase):
    def setUp(self):
        self.reported: list[str] = []
        members = [types.SimpleNamespace(index=n, client=types.SimpleNamespace(bare=f"u{n}@localhost")) for n in range(3)]
        self.account = RoomAccount([ROOM], members, "abc", self.reported.append)
        self.ids = [f"abc.{n % 2}.0.{n + 1}" for n in range(6)]
        self.account.said[ROOM] = set(self.ids)
        self.stays = [self.stay(n, self.ids) for n in range(3)]

    def stay(self, index: int, heard: list[str], is_over: bool = False) -> Stay:
        stay = Stay()
        stay.heard = list(heard)
        stay.is_over = is_over
        self.account.stays[(index, ROOM)].append(stay)
        return stay

    def faults(self) -> str:
        return "; ".join(self.account.faults())

    def test_what_is_as_it_was_said_is_no_fault(self):
        self.assertEqual(self.faults(), "")

    def test_who_comes_and_goes_hears_less(self):
        self.stays[2].heard = self.ids[:2]
        self.stays[2].is_over = True
        self.stay(2, self.ids[4:])
        self.assertEqual(self.faults(), "")

    def test_what_comes_while_a_session_begins_is_no_part_of_the_one_before(self):
        talker = types.SimpleNamespace(index=2, client=types.SimpleNamespace(bare="u2@localhost"))
        self.stays[2].heard = self.ids[:2]
        self.account.on_session_over(talker)
        said = f"<message xmlns='{ns.CLIENT}' from='{ROOM}/n1' type='groupchat' id='{self.ids[5]}'><body>{self.ids[5]}</body></message>"
        self.assertTrue(self.account.on_stanza(talker, ElementTree.fromstring(said)))
        self.assertEqual(self.stays[2].heard, self.ids[:2])
        self.assertEqual(self.faults(), "")

    def test_what_nobody_has_heard_is_lost(self):
        for stay in self.stays:
            stay.heard.remove(self.ids[3])
        self.assertIn(f"{self.ids[3]} is lost", self.faults())
        self.account.ambiguous.add(self.ids[3])
        self.assertEqual(self.faults(), "")

    def test_what_one_has_not_heard_between_others(self):
        self.stays[2].heard.remove(self.ids[3])
        self.assertIn(f"behind {self.ids[2]} n0 has heard {self.ids[3]}, n2 {self.ids[4]}", self.faults())

    def test_twice(self):
        self.stays[1].heard.append(self.ids[2])
        self.assertIn(f"n1 was given {self.ids[2]} twice", self.faults())

    def test_another_order(self):
        heard = self.stays[1].heard
        heard[2], heard[3] = heard[3], heard[2]
        self.assertIn("has heard", self.faults())

    def test_the_order_of_one_sender_where_all_agree(self):
        for stay in self.stays:
            stay.heard[0], stay.heard[2] = stay.heard[2], stay.heard[0]
        self.assertIn(f"has heard {self.ids[0]} behind number 3", self.faults())

    def test_who_is_in_hears_itself(self):
        self.stays[1].said = {self.ids[5]}
        self.stays[1].heard.pop()
        self.assertIn(f"n1 did not hear {self.ids[5]}", self.faults())

    def test_what_is_under_way_to_a_room_is_not_said_again(self):
        self.assertTrue(self.account.is_ours(f"<message xmlns='jabber:client' to='{ROOM}' type='groupchat' id='{self.ids[0]}'/>"))
        self.assertEqual(self.account.ambiguous, {self.ids[0]})
        self.assertFalse(self.account.is_ours("<message xmlns='jabber:client' to='u1@localhost' id='x'/>"))


class OutOfReachTest(unittest.IsolatedAsyncioTestCase):
    """A room has taken an occupant out of which nobody knew."""

    def setUp(self):
        self.reported: list[str] = []
        self.is_out_of_reach = True
        client = types.SimpleNamespace(bare="u1@localhost", presence=lambda to, **_: self.entered.append(to))
        self.talker = types.SimpleNamespace(index=1, client=client, online=True)
        self.entered: list[str] = []
        self.account = RoomAccount([ROOM], [self.talker], "abc", self.reported.append, lambda _: self.is_out_of_reach)
        self.account.said[ROOM] = {"abc.1.0.1"}
        self.account.stays[(1, ROOM)].append(Stay())

    def hears(self, xml: str) -> None:
        self.assertTrue(self.account.on_stanza(self.talker, ElementTree.fromstring(xml)))

    def is_refused(self, condition: str) -> None:
        self.hears(f"<message xmlns='{ns.CLIENT}' from='{ROOM}' type='error' id='abc.1.0.1'><error type='modify'>"
                   f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")

    def is_told_to_be_out(self) -> None:
        self.hears(f"<presence xmlns='{ns.CLIENT}' from='{ROOM}/n1' type='unavailable'/>")

    async def test_it_is_refused_and_enters_again(self):
        self.is_refused("not-acceptable")
        self.is_told_to_be_out()
        self.assertEqual(self.account.faults(), [])
        await until(lambda: self.entered == [f"{ROOM}/n1"], "it enters again", 10)
        self.assertEqual(self.reported, [])

    async def test_for_nothing_else_is_it_refused(self):
        self.is_refused("forbidden")
        self.assertIn("was told an error", self.reported[0])

    async def test_who_is_within_reach_stays_in(self):
        self.is_out_of_reach = False
        self.is_refused("not-acceptable")
        self.is_told_to_be_out()
        self.assertIn("was told an error", self.reported[0])
        self.assertEqual(self.account.thrown_out, 0)


class FinishTest(unittest.IsolatedAsyncioTestCase):
    async def test_who_misses_the_end_is_named(self):
        members = [types.SimpleNamespace(index=n, client=types.SimpleNamespace(bare=f"u{n}@localhost", message=lambda *_: None)) for n in range(2)]
        account = RoomAccount([ROOM], members, "abc", self.fail)
        for n in range(2):
            account.stays[(n, ROOM)].append(Stay())
            account.present[(n, ROOM)] = {"n0", "n1"}
        account.stays[(0, ROOM)][0].heard = ["abc.0.0.1"]
        account.stays[(1, ROOM)][0].heard = ["abc.0.0.1", "abc.1.0.2"]
        faults = "; ".join(await account.finish(0.1))
        self.assertIn("n0 did not hear ['abc.1.0.2'] at the end", faults)


if __name__ == "__main__":
    unittest.main()
