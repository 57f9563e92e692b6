"""The client's side of WebSocket (RFC 6455), as much as XMPP needs."""

import base64
import hashlib
import os
import struct

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocketFraming:
    def __init__(self):
        self.is_open = False
        self.refusal = ""
        self.close_code: int | None = None
        self.headers: dict[str, str] = {}
        self._buffer = b""
        self._key = base64.b64encode(os.urandom(16))
        self._fragments = b""

    def request(self, host: str, path: str, protocol: str) -> bytes:
        return (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {self._key.decode()}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
        ).encode()

    def feed(self, data: bytes, write) -> list[bytes]:
        """Whole text messages."""
        self._buffer += data
        if not self.is_open and not self._handshake():
            return []
        messages = []
        while (frame := self._frame()) is not None:
            final, opcode, payload = frame
            if opcode in (0, 1, 2):
                self._fragments += payload
                if final:
                    messages.append(self._fragments)
                    self._fragments = b""
            elif opcode == 8:
                self.close_code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                write(encode(8, payload[:2]))
            elif opcode == 9:
                write(encode(10, payload))
        return messages

    def text_frame(self, data: bytes) -> bytes:
        return encode(1, data)

    def _handshake(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        lines = head.decode(errors="replace").split("\r\n")
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        if " 101 " not in lines[0] + " ":
            self.refusal = lines[0]
            return False
        accept = base64.b64encode(hashlib.sha1(self._key + _GUID).digest()).decode()
        assert self.headers.get("sec-websocket-accept") == accept, "wrong Sec-WebSocket-Accept"
        assert self.headers.get("sec-websocket-protocol") == "xmpp", "the sub-protocol was not chosen"
        self._buffer = rest
        self.is_open = True
        return True

    def _frame(self) -> tuple[bool, int, bytes] | None:
        if len(self._buffer) < 2:
            return None
        first, second = self._buffer[0], self._buffer[1]
        assert not second & 0x80, "the server masks its frames"
        length, at = second & 0x7F, 2
        if length == 126:
            if len(self._buffer) < 4:
                return None
            length, at = struct.unpack(">H", self._buffer[2:4])[0], 4
        elif length == 127:
            if len(self._buffer) < 10:
                return None
            length, at = struct.unpack(">Q", self._buffer[2:10])[0], 10
        if len(self._buffer) < at + length:
            return None
        payload, self._buffer = self._buffer[at : at + length], self._buffer[at + length :]
        return bool(first & 0x80), first & 0x0F, payload


def encode(opcode: int, payload: bytes, final: bool = True) -> bytes:
    """A masked frame."""
    head = bytes([(0x80 if final else 0) | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", len(payload))
    mask = os.urandom(4)
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")
    return head + mask + masked
