"""Configures and builds one CMake preset."""

import os
import re
from pathlib import Path

from rookery_local import lock
from rookery_local.commands import run
from rookery_local.output import Progress
from rookery_local.paths import LOCAL, SOURCE

_NINJA_STATUS = re.compile(r"^\[(\d+)/(\d+)\] ?(.*)")


def build(preset: str, directory: Path, targets: list[str], progress: Progress) -> None:
    """Builds `targets` (none: everything). Ninja decides what is out of date."""
    with lock.exclusive(directory.with_name(directory.name + ".lock"), progress):
        environment = _environment()
        progress.step(f"build {preset}" if preset != "release" else "build")
        if not (directory / "build.ninja").exists():
            progress.update("configuring")
            run(
                ["cmake", "--preset", preset, "-B", str(directory)],
                "cmake",
                log=directory.with_name(directory.name + "-configure.log"),
                environment=environment,
                directory=SOURCE,
                identify=lambda line: line.startswith("CMake Error"),
            )
        steps = 0

        def on_line(line: str) -> None:
            nonlocal steps
            match = _NINJA_STATUS.match(line)
            if match:
                steps += 1
                done, total, text = match.groups()
                progress.update(f"{done}/{total} {text}")

        run(
            ["ninja", "-C", str(directory), f"-j{os.cpu_count() or 2}", *targets],
            "the build",
            log=directory.with_name(directory.name + "-build.log"),
            on_line=on_line,
            environment=environment,
            identify=lambda line: ": error: " in line or ": fatal error: " in line or line.startswith("ninja: error"),
        )
        progress.done(f"{steps} steps" if steps else "up to date")


def _environment() -> dict[str, str]:
    """ccache finds the same file again from another clone or build directory."""
    wanted = {
        "CCACHE_BASEDIR": str(SOURCE),
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_DIR": str(LOCAL / "ccache"),
        "NINJA_STATUS": "[%f/%t] ",
    }
    # What the caller has set stays.
    return {key: value for key, value in wanted.items() if key not in os.environ}
