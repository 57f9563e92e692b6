"""Which processes there are, for a Prometheus of one's own (deploy/prometheus/prometheus.yml); none is started here."""

import json

from rookery_local.layout import SERVICES, Options
from rookery_local.paths import State


def write_targets(state: State, options: Options) -> None:
    path = state.config / "prometheus-targets.json"
    # Prometheus must never read half of it.
    part = path.with_suffix(".part")
    part.write_text(json.dumps(targets(options), indent=1) + "\n")
    part.rename(path)


def targets(options: Options) -> list[dict]:
    """As file_sd_configs takes them. Boards and rules rely on the labels."""
    return [
        {"targets": [options.listeners(name)["admin"]], "labels": {"service": name.service, "instance": name.file}}
        for name in options.names()
        if name.service in SERVICES
    ]
