import unittest

from rookery_local import prometheus
from rookery_local.layout import SERVICES, Options


class PrometheusTest(unittest.TestCase):
    def test_every_process_of_ours_is_a_target(self):
        targets = prometheus.targets(Options(replicas={service: 2 for service in SERVICES} | {"gateway": 3, "muc": 0}))
        self.assertEqual(len(targets), 9)
        self.assertIn({"targets": ["127.0.0.1:5246"], "labels": {"service": "gateway", "instance": "gateway-3"}}, targets)
        self.assertIn({"targets": ["127.0.0.1:5523"], "labels": {"service": "session-manager", "instance": "session-manager-1"}}, targets)

    def test_without_tls_too(self):
        self.assertIn("127.0.0.1:5226", [target["targets"][0] for target in prometheus.targets(Options(tls="off"))])
