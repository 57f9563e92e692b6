"""Finds and runs scenarios: coroutines marked with @scenario in scenarios/*.py.

A scenario is given the running cluster; what it raises is its failure. Files run in the
order that scenarios/__init__.py gives, the scenarios of a file as they stand there."""

import asyncio
import importlib
import json
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Callable

from harness.client import StanzaError  # noqa: F401  (scenarios catch it from here too)
from harness.cluster import Cluster
from harness.paths import E2E


@dataclass
class Scenario:
    name: str
    function: Callable
    seconds: float


_scenarios: list[Scenario] = []


def scenario(function=None, *, seconds: float = 60):
    def mark(function_):
        module = function_.__module__.rpartition(".")[2]
        _scenarios.append(Scenario(f"{module}.{function_.__name__}", function_, seconds))
        return function_

    return mark(function) if function else mark


def find() -> list[Scenario]:
    order = importlib.import_module("scenarios").ORDER
    files = {path.stem for path in (E2E / "scenarios").glob("*.py")} - {"__init__"}
    assert files == set(order), f"scenarios/__init__.py and its files differ: {files ^ set(order)}"
    for name in order:
        importlib.import_module(f"scenarios.{name}")
    return _scenarios


async def run(cluster: Cluster, scenarios: list[Scenario], report=print) -> tuple[int, list[str]]:
    """(how many passed, names of those that failed)."""
    passed, failed = 0, []
    for number, item in enumerate(scenarios, 1):
        began = time.monotonic()
        try:
            await asyncio.wait_for(item.function(cluster), item.seconds)
            passed += 1
            report(f"e2e {number}/{len(scenarios)} ok      {item.name} ({time.monotonic() - began:.1f} s)")
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failed.append(item.name)
            what = f"not done after {item.seconds:.0f} s" if isinstance(error, asyncio.TimeoutError) else f"{type(error).__name__}: {error}"
            report(f"e2e {number}/{len(scenarios)} FAILED  {item.name} ({time.monotonic() - began:.1f} s)\n  {what}")
            report("  " + "\n  ".join(_where(error)))
            # Whatever it left behind must not fail the next one.
            await _heal(cluster, report)
    return passed, failed


async def _heal(cluster: Cluster, report) -> None:
    import os
    import signal

    try:
        for entry in (await cluster.refresh())["processes"]:
            if entry["pid"]:
                os.kill(entry["pid"], signal.SIGCONT)
        await cluster.up()
    except Exception as error:
        report(f"  the cluster cannot be brought back: {error}")


def _where(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{f.filename.rpartition('/e2e/')[2]}:{f.lineno} {f.line}" for f in frames if "/e2e/" in f.filename][-4:]


def main() -> int:
    """`python -m harness.runner --state DIR [--base-port N] [--keep] [-k TEXT] [--list] [--result FILE]`"""
    import argparse
    from pathlib import Path

    parser = argparse.ArgumentParser(prog="harness.runner")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--base-port", type=int)
    parser.add_argument("--keep", action="store_true", help="leave the cluster running")
    parser.add_argument("-k", action="append", default=[], metavar="TEXT", help="only scenarios whose name has TEXT")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--result", type=Path, help="write the counts here, as JSON")
    parsed = parser.parse_args()
    scenarios = [s for s in find() if not parsed.k or any(text in s.name for text in parsed.k)]
    if parsed.list:
        print("\n".join(f"e2e {s.name}" for s in scenarios))
        return 0
    result = {"passed": 0, "failed": []}
    if scenarios:
        asyncio.run(_run_all(parsed, scenarios, result))
    if parsed.result:
        parsed.result.write_text(json.dumps(result))
    return 1 if result["failed"] else 0


async def _run_all(parsed, scenarios: list[Scenario], result: dict) -> None:
    cluster = Cluster(parsed.state, parsed.base_port)

    def report(text: str) -> None:
        print(text, flush=True)

    try:
        if not parsed.keep:
            await cluster.reset()
        began = time.monotonic()
        await cluster.up()
        await cluster.all_owned()
        report(f"e2e cluster is up ({time.monotonic() - began:.1f} s)")
        result["passed"], result["failed"] = await run(cluster, scenarios, report)
    except Exception as error:
        report(f"e2e cluster did not start: {error}")
        result["failed"] = [s.name for s in scenarios]
        return
    finally:
        if not parsed.keep:
            if result["failed"]:
                report(f"e2e the cluster's logs stay in {parsed.state}/logs")
                await cluster.down()
            else:
                await cluster.reset()


if __name__ == "__main__":
    # Scenarios import this module by its name; running it as __main__ would make a second one.
    from harness import runner

    sys.exit(runner.main())
