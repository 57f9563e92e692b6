import socketserver
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

from rookery_local import jid_hash, sessions
from rookery_local.errors import ClusterError, UsageError
from rookery_local.layout import Options
from rookery_local.paths import State

PASSWORD = "a password for tests"
SHARDS = {
    "rookery:sessions:{0}": {"owner": "7 session-manager-1", "ann@localhost/phone": "1700000000000 session-manager-1 gateway-1"},
    "rookery:sessions:{1}": {"bob*@localhost/x y": "1700000000001 session-manager-2 -", "bobby@localhost/z": "5 session-manager-2 gateway-2"},
}


class _Redis(socketserver.StreamRequestHandler):
    """HGET and HSCAN, two fields to a page."""

    def handle(self):
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].decode())
            if words[0] == "AUTH":
                self.wfile.write(b"+OK\r\n" if words[1:] == ["admin", PASSWORD] else b"-WRONGPASS\r\n")
                continue
            fields = SHARDS.get(words[1], {})
            if words[0] == "HGET":
                self._bulk(fields.get(words[2]))
                continue
            start = int(words[2])
            page = list(fields.items())[start : start + 2]
            matching = [text for name, value in page if self._matches(words[4], name) for text in (name, value)]
            self.wfile.write(b"*2\r\n")
            self._bulk(str(start + 2) if start + 2 < len(fields) else "0")
            self.wfile.write(b"*%d\r\n" % len(matching))
            for text in matching:
                self._bulk(text)

    def _bulk(self, text):
        data = None if text is None else text.encode()
        self.wfile.write(b"$-1\r\n" if data is None else b"$%d\r\n%s\r\n" % (len(data), data))

    @staticmethod
    def _matches(pattern, name):
        return "/" in name if pattern == "*/*" else name.startswith(pattern.replace("\\", "")[:-1])


class SessionsTest(unittest.TestCase):
    def setUp(self):
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Redis)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        patch = mock.patch.object(Options, "ports", return_value={"redis": self.server.server_address[1]})
        patch.start()
        self.addCleanup(patch.stop)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.state = State(Path(directory.name))
        self.state.make()
        (self.state.secrets / "redis-admin").write_text(PASSWORD)

    def read(self, jid=""):
        return [entry["jid"] for entry in sessions.read(self.state, Options(partitions=4), "key", jid)]

    def test_all_of_a_user_and_one(self):
        self.assertEqual(self.read(), ["ann@localhost/phone", "bob*@localhost/x y", "bobby@localhost/z"])
        self.assertEqual(self.read("bob*@localhost"), ["bob*@localhost/x y"])
        self.assertEqual(self.read("ann@localhost/phone"), ["ann@localhost/phone"])
        self.assertEqual(self.read("ann@localhost/laptop"), [])

    def test_where_it_is(self):
        (entry,) = sessions.read(self.state, Options(), "key", "ann@localhost")
        self.assertEqual((entry["gateway"], entry["session_manager"], entry["since_ms"]), ("gateway-1", "session-manager-1", 1700000000000))
        self.assertEqual(entry["hash"], jid_hash.of("key", "ann@localhost"))
        self.assertIn(entry["hash"], sessions.as_table([entry]))
        (away,) = sessions.read(self.state, Options(), "key", "bob*@localhost")
        self.assertEqual(away["gateway"], "")
        self.assertIn("(away)", sessions.as_table([away]))

    def test_addresses_are_told_from_garbage(self):
        self.assertEqual(sessions.address("Ann@LocalHost/Phone"), "ann@localhost/Phone")
        self.assertEqual(sessions.address("bob*@localhost/x@y/z w"), "bob*@localhost/x@y/z w")
        for garbage in ("garbage", "", "@localhost", "ann@", "ann@localhost/", "a b@localhost", "a@b@c", "localhost/phone"):
            with self.assertRaises(UsageError, msg=garbage):
                sessions.address(garbage)

    def test_without_redis_one_clear_line(self):
        self.server.shutdown()
        self.server.server_close()
        with self.assertRaisesRegex(ClusterError, "Redis does not answer"):
            self.read()


if __name__ == "__main__":
    unittest.main()
