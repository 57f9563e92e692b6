"""What is heard in rooms is looked at as it should be: each fault is found."""

import types
import unittest
from xml.etree import ElementTree

from harness import ns
from harness.rooms import Heard, RoomTalk
from harness.shards import shard_of

PARTITIONS = 4


def _cluster():
    return types.SimpleNamespace(
        domain="localhost", partitions=PARTITIONS, instances=lambda service: [f"{service}/1", f"{service}/2"],
        shard=lambda bare: shard_of(bare, PARTITIONS),
    )


class RoomTalkTest(unittest.TestCase):
    def setUp(self):
        self.talk = RoomTalk(_cluster(), users=2)
        self.room = self.talk.rooms[0]
        for occupant in self.talk.occupants:
            occupant.client.handled = None
            for _ in range(3):
                occupant.say(self.room)
        ids = self.talk.sent[self.room]
        self.order = [Heard(id_, 10 + n, f"n{id_.split('.')[1]}") for n, id_ in enumerate(ids)]
        for occupant in self.talk.occupants:
            occupant.heard[self.room] = list(self.order)
        self.last = self.talk.occupants[-1].heard[self.room]

    def faults(self) -> str:
        return "; ".join(self.talk._faults_of(self.room))

    def test_there_is_a_room_in_each_shard(self):
        self.assertEqual([shard_of(room, PARTITIONS) for room in self.talk.rooms], list(range(PARTITIONS)))

    def test_what_is_as_it_was_said_is_no_fault(self):
        self.assertEqual(self.faults(), "")

    def test_lost(self):
        lost = self.last.pop(2)
        self.assertIn(f"n1 in {self.room}: {lost.id} is lost", self.faults())

    def test_twice(self):
        self.last.append(Heard(self.last[0].id, 99, self.last[0].nick))
        self.assertIn("came 2 times", self.faults())

    def test_another_order(self):
        self.last[2], self.last[3] = self.last[3], self.last[2]
        self.assertIn("another order than n0 from 2 on", self.faults())

    def test_other_stanza_ids(self):
        self.last[1] = Heard(self.last[1].id, 999, self.last[1].nick)
        self.assertIn("another order than n0 from 1 on", self.faults())

    def test_the_order_of_one_sender_where_all_agree(self):
        for occupant in self.talk.occupants:
            a, b = occupant.heard[self.room][0], occupant.heard[self.room][1]
            occupant.heard[self.room][:2] = [Heard(b.id, a.stanza_id, b.nick), Heard(a.id, b.stanza_id, a.nick)]
        self.assertIn("came behind 2", self.faults())

    def test_another_ones_nick(self):
        self.last[0] = Heard(self.last[0].id, self.last[0].stanza_id, "n9")
        self.assertIn("came from n9", self.faults())

    def given(self, stanza: str) -> str:
        self.talk.occupants[0]._on_stanza(ElementTree.fromstring(stanza))
        try:
            self.talk._raise_problems()
        except AssertionError as error:
            return str(error)
        return ""

    def test_what_nobody_should_be_told(self):
        mark = f"<stanza-id xmlns='{ns.SID}' by='{self.room}' id='7'/>"
        good = f"<message xmlns='{ns.CLIENT}' from='{self.room}/n1' type='groupchat' id='a'><body>a</body>{mark}</message>"
        self.assertEqual(self.given(good), "")
        self.assertIn("n0 was given", self.given(good.replace(mark, "")))
        self.talk._problems.clear()
        self.assertIn("n0 was given", self.given(good.replace(mark, mark * 2)))
        self.talk._problems.clear()
        self.assertIn("n0 was given", self.given(good.replace("id='a'", "id='b'")))
        self.talk._problems.clear()
        status = f"<presence xmlns='{ns.CLIENT}' from='{self.room}/n1' type='unavailable'><x xmlns='{ns.MUC_USER}'><status code='333'/></x></presence>"
        self.assertIn("was told {333} of n1", self.given(status))
        self.assertEqual(self.talk.occupants[0].departures, [(self.room, "n1")])
        self.talk._problems.clear()
        error = f"<message xmlns='{ns.CLIENT}' from='{self.room}' type='error' id='a'/>"
        self.assertIn("was told an error", self.given(error))


if __name__ == "__main__":
    unittest.main()
