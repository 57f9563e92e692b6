"""What the sources say: settings, programs, images, what the admin port serves."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import yaml

SOURCE = Path(__file__).resolve().parents[2]
SERVICES = ("gateway", "session-manager", "roster", "muc", "search")

_EVERY = ("libs/app/src/common_config.cc", "libs/redis/src/options.cc")
_RPC = ("libs/rpc/src/server.cc",)
_MEMBER = ("libs/member/src/member.cc", "libs/kafka/src/options.cc")
_DATABASE = ("libs/pg/src/options.cc",)
# Where each service's settings are bound.
_BOUND_IN = {
    "gateway": (*_EVERY, *_RPC, "services/gateway/src/config.cc"),
    "session-manager": (*_EVERY, *_RPC, *_MEMBER, *_DATABASE, "services/session-manager/src/config.cc"),
    "roster": (*_EVERY, *_RPC, *_DATABASE, "services/roster/src/config.h"),
    "muc": (*_EVERY, *_RPC, *_MEMBER, *_DATABASE, "services/muc/src/config.cc"),
    "search": (*_EVERY, *_RPC, *_MEMBER),
}
_BIND = re.compile(r'\bschema\.(Bind|BindSecret|BindChoice)\(\s*"([^"]+)"\s*,\s*&[\w.]+\s*,\s*(?:\{([^}]*)\})?')


@dataclass(frozen=True)
class Setting:
    is_secret: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    settings: dict[str, dict[str, Setting]]
    # Names of programs that the image has, of images that are built, of paths that the admin port serves.
    programs: frozenset[str]
    images: frozenset[str]
    admin_paths: frozenset[str]
    # Without the part that names the service.
    metrics: frozenset[str]
    # What follows a service's name in its certificate.
    tls_domain: str


def read() -> Facts:
    dockerfile = _text("deploy/docker/Dockerfile")
    return Facts(
        {service: settings(service) for service in SERVICES},
        frozenset(re.findall(r"\brookery-(?:gateway|session-manager|roster|muc|search)\b", dockerfile)),
        frozenset(images()),
        frozenset(re.findall(r'path [!=]= "(/\w+)"', _text("libs/app/src/admin.cc"))),
        frozenset(metrics()),
        re.search(r'TlsName\(std::string_view service\) \{ return std::string\(service\) \+ "(\.[a-z.]+)"', _text("libs/rpc/src/server.cc"))[1],
    )


def settings(service: str) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for file in _BOUND_IN[service]:
        for how, key, choices in _BIND.findall(_text(file)):
            # The gateway serves no gRPC.
            if service == "gateway" and key in ("rpc.address", "rpc.advertised-address"):
                continue
            found[key] = Setting(how == "BindSecret", tuple(re.findall(r'"([^"]+)"', choices)))
    return found


def images() -> Iterator[str]:
    """The names under which docker-compose.yml has our Dockerfile built."""
    for service in yaml.safe_load(_text("docker-compose.yml"))["services"].values():
        if service.get("build", {}).get("dockerfile") == "deploy/docker/Dockerfile":
            yield service["image"].split(":")[0].rpartition("/")[2]


def metrics() -> Iterator[str]:
    for place in ("libs", "services"):
        for path in (SOURCE / place).glob("*/src/**/*.cc"):
            yield from re.findall(r'\b(?:Gauge|Counter|Histogram)\(\s*"([a-z_]+)"', path.read_text())


def variables(service: str, keys: dict[str, Setting]) -> set[str]:
    """Those that the service knows, as libs/config makes them of the keys."""
    known = set()
    for key, setting in keys.items():
        name = f"{prefix(service)}{key.upper().replace('.', '__').replace('-', '_')}"
        known |= {name, f"{name}_FILE"} if setting.is_secret else {name}
    return known


def prefix(service: str) -> str:
    return f"ROOKERY_{service.upper().replace('-', '_')}__"


def _text(path: str) -> str:
    return (SOURCE / path).read_text()
