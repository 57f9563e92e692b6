"""One gRPC call by hand, as any process can make that reaches a service's port."""

import asyncio
import ssl
import struct
from pathlib import Path

DOMAIN = "rookery.internal"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4


def context(certificates: Path, caller: str | None) -> ssl.SSLContext:
    """Shows the certificate of the service `caller`, or none."""
    made = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    made.set_alpn_protocols(["h2"])
    if caller:
        made.load_cert_chain(certificates / f"{caller}.pem", certificates / f"{caller}.key")
    return made


def server_context(certificates: Path, service: str) -> ssl.SSLContext:
    """Of whoever has the certificate of `service`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_alpn_protocols(["h2"])
    made.load_cert_chain(certificates / f"{service}.pem", certificates / f"{service}.key")
    return made


async def call(address: str, service: str, method: str, tls: ssl.SSLContext, seconds: float = 10) -> bytes:
    """An empty request to `method` of a server that must be `service`; all bytes that come back until the
    answer's last header. gRPC writes these without compressing them, so that texts can be looked for."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(host, int(port), ssl=tls, server_hostname=f"{service}.{DOMAIN}"), seconds)
    headers = {":method": "POST", ":scheme": "https", ":path": method, ":authority": f"{service}.{DOMAIN}",
               "te": "trailers", "content-type": "application/grpc"}
    # Literals that are not to be indexed.
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
    writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_HEADERS, 1, block)
                 + _frame(_DATA, _END_STREAM, 1, b"\0" * 5))
    answer = b""
    try:
        async with asyncio.timeout(seconds):
            while b"grpc-status" not in answer:
                data = await reader.read(4096)
                if not data:
                    break
                answer += data
    finally:
        writer.close()
    return answer


def _text(text: str) -> bytes:
    assert len(text) < 127
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
