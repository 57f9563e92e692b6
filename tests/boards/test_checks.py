"""The checks themselves: each finds its fault."""

import unittest

import names
import promql
from catalogue import Catalogue


class CatalogueTest(unittest.TestCase):
    def setUp(self):
        self.catalogue = Catalogue({"cluster:sign_ins:rate5m": {"outcome"}})

    def test_what_exists_is_right(self):
        for expression in (
            "rookery_gateway_sessions",
            'sum by (listener) (rate(rookery_gateway_accepted_connections_total{instance=~".+", listener="xmpp"}[5m])) > 0',
            'histogram_quantile(0.99, sum by (le, service) (rate({__name__=~"rookery_.+_io_loop_lag_seconds_bucket", service="muc"}[1m])))',
            "count(up == 0) or vector(0)",
            'cluster:sign_ins:rate5m{outcome="failure"} / on () sum(cluster:sign_ins:rate5m)',
            "max(max_over_time(rookery_gateway_shards_with_owner[1h]))",
            "time() - process_start_time_seconds",
            'rookery_roster_calls_total offset 5m and on (instance) rookery_roster_calls_failed_total unless on (instance) up == 0',
        ):
            self.assertEqual(self.catalogue.faults(expression), [], expression)

    def test_what_does_not_exist_is_a_fault(self):
        for expression, why in (
            ("rookery_gateway_session", "no series"),
            ("rate(rookery_gateway_confirm_seconds[5m])", "no series"),
            ("rookery_gateway_kafka_lag_records", "no series"),
            ('{__name__=~"rookery_.+_nothing"}', "no series"),
            ('rookery_gateway_sessions{listener="xmpp"}', "no label listener"),
            ('rookery_gateway_connections{listener="bosh"}', "listener is never 'bosh'"),
            ('rookery_gateway_connections{listener=~"bosh|http"}', "listener is never"),
            ('{__name__=~"rookery_.+_pg_connections", service="search"}', "service is never 'search'"),
            ("sum by (listener) (rookery_gateway_sessions)", "no label listener, by which"),
            ("sum by (le) (rookery_gateway_sessions)", "no label le, by which"),
            ('sum by (topic) ({__name__=~"rookery_.+_shards"})', "no label topic, by which"),
            ('{__name__=~"rookery_.+_shards.*"}', "selects different things"),
            ("1 + 1", "selects nothing"),
        ):
            faults = self.catalogue.faults(expression)
            self.assertTrue(any(why in fault for fault in faults), (expression, faults))

    def test_labels_of_results(self):
        for expression, labels in (
            ("sum by (instance) (rookery_gateway_sessions)", {"instance"}),
            ("sum (rookery_gateway_sessions)", set()),
            ("rookery_gateway_connections", {"instance", "service", "job", "listener"}),
        ):
            self.assertEqual(self.catalogue.result_labels(expression), labels, expression)


class PromqlTest(unittest.TestCase):
    def test_what_cannot_be_read_is_an_error(self):
        for text in ("sum(a", 'a{b="c"', "a $ b", 'a{b="c" d}'):
            with self.assertRaises(promql.Unreadable, msg=text):
                promql.parse(text + " ") and promql.parse(f"sum by (x) ({text}")

    def test_selectors(self):
        parsed = promql.parse('sum by (x, y) (rate(a{b="c", d!~"e|\\"f"}[5m])) / ignoring (z) group_left (w) {__name__="g"} > bool 0.5')
        self.assertEqual([(s.name, s.matchers) for s in parsed.selectors],
                         [("a", [("b", "=", "c"), ("d", "!~", 'e|"f')]), ("", [("__name__", "=", "g")])])
        self.assertEqual([(g.labels, [s.name for s in g.selectors]) for g in parsed.groupings], [(["x", "y"], ["a"])])


class NamesTest(unittest.TestCase):
    def test_what_does_not_exist_is_found(self):
        text = "See `shards.store-waiting` and shard.paused (not shard.pawsed); rpc.tls, kafka.bogus, message.max.bytes. sasl.max-failures-… End."
        self.assertEqual(names.unknown(text), ["shard.pawsed", "kafka.bogus"])
