"""Our own services: their configuration files and their start."""

import json
import os
import subprocess
from pathlib import Path

from rookery_local import certificates, generated, jid_hash, kafka, postgresql, processes, redis, secret_files
from rookery_local.errors import ClusterError
from rookery_local.layout import DOMAIN, HOST, Name, Options
from rookery_local.output import Progress
from rookery_local.paths import State

_WITH_DATABASE = ("session-manager", "roster", "muc")
_WITH_KAFKA = ("session-manager", "muc", "search")


def configure(state: State, options: Options, name: Name, progress: Progress) -> None:
    """Writes the file of settings that follow from the options."""
    generated.write(state.config / f"{name.file}.yaml", _yaml(_settings(state, options, name)), own_settings(state, name), progress)


def own_settings(state: State, name: Name) -> list[Path]:
    """The developer's: of every instance of the service, and of this one, which wins."""
    return [state.settings / f"{name.service}.yaml", state.settings / f"{name.file}.yaml"]


def check(state: State, options: Options, name: Name) -> None:
    """Before anything is stopped or started: the service itself says what is wrong with its settings."""
    answer = subprocess.run(
        [*_command(state, options, name), "--check-config"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, errors="replace", cwd=state.root, env={**os.environ, **_environment(state, name)},
    )
    if answer.returncode != 0:
        lines = answer.stderr.strip().splitlines() or [f"--check-config exited with status {answer.returncode}"]
        raise ClusterError("\n  ".join([f"the settings of {name} are wrong; nothing was started or stopped", *lines]))


def start(state: State, options: Options, name: Name) -> None:
    processes.start(state, name, _command(state, options, name), _environment(state, name))


def _command(state: State, options: Options, name: Name) -> list[str]:
    files = [state.config / f"{name.file}.yaml", *(path for path in own_settings(state, name) if path.exists())]
    return [str(options.binary(name.service)), *(word for path in files for word in ("--config", str(path)))]


def _environment(state: State, name: Name) -> dict[str, str]:
    environment = {
        "ROOKERY_LOG_JID_KEY": jid_hash.key(state),
        _variable(name, "REDIS__PASSWORD_FILE"): str(redis.password_file(state, name.service)),
    }
    if name.service in _WITH_KAFKA:
        environment[_variable(name, "KAFKA__PASSWORD_FILE")] = str(kafka.password_file(state, name.service))
    if name.service in _WITH_DATABASE:
        environment[_variable(name, "PG__PASSWORD_FILE")] = str(postgresql.password_file(state, name.service))
    if name.service == "gateway":
        # Every one must show unknown users the same salt.
        environment[_variable(name, "SASL__FAKE_SALT_KEY_FILE")] = str(secret_files.path(state, "fake-salt-key"))
    return environment


def _settings(state: State, options: Options, name: Name) -> dict:
    ports = options.ports(name)
    settings = {
        "instance": name.file,
        "admin": {"address": f"{HOST}:{ports['admin']}"},
        "redis": {"addresses": [options.address("redis", "redis")], "user": name.service},
        "rpc": {},
    }
    if options.service_tls:
        files = {"ca-file": "ca.pem", "certificate-file": f"{name.service}.pem", "key-file": f"{name.service}.key"}
        settings["rpc"]["tls"] = {key: str(certificates.service_directory(state) / file) for key, file in files.items()}
    if name.service == "gateway":
        return settings | _gateway(state, options, name)
    settings["rpc"]["address"] = f"{HOST}:{ports['rpc']}"
    if name.service in ("session-manager", "muc"):
        settings["domains"] = [DOMAIN]
    if name.service == "session-manager":
        settings["registration"] = {"enabled": True}
    if name.service in _WITH_KAFKA:
        settings["kafka"] = {
            "brokers": [options.address("kafka", "kafka")], "partitions": options.partitions, "user": name.service,
        }
    if name.service in _WITH_DATABASE:
        settings["pg"] = {"connection": postgresql.connection(options, name.service)}
    return settings


def _gateway(state: State, options: Options, name: Name) -> dict:
    listeners = options.listeners(name)
    own = {
        listener: {"address": listeners[listener]}
        for listener in ("xmpp", "xmpp-tls", "websocket", "websocket-tls")
        if listener in listeners
    }
    own["xmpp"]["tls"] = options.tls
    for listener, scheme in (("websocket-tls", "wss"), ("websocket", "ws")):
        if listener in own:
            port = own[listener]["address"].rpartition(":")[2]
            own.setdefault("websocket", {})["public-url"] = f"{scheme}://{DOMAIN}:{port}/xmpp-websocket"
            break
    settings = {
        "domains": [DOMAIN],
        "listeners": own,
        # Plain passwords on a connection in the clear: for simple clients on loopback only.
        # All of its users come from one address.
        "sasl": {"plain-without-tls": options.tls != "required", "max-failures-per-network": 0},
        "registration": {"enabled": True, "per-minute": 0},
    }
    if options.tls != "off":
        own = state.certificates
        settings["tls"] = {"certificates": [f"*={own / 'server.pem'}:{own / 'server.key'}"]}
    return settings


def _variable(name: Name, key: str) -> str:
    return f"ROOKERY_{name.service.upper().replace('-', '_')}__{key}"


def _yaml(value: dict, indent: int = 0) -> str:
    """JSON's scalars and lists are YAML's too."""
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and not item:
            continue
        if isinstance(item, dict):
            lines.append(" " * indent + f"{key}:\n" + _yaml(item, indent + 2))
        else:
            lines.append(" " * indent + f"{key}: {json.dumps(item)}\n")
    return "".join(lines)
