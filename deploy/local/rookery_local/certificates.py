"""A certificate authority and a certificate for localhost, for development only."""

from pathlib import Path

from rookery_local.commands import run
from rookery_local.errors import ClusterError
from rookery_local.layout import DOMAIN
from rookery_local.paths import State

# Made anew well before they end.
DAYS = 365
RENEW_SECONDS = 30 * 24 * 3600


def make(state: State) -> None:
    directory = state.certificates
    ca, ca_key = directory / "ca.pem", directory / "ca.key"
    certificate, key = directory / "server.pem", directory / "server.key"
    if all(path.exists() for path in (ca, certificate, key)) and _lasts(certificate):
        return
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", ca_key,
        "-out", ca, "-days", DAYS, "-subj", "/CN=Rookery development authority",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )
    request, extensions = directory / "server.csr", directory / "server.ext"
    extensions.write_text(
        f"subjectAltName=DNS:{DOMAIN},IP:127.0.0.1,IP:::1\n"
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
    )
    _openssl(
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
        "-out", request, "-subj", f"/CN={DOMAIN}",
    )
    _openssl(
        "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", certificate,
        "-days", DAYS, "-extfile", extensions,
    )
    for path in (ca_key, key):
        path.chmod(0o600)
    request.unlink()
    extensions.unlink()


def _lasts(certificate: Path) -> bool:
    try:
        _openssl("x509", "-in", certificate, "-noout", "-checkend", RENEW_SECONDS)
    except ClusterError:
        return False
    return True


def _openssl(*arguments) -> None:
    run(["openssl", *map(str, arguments)], "openssl")
