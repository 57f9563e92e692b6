"""rookery-simulator: as many seeds as fit into three minutes, or as many as are asked for."""

import re

from runner.context import Context
from runner.counts import Counts
from runner.process import run

SECONDS = 180
_FAILED = re.compile(r"^seed (\d+): ")
_SUMMARY = re.compile(r"^(\d+) seeds in ")


def names(context: Context) -> list[str]:
    return ["simulation"] if context.matches("simulation") else []


def execute(context: Context) -> Counts:
    if not names(context):
        return Counts()
    context.progress.step("simulation")
    program = context.build_directory / "bin" / "rookery-simulator"
    which = ["--seeds", f"1..{context.seeds}"] if context.seeds else ["--for", str(SECONDS)]
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        context.progress.update(line)

    status = run([str(program), *which], on_line, yields=context.yields)
    played = next((int(match.group(1)) for match in map(_SUMMARY.match, reversed(lines)) if match), 0)
    failed = [match.group(1) for match in map(_FAILED.match, lines) if match]
    if status != 0 or failed:
        context.progress.say("simulation FAILED\n  " + "\n  ".join(lines[-60:]))
        failed = failed or ["that ended the simulator"]
    context.progress.done(f"{played} seeds, {len(failed)} failed")
    return Counts(played - len(failed) if played else 0, [f"simulation seed {seed}" for seed in failed])
