import asyncio
import json
import os
import tempfile
import unittest
from pathlib import Path

from harness.relay import Processes, Relay


class RelayTest(unittest.IsolatedAsyncioTestCase):
    """An echo server behind a relay; the client's name is always `me/1`."""

    async def asyncSetUp(self):
        self.seen = b""
        self.seen_more = asyncio.Event()

        def see(data):
            self.seen += data
            self.seen_more.set()

        self.server = await self.echo_server(see)
        self.relay = Relay(lambda local, remote: "me/1")
        upstream = f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        self.port = await self.relay.listen("echo/1", 0, upstream)
        self.link = self.relay.link("me/1", "echo/1")
        # Another link through the same relay, which no test disturbs.
        self.witness_server = await self.echo_server(lambda data: None)
        witness = self.witness_server.sockets[0].getsockname()[1]
        port = await self.relay.listen("witness/1", 0, f"127.0.0.1:{witness}")
        self.witness_reader, self.witness_writer = await asyncio.open_connection("127.0.0.1", port)

    async def echo_server(self, see):
        async def echo(reader, writer):
            try:
                while data := await reader.read(65536):
                    see(data)
                    writer.write(data)
            except ConnectionError:
                pass
            writer.close()

        return await asyncio.start_server(echo, "127.0.0.1", 0)

    async def asyncTearDown(self):
        self.witness_writer.close()
        await self.relay.close()
        self.server.close()
        self.witness_server.close()

    async def connect(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.addCleanup(writer.close)
        return reader, writer

    async def others_pass(self) -> None:
        """What was sent before on a link that is open has arrived: the witness has gone the same way
        and back several times since."""
        for _ in range(5):
            self.witness_writer.write(b"w")
            await self.witness_reader.readexactly(1)

    async def silence(self, reader) -> None:
        read = asyncio.ensure_future(reader.read(1))
        await self.others_pass()
        came = read.done()
        read.cancel()
        await asyncio.gather(read, return_exceptions=True)
        self.assertFalse(came, "something came")

    async def test_bytes_and_ends_pass(self):
        reader, writer = await self.connect()
        payload = os.urandom(3_000_000)
        writer.write(payload)
        writer.write_eof()
        self.assertEqual(await reader.read(-1), payload)

    async def test_a_cut_is_silent_and_loses_nothing(self):
        reader, writer = await self.connect()
        writer.write(b"a")
        self.assertEqual(await reader.readexactly(1), b"a")
        self.link.cut()
        writer.write(b"b")
        await self.silence(reader)
        self.assertEqual(self.seen, b"a")
        self.link.heal()
        self.assertEqual(await reader.readexactly(1), b"b")

    async def test_one_way_lets_the_other_way_pass(self):
        reader, writer = await self.connect()
        writer.write(b"a")
        await reader.readexactly(1)
        self.link.cut_to_client()
        self.seen_more.clear()
        writer.write(b"b")
        await asyncio.wait_for(self.seen_more.wait(), 20)
        self.assertEqual(self.seen, b"ab")
        await self.silence(reader)
        self.link.heal()
        self.assertEqual(await reader.readexactly(1), b"b")
        self.link.cut_to_server()
        writer.write(b"c")
        await self.silence(reader)
        self.assertEqual(self.seen, b"ab")

    async def test_an_end_does_not_pass_a_cut(self):
        reader, writer = await self.connect()
        writer.write(b"a")
        await reader.readexactly(1)
        self.link.cut()
        writer.write_eof()
        await self.silence(reader)
        self.link.heal()
        self.assertEqual(await reader.read(-1), b"")

    async def test_what_a_cut_holds_is_bounded(self):
        reader, writer = await self.connect()
        self.link.cut()
        writer.write(bytes(50_000_000))
        waiting = 50_000_000
        while (now := writer.transport.get_write_buffer_size()) != waiting:
            waiting = now
            await self.others_pass()
        self.assertGreater(waiting, 30_000_000)

    async def test_delay_keeps_order(self):
        reader, writer = await self.connect()
        self.link.delay(0.05)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for n in range(10):
            writer.write(bytes([n]))
            await writer.drain()
        self.assertEqual(await reader.readexactly(10), bytes(range(10)))
        # Time is what is tested: not too early.
        self.assertGreaterEqual(loop.time() - began, 0.05)

    async def test_slow_takes_its_time(self):
        reader, writer = await self.connect()
        self.link.slow(100_000)
        began = asyncio.get_running_loop().time()
        writer.write(bytes(20_000))
        await reader.readexactly(20_000)
        # Time is what is tested: not too early.
        self.assertGreaterEqual(asyncio.get_running_loop().time() - began, 0.2)

    async def test_a_reset_ends_both_ends(self):
        reader, writer = await self.connect()
        writer.write(b"a")
        await reader.readexactly(1)
        self.link.reset()
        with self.assertRaises(ConnectionResetError):
            await reader.readexactly(1)

    async def test_a_server_that_is_away_resets(self):
        self.server.close()
        await self.server.wait_closed()
        with self.assertRaises((ConnectionError, asyncio.IncompleteReadError)):
            reader, _ = await self.connect()
            await reader.readexactly(1)

    async def test_links_are_found_by_pattern(self):
        self.relay.link("gateway/1", "session-manager/1")
        self.relay.link("gateway/2", "session-manager/1")
        self.assertEqual({str(link) for link in self.relay.links("gateway/*", "session-manager/1")},
                         {"gateway/1 - session-manager/1", "gateway/2 - session-manager/1"})
        self.assertEqual([str(link) for link in self.relay.links("*/2")], ["gateway/2 - session-manager/1"])

    async def test_faults_concern_one_link_only(self):
        reader, writer = await self.connect()
        self.relay.link("gateway/2", "echo/1").cut()
        writer.write(b"a")
        self.assertEqual(await reader.readexactly(1), b"a")


class ProcessesTest(unittest.IsolatedAsyncioTestCase):
    async def test_the_holder_of_a_socket_is_known_by_its_pid(self):
        with tempfile.TemporaryDirectory() as name:
            state = Path(name)
            (state / "run").mkdir()
            (state / "run" / "session-manager-2.json").write_text(json.dumps({"pid": os.getpid()}))
            who = Processes(state)
            seen = asyncio.get_running_loop().create_future()
            server = await asyncio.start_server(
                lambda _, writer: seen.set_result(who(*map(writer.get_extra_info, ("peername", "sockname")))), "127.0.0.1", 0)
            _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
            self.assertEqual(await seen, "session-manager/2")
            writer.close()
            server.close()
            (state / "run" / "session-manager-2.json").unlink()
            self.assertEqual(who(("127.0.0.1", 1), ("127.0.0.1", 2)), "elsewhere/1")


if __name__ == "__main__":
    unittest.main()
