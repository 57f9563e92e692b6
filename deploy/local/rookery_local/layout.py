"""What a cluster consists of, and which port each listener has.

Ports count from the base port (5222 unless said otherwise):

    +0   gateway 1:  xmpp, xmpp-tls, websocket, websocket-tls, admin   (+0 to +4)
    +10  gateway 2, and so on up to gateway 15
    +180 kafka   +181 kafka's controller   +182 postgresql   +183 redis
    +300 session-manager 1:  rpc, admin   (+300, +301); 2 at +302, up to 20
    +340 roster   +380 muc   +420 search, each the same
"""

import dataclasses
import json
from pathlib import Path

from rookery_local.errors import ClusterError, UsageError
from rookery_local.paths import BUILD, State

HOST = "127.0.0.1"
DOMAIN = "localhost"
BACKENDS = ("postgresql", "redis", "kafka")
# In the order of their start.
SERVICES = ("roster", "muc", "search", "session-manager", "gateway")
GATEWAY_LISTENERS = ("xmpp", "xmpp-tls", "websocket", "websocket-tls", "admin")

_BACKEND_LISTENERS = {
    "postgresql": {"postgresql": 182},
    "redis": {"redis": 183},
    "kafka": {"kafka": 180, "controller": 181},
}
_FIRST_PORT = {"session-manager": 300, "roster": 340, "muc": 380, "search": 420}
MOST = {"gateway": 15, "session-manager": 20, "roster": 20, "muc": 20, "search": 20}
_LAST_PORT = 459


@dataclasses.dataclass(frozen=True, order=True)
class Name:
    """One process of the cluster: `gateway/2`."""

    service: str
    instance: int

    def __str__(self) -> str:
        return f"{self.service}/{self.instance}"

    @property
    def file(self) -> str:
        return f"{self.service}-{self.instance}"


@dataclasses.dataclass
class Options:
    """What `up` was told. Kept in the state, so that later commands know it."""

    base_port: int = 5222
    tls: str = "optional"
    service_tls: bool = True
    partitions: int = 4
    build_directory: str = str(BUILD / "release")
    replicas: dict = dataclasses.field(default_factory=lambda: {service: 2 for service in SERVICES})

    @staticmethod
    def load(state: State) -> "Options | None":
        try:
            return Options(**json.loads(state.options.read_text()))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise ClusterError(f"not allowed to read {state.options}: it was made by another user") from error
        except (ValueError, TypeError) as error:
            raise ClusterError(f"{state.options} is damaged; `deploy/local/cluster reset` clears the state") from error

    def save(self, state: State) -> None:
        part = state.options.with_suffix(".part")
        part.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")
        part.rename(state.options)

    def check(self) -> None:
        if not 1 <= self.base_port <= 65535 - _LAST_PORT:
            raise UsageError(f"--base-port must lie between 1 and {65535 - _LAST_PORT}")
        for service, count in self.replicas.items():
            if not 0 <= count <= MOST[service]:
                raise UsageError(f"{service}: between 0 and {MOST[service]} replicas, not {count}")
        if not 1 <= self.partitions <= 256:
            raise UsageError("--partitions must lie between 1 and 256")

    def names(self) -> list[Name]:
        """Everything that should run, in the order of its start."""
        backends = [Name(backend, 1) for backend in BACKENDS]
        return backends + [Name(service, n + 1) for service in SERVICES for n in range(self.replicas[service])]

    def ports(self, name: Name) -> dict[str, int]:
        if name.service in _BACKEND_LISTENERS:
            return {listener: self.base_port + offset for listener, offset in _BACKEND_LISTENERS[name.service].items()}
        if name.service == "gateway":
            first = self.base_port + 10 * (name.instance - 1)
            ports = {listener: first + n for n, listener in enumerate(GATEWAY_LISTENERS)}
            return ports
        first = self.base_port + _FIRST_PORT[name.service] + 2 * (name.instance - 1)
        return {"rpc": first, "admin": first + 1}

    def listeners(self, name: Name) -> dict[str, str]:
        return {
            listener: f"{HOST}:{port}"
            for listener, port in self.ports(name).items()
            if not (self.tls == "off" and listener.endswith("-tls"))
            # A WebSocket in the clear has no STARTTLS that could be required.
            and not (self.tls == "required" and listener == "websocket")
        }

    def address(self, service: str, listener: str) -> str:
        return f"{HOST}:{self.ports(Name(service, 1))[listener]}"

    def binary(self, service: str) -> Path:
        return Path(self.build_directory) / "bin" / f"rookery-{service}"
