"""A TLS connection through `openssl s_client`, which can export keying material."""

import asyncio
import re

from harness import ns
from harness.wait import BOUND
from harness.xml import Element, StreamReader


class OpensslConnection:
    def __init__(self, process):
        self._process = process
        self.keying_material = b""
        self._reader: StreamReader | None = None
        self._elements: list[Element] = []

    @classmethod
    async def open(cls, address: str, domain: str, ca_file: str) -> "OpensslConnection":
        process = await asyncio.create_subprocess_exec(
            "openssl", "s_client", "-connect", address, "-servername", domain, "-CAfile", ca_file, "-verify_return_error",
            "-tls1_3", "-alpn", "xmpp-client", "-ign_eof", "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )
        self = cls(process)
        while True:
            line = (await asyncio.wait_for(process.stdout.readline(), BOUND)).decode(errors="replace")
            assert line, "openssl s_client ended before the handshake was done"
            match = re.match(r"\s*Keying material: ([0-9A-F]+)", line)
            if match:
                self.keying_material = bytes.fromhex(match.group(1))
            if self.keying_material and line.startswith("---"):
                return self

    def write(self, data: str) -> None:
        self._process.stdin.write(data.encode())

    async def stream(self, domain: str) -> Element:
        """Opens the stream and gives its features."""
        self._reader = StreamReader(lambda e: None, self._elements.append, lambda: None)
        self.write(f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='{domain}' version='1.0'>")
        return await self.next()

    async def next(self) -> Element:
        while not self._elements:
            data = await asyncio.wait_for(self._process.stdout.read(65536), BOUND)
            assert data, "the connection ended"
            if not self._started:
                # s_client prints sessions as they arrive; the stream begins behind them.
                self._pending += data
                at = min((i for i in (self._pending.find(b"<?xml"), self._pending.find(b"<stream:stream")) if i >= 0), default=-1)
                if at < 0:
                    continue
                data, self._started = self._pending[at:], True
            self._reader.feed(data)
        return self._elements.pop(0)

    _started = False
    _pending = b""

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
