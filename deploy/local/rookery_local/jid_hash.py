"""The hash that stands in the logs in place of an address: SipHash-2-4 of the bare JID under the
first 16 bytes of SHA-256(ROOKERY_LOG_JID_KEY), as 16 hex digits; the same as libs/telemetry's."""

import hashlib
import struct

from rookery_local import secret_files
from rookery_local.paths import State

_MASK = 2**64 - 1


def key(state: State) -> str:
    """The cluster's own, made when it is first needed."""
    return secret_files.read(state, "log-jid-key")


def of(key_text: str, jid: str) -> str:
    """Of a JID's bare part, which is what is logged."""
    digest = hashlib.sha256(key_text.encode()).digest()
    bare = jid.partition("/")[0]
    return f"{_siphash(struct.unpack('<2Q', digest[:16]), bare.encode()):016x}"


def _siphash(key_: tuple[int, int], data: bytes) -> int:
    a, b, c, d = (key_[0] ^ 0x736F6D6570736575, key_[1] ^ 0x646F72616E646F6D, key_[0] ^ 0x6C7967656E657261, key_[1] ^ 0x7465646279746573)
    # The last word carries the length, modulo 256, in its highest byte.
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        d ^= word
        a, b, c, d = _round(*_round(a, b, c, d))
        a ^= word
    c ^= 0xFF
    for _ in range(4):
        a, b, c, d = _round(a, b, c, d)
    return a ^ b ^ c ^ d


def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a = (a + b) & _MASK
    b = _rotate(b, 13) ^ a
    a = _rotate(a, 32)
    c = (c + d) & _MASK
    d = _rotate(d, 16) ^ c
    a = (a + d) & _MASK
    d = _rotate(d, 21) ^ a
    c = (c + b) & _MASK
    b = _rotate(b, 17) ^ c
    return a, b, _rotate(c, 32), d


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK
