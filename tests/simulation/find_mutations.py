#!/usr/bin/env python3
"""Shows that the simulator finds each mistake of its table (`--list-mutations`).

usage: find_mutations.py SIMULATOR [SEEDS]

Plays seeds with one mistake after the other until a promise breaks, SEEDS (50) at most. Exit
status: 0 when every mistake was found, 1 otherwise.
"""

import subprocess
import sys


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    simulator, most = arguments[0], int(arguments[1]) if len(arguments) > 1 else 50
    listed = subprocess.run([simulator, "--list-mutations"], capture_output=True, text=True, check=True).stdout
    names = [line.split()[0] for line in listed.splitlines()]
    missed = []
    for name in names:
        for seed in range(1, most + 1):
            played = subprocess.run(
                [simulator, "--seed", str(seed), "--minutes", "5", "--mutation", name], capture_output=True, text=True
            )
            if played.returncode == 1:
                lines = played.stdout.splitlines()
                print(f"{name:<26} seed {seed}: {lines[1].strip() if len(lines) > 1 else lines[0]}", flush=True)
                break
        else:
            missed.append(name)
            print(f"{name:<26} not found in {most} seeds", flush=True)
    print(f"{len(names) - len(missed)} of {len(names)} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
