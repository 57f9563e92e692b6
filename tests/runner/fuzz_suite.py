"""tests/fuzz/run.py: some seconds of every libFuzzer target."""

import re
import sys

from rookery_local.paths import SOURCE
from runner.context import Context
from runner.counts import Counts
from runner.process import run

PROGRAM = SOURCE / "tests" / "fuzz" / "run.py"
_SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed$")


def names(context: Context) -> list[str]:
    return ["fuzz"] if PROGRAM.exists() and context.matches("fuzz") else []


def execute(context: Context) -> Counts:
    if not names(context):
        return Counts()
    context.progress.step("fuzz")
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        context.progress.update(line)

    status = run([sys.executable, str(PROGRAM), "--seconds", str(context.fuzz_seconds)], on_line, yields=context.yields)
    match = _SUMMARY.match(lines[-1]) if lines else None
    passed, failed = (int(match.group(1)), int(match.group(2))) if match else (int(status == 0), int(status != 0))
    if failed or status != 0:
        context.progress.say("fuzz FAILED\n  " + "\n  ".join(lines[-60:]))
        failed = max(failed, 1)
    context.progress.done(f"{passed} of {passed + failed} targets, {context.fuzz_seconds} s each")
    return Counts(passed, [f"fuzz target {n + 1} of {failed} that failed" for n in range(failed)])
