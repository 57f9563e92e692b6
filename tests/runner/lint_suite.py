"""Programs below tests/lint: each is one test, which passes when it exits with 0."""

import sys

from rookery_local.paths import SOURCE
from runner.context import Context
from runner.counts import Counts
from runner.process import run


def _programs() -> list[str]:
    return sorted(path.name for path in (SOURCE / "tests" / "lint").glob("check_*.py"))


def names(context: Context) -> list[str]:
    return [f"lint {name}" for name in _programs() if context.matches(name)]


def execute(context: Context) -> Counts:
    counts = Counts()
    for name in _programs():
        if not context.matches(name):
            continue
        lines: list[str] = []
        if run([sys.executable, str(SOURCE / "tests" / "lint" / name)], lines.append) == 0:
            counts.passed += 1
            context.progress.say(f"lint ok      {name}")
        else:
            counts.failed.append(f"lint {name}")
            context.progress.say(f"lint FAILED  {name}\n  " + "\n  ".join(lines[-40:]))
    return counts
