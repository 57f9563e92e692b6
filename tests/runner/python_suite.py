"""Tests of what is written in Python: deploy/local/tests and tests/e2e/tests, with unittest."""

import io
import sys
import unittest

from rookery_local.paths import SOURCE
from runner.context import Context
from runner.counts import Counts

PLACES = (SOURCE / "deploy" / "local" / "tests", SOURCE / "tests" / "e2e" / "tests")


def _tests(context: Context) -> list[unittest.TestCase]:
    found: list[unittest.TestCase] = []

    def walk(suite) -> None:
        for test in suite:
            if isinstance(test, unittest.TestSuite):
                walk(test)
            elif context.matches(test.id()):
                found.append(test)

    sys.path.insert(0, str(SOURCE / "tests" / "e2e"))
    for place in PLACES:
        if place.is_dir():
            walk(unittest.TestLoader().discover(str(place), top_level_dir=str(place)))
    return found


def names(context: Context) -> list[str]:
    return [f"python {test.id()}" for test in _tests(context)]


def execute(context: Context) -> Counts:
    output = io.StringIO()
    tests = _tests(context)
    result = unittest.TextTestRunner(stream=output, verbosity=0).run(unittest.TestSuite(tests))
    bad = result.failures + result.errors
    for test, text in bad:
        context.progress.say(f"python FAILED  {test.id()}\n  " + "\n  ".join(text.splitlines()[-15:]))
    good = result.testsRun - len(bad) - len(result.skipped)
    if good:
        context.progress.say(f"python ok      {good} tests")
    return Counts(good, [f"python {test.id()}" for test, _ in bad], len(result.skipped))
