"""The part of values.schema.json that follows from the services' settings: `config` of each."""

import json
from pathlib import Path

import facts

# What the chart sets itself, from values of its own.
_OWN = {
    "instance", "log.level", "admin.address", "drain-timeout", "domains", "registration.enabled", "listeners.xmpp.tls",
    "limits.max-record-bytes", "sasl.iterations", "scram.iterations",
}
_OWN_SECTIONS = ("redis.", "rpc.", "kafka.", "pg.", "tls.")
_ANY = {"type": ["string", "number", "boolean", "array"]}


def is_free(key: str, setting: facts.Setting) -> bool:
    is_address = key.startswith("listeners.") and key.endswith(".address")
    return not (setting.is_secret or is_address or key in _OWN or key.startswith(_OWN_SECTIONS))


def definition(settings: dict[str, facts.Setting]) -> dict:
    root = _section()
    for key, setting in settings.items():
        if not is_free(key, setting):
            continue
        *sections, name = key.split(".")
        node = root
        for section in sections:
            node = node["properties"].setdefault(section, _section())
        node["properties"][name] = {"enum": list(setting.choices)} if setting.choices else dict(_ANY)
    return root


def definitions(known: facts.Facts) -> dict[str, dict]:
    return {f"config-{service}": definition(settings) for service, settings in known.settings.items()}


def update(path: Path, known: facts.Facts) -> None:
    schema = json.loads(path.read_text())
    schema["definitions"] |= definitions(known)
    path.write_text(json.dumps(schema, indent=2) + "\n")


def _section() -> dict:
    return {"type": "object", "additionalProperties": False, "properties": {}}
