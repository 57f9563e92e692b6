"""Runs a test program, its output line by line."""

import os
import subprocess
from pathlib import Path
from typing import Callable

from rookery_local.paths import SOURCE


def run(
    command: list[str],
    on_line: Callable[[str], None],
    environment: dict[str, str] | None = None,
    directory: Path = SOURCE,
    yields: bool = False,
) -> int:
    """`yields`: it takes what processor time others leave. Returns the exit status."""
    if yields:
        command = ["nice", "-n", "19", *command]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        cwd=directory, env={**os.environ, **(environment or {})},
    )
    with process:
        try:
            for line in process.stdout:
                on_line(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    return process.returncode
