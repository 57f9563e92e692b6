"""The command line of tests/run. Exit status: 0 all passed, 1 something failed, 2 wrong command line."""

import argparse
import dataclasses
import io
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from rookery_local import build, kafka_jars, packages, test_environment
from rookery_local.errors import ClusterError
from rookery_local.output import Progress
from rookery_local.paths import BUILD
from runner import boards_suite, chart_suite, ctest_suite, e2e_suite, fuzz_suite, lint_suite, mutation_suite, python_suite, simulation_suite
from runner.context import Context
from runner.counts import Counts

# Kinds that take long and say little that is new after most changes.
ON_REQUEST = {"mutations"}
# Kinds that need a processor and no clock. Clusters leave them most of one.
BESIDE_E2E = ("simulation", "fuzz")


def main(arguments: list[str]) -> int:
    suites = {"lint": lint_suite, "python": python_suite, "boards": boards_suite, "charts": chart_suite}
    suites |= {suite.name: suite for suite in ctest_suite.suites()}
    suites |= {"simulation": simulation_suite, "fuzz": fuzz_suite, "e2e": e2e_suite, "mutations": mutation_suite}
    parser = argparse.ArgumentParser(
        prog="tests/run", description="Installs what is missing, builds, and runs every test, or the kinds that are named."
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(suites)} (all but {', '.join(ON_REQUEST)})")
    parser.add_argument("-k", action="append", default=[], metavar="TEXT", help="only tests whose name has TEXT; may be repeated")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="run everything N times")
    parser.add_argument("--list", action="store_true", help="name the tests and run none")
    parser.add_argument("--fuzz-seconds", type=int, default=5, metavar="N", help="of each fuzz target (5)")
    parser.add_argument("--seeds", type=int, default=0, metavar="N", help="simulate the first N seeds, not as many as fit into three minutes; for mutations, at most so many (200)")
    parser.add_argument("--build-dir", type=Path, default=BUILD / "release", metavar="DIR", help="build directory (.local/build/release)")
    parser.add_argument("--no-build", action="store_true", help="neither install nor build: test what is there")
    parsed = parser.parse_args(arguments)
    unknown = [kind for kind in parsed.kinds if kind not in suites]
    if unknown:
        parser.error(f"no kind of test is called {unknown[0]}; there are {', '.join(suites)}")
    chosen = {name: suite for name, suite in suites.items() if name in (parsed.kinds or set(suites) - ON_REQUEST)}
    # With --list, standard output has the names and nothing else.
    progress = Progress(sys.stderr if parsed.list else sys.stdout)
    context = Context(progress, Path(os.path.abspath(parsed.build_dir)), parsed.k, parsed.fuzz_seconds, parsed.seeds)
    counts = Counts()
    try:
        if not parsed.no_build:
            _prepare(context, set(chosen))
        if parsed.list:
            for suite in chosen.values():
                print("\n".join(suite.names(context)) or "", end="\n" if suite.names(context) else "")
            return 0
        for round_ in range(parsed.repeat):
            if parsed.repeat > 1:
                progress.say(f"round {round_ + 1} of {parsed.repeat}")
            counts.add(_execute_all(chosen, context))
    except ClusterError as error:
        progress.clear()
        print(f"error: {error}", file=sys.stderr, flush=True)
        counts.failed.append(f"preparation: {error}")
    except KeyboardInterrupt:
        counts.failed.append("interrupted")
    for name in counts.failed:
        progress.say(f"failed: {name}")
    progress.say(counts.summary())
    return 1 if counts.failed else 0


def _prepare(context: Context, kinds: set[str]) -> None:
    if "lint" in kinds:
        packages.install(["lint"], context.progress)
    if kinds == {"lint"}:
        return
    packages.install(["runtime", "build", "test"], context.progress)
    if kinds & {"integration", "e2e", "contract"}:
        kafka_jars.fetch(context.progress)
    if kinds & {"e2e", "python"}:
        test_environment.prepare(context.progress)
    if "boards" in kinds:
        test_environment.prepare_board_schema(context.progress)
    if "charts" in kinds:
        chart_suite.prepare(context.progress)
    if kinds & {"unit", "contract", "integration", "simulation", "mutations", "e2e"}:
        # End-to-end tests need no more than the services, a simulation only itself.
        targets = []
        if not kinds & {"unit", "contract", "integration"}:
            if "e2e" in kinds:
                targets += [f"rookery-{s}" for s in ("gateway", "session-manager", "roster", "muc", "search")]
            if kinds & {"simulation", "mutations"}:
                targets.append("rookery-simulator")
        build.build("release", context.build_directory, targets, context.progress)


def _execute_all(chosen: dict, context: Context) -> Counts:
    counts = Counts()
    beside = {name: suite for name, suite in chosen.items() if "e2e" in chosen and name in BESIDE_E2E and suite.names(context)}
    for name, suite in chosen.items():
        if name == "e2e" and beside:
            counts.add(_execute_beside(beside, suite, context))
        elif name not in beside:
            counts.add(_execute(name, suite, context))
    return counts


def _execute_beside(beside: dict, e2e, context: Context) -> Counts:
    # What they say comes when all is done: lines of two programs at a time are read by nobody.
    said = io.StringIO()
    quiet = dataclasses.replace(context, progress=Progress(said), yields=True)

    def others() -> Counts:
        counts = Counts()
        for name, suite in beside.items():
            counts.add(_execute(name, suite, quiet))
        return counts

    context.progress.say(f"{' and '.join(beside)} run beside e2e")
    with ThreadPoolExecutor(max_workers=1) as executor:
        running = executor.submit(others)
        counts = _execute("e2e", e2e, context)
        context.progress.step(" and ".join(beside))
        while wait([running], timeout=1).not_done:
            context.progress.update((said.getvalue().splitlines() or ["begins"])[-1])
        counts.add(running.result())
    context.progress.say(said.getvalue().rstrip())
    return counts


def _execute(name: str, suite, context: Context) -> Counts:
    began = time.monotonic()
    counts = suite.execute(context)
    if counts.passed or counts.failed or counts.skipped:
        context.progress.say(f"---- {name}: {counts.summary()} in {time.monotonic() - began:.0f} s")
    return counts
