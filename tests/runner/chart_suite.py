"""tests/charts/run.py: the Helm chart, with helm, kubeconform and checks of our own."""

import re

from rookery_local import chart_tools
from rookery_local.errors import ClusterError
from rookery_local.output import Progress
from runner.context import Context
from runner.counts import Counts
from runner.process import run

PROGRAM = chart_tools.TESTS / "run.py"
_FAILED = re.compile(r"^charts FAILED +(.*)")
_SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")
# Why the tools could not be made.
_cannot = ""


def prepare(progress: Progress) -> None:
    """A machine without Go, or without a way to Go's modules, can still run the other tests."""
    global _cannot
    try:
        chart_tools.prepare(progress)
    except ClusterError as error:
        _cannot = str(error)


def _command(context: Context) -> list[str]:
    command = [str(chart_tools.PYTHON), str(PROGRAM), "--build-dir", str(context.build_directory)]
    for text in context.filters:
        command += ["-k", text]
    return command


def names(context: Context) -> list[str]:
    if chart_tools.missing():
        return []
    lines: list[str] = []
    run([*_command(context), "--list"], lines.append)
    return [line for line in lines if line]


def execute(context: Context) -> Counts:
    missing = chart_tools.missing()
    if missing:
        context.progress.say(f"charts skipped, since these are not there: {missing}{'; ' if _cannot else ''}{_cannot}")
        return Counts(skipped=1)
    context.progress.step("charts")
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        context.progress.update(line)

    status = run(_command(context), on_line)
    match = _SUMMARY.match(lines[-1]) if lines else None
    failed = [f"charts {found.group(1)}" for found in map(_FAILED.match, lines) if found]
    if not match or bool(failed) != (status != 0):
        failed.append(f"charts: the tests did not run to their end (status {status})")
    # Of a failure whatever was said, a traceback too; else why something was left out.
    for line in lines[:-1] if match else lines:
        if line.startswith("charts skipped") or (failed and not line.startswith("charts ok")):
            context.progress.say(line)
    passed, skipped = (int(match.group(1)), int(match.group(3) or 0)) if match else (0, 0)
    context.progress.done(f"{passed} of {passed + len(failed)} passed")
    return Counts(passed, failed, skipped)
