"""Tests of what is written in Python: deploy/local/tests and tests/e2e/tests, with unittest."""

import io
import sys
import unittest
from pathlib import Path

from rookery_local.paths import SOURCE
from runner.context import Context
from runner.counts import Counts

PLACES = (SOURCE / "deploy" / "local" / "tests", SOURCE / "tests" / "e2e" / "tests")


class UnittestSuite:
    """Every test_*.py of some directories, one kind of test."""

    def __init__(self, kind: str, places: tuple[Path, ...]):
        self._kind, self._places = kind, places

    def names(self, context: Context) -> list[str]:
        return [f"{self._kind} {test.id()}" for test in self._tests(context)]

    def execute(self, context: Context) -> Counts:
        output = io.StringIO()
        tests = self._tests(context)
        result = unittest.TextTestRunner(stream=output, verbosity=0).run(unittest.TestSuite(tests))
        bad = result.failures + result.errors
        for test, text in bad:
            context.progress.say(f"{self._kind} FAILED  {test.id()}\n  " + "\n  ".join(text.splitlines()[-15:]))
        good = result.testsRun - len(bad) - len(result.skipped)
        if good:
            context.progress.say(f"{self._kind} ok      {good} tests")
        return Counts(good, [f"{self._kind} {test.id()}" for test, _ in bad], len(result.skipped))

    def _tests(self, context: Context) -> list[unittest.TestCase]:
        found: list[unittest.TestCase] = []

        def walk(suite) -> None:
            for test in suite:
                if isinstance(test, unittest.TestSuite):
                    walk(test)
                elif context.matches(test.id()):
                    found.append(test)

        sys.path.insert(0, str(SOURCE / "tests" / "e2e"))
        for place in self._places:
            if place.is_dir():
                walk(unittest.TestLoader().discover(str(place), top_level_dir=str(place)))
        return found


_SUITE = UnittestSuite("python", PLACES)
names, execute = _SUITE.names, _SUITE.execute
