"""GoogleTest binaries through CTest: unit tests, contract tests, and those that start a
real backend (label `integration`)."""

import os
import re
import subprocess
from xml.etree import ElementTree

from runner.context import Context
from runner.counts import Counts
from runner.process import run

_DONE = re.compile(r"^\s*(\d+)/(\d+) Test\s+#\d+: (\S+) \.*\s*(.*)")
# Each test ends by itself within this time or is ended.
TIMEOUT_SECONDS = 180


class CtestSuite:
    def __init__(self, name: str, selection: list[str], jobs: int):
        self.name, self._selection, self._jobs = name, selection, jobs

    def names(self, context: Context) -> list[str]:
        answer = subprocess.run(
            [*self._command(context), "-N"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        found = re.findall(r"^\s*Test\s+#\d+: (\S+)", answer.stdout, re.MULTILINE)
        return [f"{self.name} {name}" for name in found]

    def execute(self, context: Context) -> Counts:
        report = context.work / f"{self.name}.xml"
        report.parent.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
        lines: list[str] = []
        context.progress.step(self.name)

        def on_line(line: str) -> None:
            lines.append(line)
            match = _DONE.match(line)
            if match:
                number, total, test, outcome = match.groups()
                context.progress.update(f"{number}/{total} {test}")
                if "Passed" not in outcome and "Skipped" not in outcome:
                    context.progress.say(f"{self.name} FAILED  {test}: {outcome}")

        # What tests find of ours in the environment must not be a developer's.
        status = run([*self._command(context), "--output-junit", str(report), "--output-on-failure"], on_line)
        if not report.exists():
            context.progress.say("\n".join(lines[-30:]))
            return Counts(failed=[f"{self.name}: ctest did not run"])
        counts = self._read(report)
        if status != 0 and not counts.failed:
            counts.failed.append(f"{self.name}: ctest ended with status {status}")
        if counts.failed:
            context.progress.say("\n".join(_failures(lines)))
        context.progress.done(f"{counts.passed} of {counts.passed + len(counts.failed)} passed")
        return counts

    def _command(self, context: Context) -> list[str]:
        command = ["ctest", "--test-dir", str(context.build_directory), *self._selection, "-j", str(self._jobs)]
        command += ["--timeout", str(TIMEOUT_SECONDS), "--no-tests=ignore"]
        if context.filters:
            command += ["-R", "|".join(re.escape(text) for text in context.filters)]
        return command

    def _read(self, report) -> Counts:
        counts = Counts()
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            if case.get("status") == "run" and case.find("failure") is None:
                counts.passed += 1
            elif case.find("skipped") is not None and case.get("status") in ("notrun", "disabled") and not _is_broken(case):
                counts.skipped += 1
            else:
                counts.failed.append(f"{self.name} {case.get('name')}")
        return counts


def _is_broken(case) -> bool:
    """CTest says `notrun` also of a program that it could not find."""
    skipped = case.find("skipped")
    return "Unable to find" in (skipped.get("message") or "") or case.get("name", "").endswith("_NOT_BUILT")


def _failures(lines: list[str]) -> list[str]:
    """What GoogleTest said of each failure."""
    kept, inside = [], False
    for line in lines:
        if _DONE.match(line):
            inside = "Passed" not in line
        elif line.startswith(("      Start", "The following tests FAILED")):
            inside = False
        if inside:
            kept.append("  " + line)
    return kept[:300]


def suites() -> list[CtestSuite]:
    cpus = os.cpu_count() or 2
    return [
        CtestSuite("unit", ["-LE", "integration|contract"], cpus),
        CtestSuite("contract", ["-L", "contract", "-LE", "integration"], cpus),
        CtestSuite("integration", ["-L", "integration"], 2),
    ]
