import unittest
from pathlib import Path

from rookery_local.errors import ClusterError
from rookery_local.layout import SERVICES, Name, Options


class LayoutTest(unittest.TestCase):
    def test_no_port_is_given_twice(self):
        options = Options(replicas={"gateway": 15, "session-manager": 20, "roster": 20, "muc": 20, "search": 20})
        options.check()
        ports = [port for name in options.names() for port in options.ports(name).values()]
        self.assertEqual(len(ports), len(set(ports)))

    def test_first_gateway_has_the_usual_port(self):
        self.assertEqual(Options().listeners(Name("gateway", 1))["xmpp"], "127.0.0.1:5222")

    def test_without_tls_there_are_no_tls_listeners(self):
        listeners = Options(tls="off").listeners(Name("gateway", 1))
        self.assertEqual(set(listeners), {"xmpp", "websocket", "admin"})

    def test_required_tls_leaves_no_websocket_in_the_clear(self):
        listeners = Options(tls="required").listeners(Name("gateway", 1))
        self.assertEqual(set(listeners), {"xmpp", "xmpp-tls", "websocket-tls", "admin"})

    def test_too_many_replicas_and_odd_ports_are_refused(self):
        for options in (
            Options(replicas={service: 2 for service in SERVICES} | {"gateway": 16}),
            Options(replicas={service: 2 for service in SERVICES} | {"roster": -1}),
            Options(base_port=0),
            Options(base_port=65_500),
            Options(partitions=0),
        ):
            with self.assertRaises(ClusterError):
                options.check()

    def test_backends_start_first_and_gateways_last(self):
        names = [str(name) for name in Options().names()]
        self.assertEqual(names[:3], ["postgresql/1", "redis/1", "kafka/1"])
        self.assertEqual(names[-2:], ["gateway/1", "gateway/2"])

    def test_binaries_lie_in_the_build_directory(self):
        options = Options(build_directory="/somewhere/release")
        self.assertEqual(options.binary("session-manager"), Path("/somewhere/release/bin/rookery-session-manager"))


if __name__ == "__main__":
    unittest.main()
