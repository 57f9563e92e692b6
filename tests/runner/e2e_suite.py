"""tests/e2e: scenarios against a cluster of their own."""

import json
import re

from rookery_local import test_environment
from rookery_local.paths import SOURCE
from runner.context import Context
from runner.counts import Counts
from runner.process import run

# Away from a developer's own cluster, and below the range that the system hands out.
BASE_PORT = 17222
_DIRECTORY = SOURCE / "tests" / "e2e"


def _command(context: Context) -> list[str]:
    command = [str(test_environment.PYTHON), "-m", "harness.runner", "--state", str(context.work / "cluster")]
    for text in context.filters:
        command += ["-k", text]
    return command


def names(context: Context) -> list[str]:
    lines: list[str] = []
    run([*_command(context), "--list"], lines.append, {"PYTHONPATH": ""}, _DIRECTORY)
    return [line for line in lines if line]


def execute(context: Context) -> Counts:
    result = context.work / "e2e.json"
    result.parent.mkdir(parents=True, exist_ok=True)
    result.unlink(missing_ok=True)
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        context.progress.say(line)

    environment = {"PYTHONPATH": "", "ROOKERY_BUILD_DIR": str(context.build_directory)}
    run([*_command(context), "--base-port", str(BASE_PORT), "--result", str(result)], on_line, environment, _DIRECTORY)
    try:
        counted = json.loads(result.read_text())
    except (FileNotFoundError, ValueError):
        return Counts(failed=["e2e: the scenarios did not run to their end"])
    return Counts(counted["passed"], [f"e2e {re.sub('^e2e ', '', name)}" for name in counted["failed"]])
