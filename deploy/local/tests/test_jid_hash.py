import tempfile
import unittest
from pathlib import Path

from rookery_local import jid_hash, services
from rookery_local.layout import Name
from rookery_local.paths import State


class JidHashTest(unittest.TestCase):
    def test_is_the_one_of_libs_telemetry(self):
        """The same value stands in libs/telemetry/tests/log_test.cc."""
        self.assertEqual(jid_hash.of("a key for tests", "ann@localhost"), "5bce24ab86d31d75")

    def test_agrees_with_the_reference_of_siphash(self):
        key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
        for length, value in ((0, 0x726FDB47DD0E0E31), (1, 0x74F839C593DC67FD), (15, 0xA129CA6149BE45E5)):
            self.assertEqual(jid_hash._siphash(key, bytes(range(length))), value)

    def test_a_full_address_has_the_hash_of_its_user(self):
        self.assertEqual(jid_hash.of("k", "ann@localhost/phone"), jid_hash.of("k", "ann@localhost"))
        self.assertNotEqual(jid_hash.of("k", "ann@localhost"), jid_hash.of("l", "ann@localhost"))

    def test_every_service_has_the_clusters_one_key_which_others_cannot_read(self):
        with tempfile.TemporaryDirectory() as name:
            state = State(Path(name))
            state.make()
            keys = {
                services._environment(state, Name(service, instance))["ROOKERY_LOG_JID_KEY"]
                for service in ("gateway", "session-manager", "roster", "muc", "search")
                for instance in (1, 2)
            }
            self.assertEqual(keys, {jid_hash.key(state)})
            self.assertGreaterEqual(len(jid_hash.key(state)), 32)
            self.assertEqual((state.secrets / "log-jid-key").stat().st_mode & 0o077, 0)


if __name__ == "__main__":
    unittest.main()
