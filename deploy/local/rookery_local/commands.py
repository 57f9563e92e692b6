"""Programs that are run to their end: packages, builds, initdb."""

import os
import subprocess
from collections import deque
from pathlib import Path
from typing import Callable

from rookery_local.errors import ClusterError


def run(
    command: list[str],
    what: str,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    environment: dict[str, str] | None = None,
    directory: Path | None = None,
    identify: Callable[[str], bool] = lambda line: "error" in line.lower(),
) -> str:
    """Runs the command and returns its output. A failure names `what`, the first line that
    `identify` picks or else the last one, and where the whole output is."""
    lines: deque[str] = deque(maxlen=2000)
    culprit = ""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=directory,
            env={**os.environ, **(environment or {})},
        )
    except OSError as error:
        raise ClusterError(f"{what} failed: {command[0]}: {error.strerror}") from error
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
    with open(log or os.devnull, "w") as copy, process:
        try:
            for line in process.stdout:
                copy.write(line)
                line = line.rstrip()
                if not line:
                    continue
                lines.append(line)
                if not culprit and identify(line):
                    culprit = line
                if on_line:
                    on_line(line)
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        reason = culprit or (lines[-1] if lines else f"exit status {process.returncode}")
        where = f" (whole output: {log})" if log else ""
        raise ClusterError(f"{what} failed: {reason.strip()}{where}")
    return "\n".join(lines)
