"""Authorities and certificates, for development only: for clients of localhost, and between our services."""

from pathlib import Path

from rookery_local.commands import run
from rookery_local.errors import ClusterError
from rookery_local.layout import DOMAIN, SERVICES
from rookery_local.paths import State

# Made anew well before they end.
DAYS = 365
RENEW_SECONDS = 30 * 24 * 3600


# Ends in what libs/rpc expects behind a service's name.
_SERVICE_DOMAIN = "rookery.internal"


def make(state: State) -> None:
    _authority(state.certificates, "Rookery development authority")
    _issue(state.certificates, "server", f"DNS:{DOMAIN},IP:127.0.0.1,IP:::1", "serverAuth")
    # Of its own: who trusts the other one, in a browser say, need not trust this.
    services = service_directory(state)
    services.mkdir(exist_ok=True)
    services.chmod(0o700)
    _authority(services, "Rookery development authority between services")
    for service in SERVICES:
        _issue(services, service, f"DNS:{service}.{_SERVICE_DOMAIN}", "serverAuth,clientAuth")


def service_directory(state: State) -> Path:
    """ca.pem, and for each service <service>.pem and .key, which say that a process is one."""
    return state.certificates / "services"


def _authority(directory: Path, name: str) -> None:
    ca, ca_key = directory / "ca.pem", directory / "ca.key"
    if ca.exists() and ca_key.exists() and _lasts(ca):
        return
    _openssl(
        "req", "-x509", *_NEW_KEY, "-keyout", ca_key, "-out", ca, "-days", DAYS, "-subj", f"/CN={name}",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )
    ca_key.chmod(0o600)
    for path in directory.glob("*.pem"):
        if path != ca:
            path.unlink()


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _issue(directory: Path, name: str, names: str, usage: str) -> None:
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    if certificate.exists() and key.exists() and _lasts(certificate):
        return
    request, extensions = directory / f"{name}.csr", directory / f"{name}.ext"
    extensions.write_text(
        f"subjectAltName={names}\n"
        f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n"
    )
    _openssl("req", "-new", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
    _openssl(
        "x509", "-req", "-in", request, "-CA", directory / "ca.pem", "-CAkey", directory / "ca.key", "-CAcreateserial",
        "-out", certificate, "-days", DAYS, "-extfile", extensions,
    )
    key.chmod(0o600)
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
