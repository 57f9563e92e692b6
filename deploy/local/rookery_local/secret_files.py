"""Secrets of the cluster, each in a file that only its user reads, made when it is first needed."""

import secrets
from pathlib import Path

from rookery_local.errors import ClusterError
from rookery_local.paths import State


def path(state: State, name: str) -> Path:
    """Of the file. Never empty."""
    file = state.secrets / name
    try:
        if not file.exists():
            part = file.with_name(file.name + ".part")
            part.unlink(missing_ok=True)
            part.touch(mode=0o600)
            part.write_text(secrets.token_urlsafe(32))
            part.rename(file)
    except PermissionError as error:
        raise ClusterError(f"cannot read {file}: {error.strerror}") from error
    return file


def read(state: State, name: str) -> str:
    try:
        return path(state, name).read_text().strip()
    except PermissionError as error:
        raise ClusterError(f"cannot read {state.secrets / name}: {error.strerror}") from error
