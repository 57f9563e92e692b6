"""SCRAM (RFC 5802, 7677) with channel binding, and PLAIN, from the client's side."""

import base64
import functools
import hashlib
import hmac
import secrets


class SaslFailure(Exception):
    """The server refused: `condition` is SASL's."""

    def __init__(self, condition: str, text: str = ""):
        super().__init__(f"{condition} {text}".strip())
        self.condition = condition


@functools.lru_cache(maxsize=65536)
def _salted(algorithm: str, password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, iterations)


class Scram:
    """One exchange. `mechanism` is SCRAM-SHA-1 or SCRAM-SHA-256, also -PLUS, for which
    `binding` is (type, data)."""

    def __init__(self, mechanism: str, user: str, password: str, binding: tuple[str, bytes] | None = None, authzid=""):
        self.mechanism = mechanism
        base = mechanism.removesuffix("-PLUS")
        self._algorithm = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[base]
        self._password = password
        self._nonce = secrets.token_urlsafe(18)
        flag = f"p={binding[0]}" if mechanism.endswith("-PLUS") else "n"
        self._header = f"{flag},{'a=' + authzid if authzid else ''},"
        self._binding = binding[1] if mechanism.endswith("-PLUS") else b""
        name = user.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={self._nonce}"
        self._server_signature = b""

    def first(self) -> bytes:
        return (self._header + self._bare).encode()

    def final(self, challenge: bytes) -> bytes:
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        nonce, salt, iterations = fields["r"], base64.b64decode(fields["s"]), int(fields["i"])
        assert nonce.startswith(self._nonce) and len(nonce) > len(self._nonce), "the server's nonce does not extend ours"
        bound = base64.b64encode(self._header.encode() + self._binding).decode()
        without_proof = f"c={bound},r={nonce}"
        message = f"{self._bare},{challenge.decode()},{without_proof}".encode()
        salted = _salted(self._algorithm, self._password, salt, iterations)
        client_key = self._hmac(salted, b"Client Key")
        signature = self._hmac(hashlib.new(self._algorithm, client_key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self._server_signature = self._hmac(self._hmac(salted, b"Server Key"), message)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, success: bytes) -> None:
        fields = dict(part.split("=", 1) for part in success.decode().split(","))
        assert base64.b64decode(fields["v"]) == self._server_signature, "the server does not know the password"

    def _hmac(self, key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, self._algorithm).digest()


def plain(user: str, password: str, authzid: str = "") -> bytes:
    return f"{authzid}\0{user}\0{password}".encode()
