"""Mistakes made on purpose: whether the simulator finds each of them (tests/simulation/find_mutations.py)."""

import re
import sys

from rookery_local.paths import SOURCE
from runner.context import Context
from runner.counts import Counts
from runner.process import run

_FOUND = re.compile(r"^(\S+) +seed \d+ ")
_MISSED = re.compile(r"^(\S+) +not found ")


def names(context: Context) -> list[str]:
    return ["mutations"] if context.matches("mutations") else []


def execute(context: Context) -> Counts:
    if not names(context):
        return Counts()
    context.progress.step("mutations")
    command = [sys.executable, str(SOURCE / "tests/simulation/find_mutations.py")]
    command += [str(context.build_directory / "bin" / "rookery-simulator")]
    if context.seeds:
        command += ["--seeds", str(context.seeds)]
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        context.progress.update(line)

    status = run(command, on_line)
    found = [match.group(1) for match in map(_FOUND.match, lines) if match]
    missed = [match.group(1) for match in map(_MISSED.match, lines) if match]
    context.progress.say("\n".join(lines))
    if status != 0 and not missed:
        missed = ["that ended find_mutations.py"]
    context.progress.done(f"{len(found)} found, {len(missed)} missed")
    return Counts(len(found), [f"mutation {name}" for name in missed])
