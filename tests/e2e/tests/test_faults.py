import unittest

from harness.faults import DETECTED, LINK_GRACE, Span, may_be_out_of_reach, may_lose_connection, may_lose_session


class MayLoseSessionTest(unittest.TestCase):
    """A session of shard 3 that was on gateway/1 until 100."""

    def lost(self, *spans: Span, since: float = 100, last: float = 100) -> bool:
        return may_lose_session(spans, {"gateway/1"}, 3, since, last) is not None

    @staticmethod
    def gateway(began: float, ended: float, name: str = "gateway/1") -> Span:
        return Span(began, gateways={name}, ended=ended)

    @staticmethod
    def owner(began: float, ended: float, *shards: int) -> Span:
        return Span(began, shards=set(shards or (3,)), ended=ended)

    def test_its_gateway_and_its_owner_at_once(self):
        self.assertTrue(self.lost(self.gateway(100, 105), self.owner(101, 110)))
        self.assertTrue(self.lost(self.owner(90, 95), self.gateway(100, 105)))
        self.assertTrue(self.lost(self.gateway(95, float("inf")), self.owner(120, float("inf"))), "it is frozen still")

    def test_says_when_the_first_of_them_began(self):
        spans = [self.owner(70, 75), self.gateway(80, 85), self.owner(86, 90), self.gateway(300, 301)]
        self.assertEqual(may_lose_session(spans, {"gateway/1"}, 3, 85, 85), 70)

    def test_one_of_them_alone(self):
        self.assertFalse(self.lost())
        self.assertFalse(self.lost(self.gateway(100, 105), self.gateway(106, 107)))
        self.assertFalse(self.lost(self.owner(100, 105), self.owner(106, 107)))

    def test_one_fault_that_hits_both(self):
        """The link between them: each keeps what it knows."""
        link = Span(100, gateways={"gateway/1"}, shards={3}, ended=110)
        self.assertFalse(self.lost(link))
        self.assertTrue(self.lost(link, self.owner(105, 106)))
        self.assertTrue(self.lost(link, self.gateway(105, 106)))

    def test_another_gateway_or_the_owner_of_other_shards(self):
        self.assertFalse(self.lost(self.gateway(100, 105, "gateway/2"), self.owner(101, 110)))
        self.assertFalse(self.lost(self.gateway(100, 105), self.owner(101, 110, 1, 2)))

    def test_one_after_the_other(self):
        self.assertFalse(self.lost(self.gateway(100, 105), self.owner(106 + DETECTED, 130 + DETECTED)))
        self.assertFalse(self.lost(self.owner(50, 60), self.gateway(81, 105)))

    def test_both_before_it_had_its_connection(self):
        self.assertFalse(self.lost(self.gateway(40, 45), self.owner(41, 50)))

    def test_both_after_it_was_parked(self):
        self.assertFalse(self.lost(self.gateway(130, 135), self.owner(131, 140)))
        self.assertTrue(self.lost(self.gateway(130, 135), self.owner(131, 140), last=125), "it has tried to resume there")


class MayLoseConnectionTest(unittest.TestCase):
    """A client without XEP-0198 at gateway/1."""

    def lost(self, span: Span, now: float) -> bool:
        return may_lose_connection([span], {"gateway/1"}, now)

    def test_its_gateway_was_apart_for_longer_than_it_waits(self):
        apart = Span(100, {"gateway/1"}, ended=100 + LINK_GRACE, apart={"gateway/1"})
        self.assertTrue(self.lost(apart, apart.ended + 1))
        self.assertFalse(self.lost(apart, apart.ended + DETECTED + 1))
        self.assertTrue(self.lost(Span(100, {"gateway/1"}, apart={"gateway/1"}), 100 + LINK_GRACE), "it still is")

    def test_not_so_long_or_something_else(self):
        self.assertFalse(self.lost(Span(100, {"gateway/1"}, ended=102, apart={"gateway/1"}), 103))
        self.assertFalse(self.lost(Span(100, {"gateway/1"}, ended=130), 131))
        self.assertFalse(self.lost(Span(100, {"gateway/2"}, ended=130, apart={"gateway/2"}), 131))


class MayBeOutOfReachTest(unittest.TestCase):
    """A client at gateway/1 whose shard is 0."""

    def is_so(self, spans: list[Span], now: float) -> bool:
        return may_be_out_of_reach(spans, {"gateway/1"}, 0, now)

    def test_its_gateway_was_apart_when_the_shard_had_a_new_owner(self):
        apart = Span(100, {"gateway/1"}, ended=140, apart={"gateway/1"})
        for began, ended in ((70, 100 - DETECTED), (110, 120), (139, 200)):
            moved = Span(began, shards={0}, ended=ended)
            self.assertTrue(self.is_so([apart, moved], 130))
            self.assertTrue(self.is_so([moved, apart], 140 + DETECTED))
            self.assertFalse(self.is_so([apart, moved], 141 + DETECTED))

    def test_its_gateway_did_not_find_the_new_owner(self):
        unguided = Span(100, {"gateway/1"}, ended=140, unguided={"gateway/1"})
        self.assertTrue(self.is_so([unguided, Span(70, shards={0}, ended=99)], 110))
        self.assertFalse(self.is_so([unguided], 110))
        self.assertFalse(may_lose_connection([unguided], {"gateway/1"}, 120), "it is linked as before")

    def test_only_one_of_the_two(self):
        apart = Span(100, {"gateway/1"}, {0}, ended=140, apart={"gateway/1"})
        self.assertFalse(self.is_so([apart], 130), "its owner knows of the session")
        self.assertFalse(self.is_so([apart, Span(141, shards={0})], 150))
        self.assertFalse(self.is_so([apart, Span(110, shards={1})], 130))
        self.assertFalse(self.is_so([Span(100, {"gateway/1"}), Span(110, shards={0})], 130), "clients go elsewhere")


if __name__ == "__main__":
    unittest.main()
