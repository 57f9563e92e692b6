#!/usr/bin/env python3
"""Shows that the simulator finds each mistake of its table (`--list-mutations`).

usage: find_mutations.py SIMULATOR [-n SEEDS] [-j JOBS] [MUTATION...]

Plays seeds with one mistake after the other until a promise breaks that is kept without the mistake,
SEEDS (200) at most, and prints a table: the mistake, the first seed that finds it, and the promise
that it breaks. Exit status: 0 when every mistake was found, 1 when one was not, 2 for wrong usage.
"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

MINUTES = 10
# Some mistakes are seen only when a session-manager's last words are not heard.
FAULTS = "default"
_VIOLATION = re.compile(r"^\s+[\d.]+ s  (.*)$")


def mutations(simulator: str) -> list[str]:
    listed = subprocess.run([simulator, "--list-mutations"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in listed.splitlines()]


def play(simulator: str, seed: int, *options: str) -> str:
    """The first promise that the seed breaks, or nothing."""
    command = [simulator, "--seed", str(seed), "--minutes", str(MINUTES), "--faults", FAULTS, *options]
    played = subprocess.run(command, capture_output=True, text=True)
    if played.returncode == 0:
        return ""
    lines = played.stdout.splitlines()
    broken = [match.group(1) for match in map(_VIOLATION.match, lines) if match]
    return broken[0] if broken else lines[0] if lines else f"the simulator ended with {played.returncode}"


def find(simulator: str, mutation: str, seeds: int) -> tuple[int, str]:
    """The first seed that finds it, and what it finds; 0 when none does."""
    for seed in range(1, seeds + 1):
        broken = play(simulator, seed, "--mutation", mutation)
        if broken and not play(simulator, seed):
            return seed, broken
    return 0, ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("simulator")
    parser.add_argument("-n", "--seeds", type=int, default=200, help="for each mistake, at most (200)")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count(), help="mistakes at a time (one for each core)")
    parser.add_argument("mutations", nargs="*", help="only these")
    arguments = parser.parse_args()
    names = mutations(arguments.simulator)
    unknown = set(arguments.mutations) - set(names)
    if unknown:
        parser.error(f"no mutation is called {sorted(unknown)[0]}")
    names = arguments.mutations or names
    width = max(map(len, names))
    missed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = pool.map(lambda name: find(arguments.simulator, name, arguments.seeds), names)
        for name, (seed, what) in zip(names, results):
            missed += not seed
            line = f"seed {seed:<4} {what}" if seed else f"not found in {arguments.seeds} seeds"
            print(f"{name:<{width}}  {line}", flush=True)
    print(f"{len(names) - missed} of {len(names)} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
