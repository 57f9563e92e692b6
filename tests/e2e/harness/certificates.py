"""Certificates for clients (RFC 6120 section 13.7.1.4), made by the openssl command."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.client import trusting

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(*arguments) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@dataclass
class Certificate:
    file: Path
    key: Path

    def context(self, ca_file: Path) -> ssl.SSLContext:
        """A client that trusts `ca_file` and shows this certificate."""
        context = trusting(str(ca_file))
        context.load_cert_chain(self.file, self.key)
        return context


class Authority:
    """Signs certificates; everything is in files of `directory`."""

    def __init__(self, directory: Path, name: str):
        self._directory, self._name = directory, name
        directory.mkdir(parents=True, exist_ok=True)
        self.file, self._key = directory / f"{name}.pem", directory / f"{name}.key"
        self._issued = 0
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.file, "-days", 2, "-subj", f"/CN={name}",
                 "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")

    def issue(self, *addresses: str, email: str = "", days: int = 1, usage: str = "clientAuth") -> Certificate:
        """For `addresses` as id-on-xmppAddr; negative `days`: it has ended."""
        self._issued += 1
        stem = self._directory / f"{self._name}-{self._issued}"
        certificate = Certificate(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        names = [f"otherName:1.3.6.1.5.5.7.8.5;UTF8:{address}" for address in addresses]
        names += [f"email:{email}"] if email else []
        extensions.write_text(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n" f"extendedKeyUsage={usage}\n"
            + (f"subjectAltName={','.join(names)}\n" if names else "")
        )
        _openssl("req", "-new", *_NEW_KEY, "-keyout", certificate.key, "-out", request, "-subj", "/CN=somebody")
        _openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key, "-set_serial", 1000 + self._issued,
                 "-out", certificate.file, "-days", days, "-extfile", extensions)
        return certificate
