import unittest

from harness.sasl import Scram
from harness.shards import murmur2, shard_of
from harness.websocket import WebSocketFraming, encode
from harness.xml import StreamReader, name


class ShardsTest(unittest.TestCase):
    def test_murmur2_is_kafkas(self):
        """The values of Apache Kafka's own UtilsTest."""
        for key, value in ((b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536),
                           (b"a-little-bit-longer-string", -1486304829), (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
                           (b"abc", 479470107)):
            self.assertEqual(murmur2(key), value & 0xFFFFFFFF, key)

    def test_shards_are_within_bounds(self):
        self.assertTrue(all(0 <= shard_of(f"u{n}@localhost", 7) < 7 for n in range(1000)))


class ScramTest(unittest.TestCase):
    def test_rfc_7677_example(self):
        exchange = Scram("SCRAM-SHA-256", "user", "pencil")
        exchange._nonce = "rOprNGfwEbeRWgbNEkqO"
        exchange._bare = "n=user,r=rOprNGfwEbeRWgbNEkqO"
        final = exchange.final(b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        self.assertTrue(final.endswith(b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
        exchange.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        with self.assertRaises(AssertionError):
            exchange.check(b"v=AAAA")


class StreamReaderTest(unittest.TestCase):
    def test_elements_as_they_are_complete(self):
        seen = []
        reader = StreamReader(lambda e: seen.append("header"), lambda e: seen.append(name(e)), lambda: seen.append("end"))
        for part in ("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", "<message><bo", "dy/>",
                     "</message><iq/>", "</stream:stream>"):
            reader.feed(part)
        self.assertEqual(seen, ["header", "message", "iq", "end"])


class WebSocketTest(unittest.TestCase):
    def test_frames_in_pieces(self):
        framing = WebSocketFraming()
        framing.is_open = True
        server = b"\x01\x03abc" + b"\x89\x02hi" + b"\x80\x03def" + b"\x81\x7e\x01\x00" + b"x" * 256
        answers, messages = [], []
        for at in range(0, len(server), 5):
            messages += framing.feed(server[at : at + 5], answers.append)
        self.assertEqual(messages, [b"abcdef", b"x" * 256])
        self.assertEqual(answers[0][0], 0x8A)

    def test_client_frames_are_masked(self):
        frame = encode(1, b"hello")
        mask, body = frame[2:6], frame[6:]
        self.assertEqual(frame[:2], b"\x81\x85")
        self.assertEqual(bytes(b ^ mask[i % 4] for i, b in enumerate(body)), b"hello")


if __name__ == "__main__":
    unittest.main()
