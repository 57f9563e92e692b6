#!/usr/bin/env python3
"""Checks that C++ files are laid out as .clang-format says.

usage: check_format.py [ROOT]

Prints one line for each file that is not, with its first place. `clang-format-19 -i FILE` mends it. Exit status 0:
none; 1: some; 2: wrong usage, or no clang-format-19 (the Debian package of that name).
"""

import os
import re
import shutil
import subprocess
import sys

PROGRAM = "clang-format-19"
DIRECTORIES = ("libs", "services", "tests")
PLACE = re.compile(r"^(.+?):(\d+):\d+: error:")


def files(root):
    for directory in DIRECTORIES:
        for folder, names, found in os.walk(os.path.join(root, directory)):
            names[:] = sorted(name for name in names if not name.startswith((".", "node_modules")))
            shown = os.path.relpath(folder, root)
            for name in sorted(found):
                if name.endswith((".h", ".cc")):
                    yield os.path.join(shown, name)


def check(root):
    """Gives the number of files, and the breaches."""
    all_files = list(files(root))
    if not all_files:
        return 0, []
    done = subprocess.run([PROGRAM, "--style=file", "--dry-run", "-Werror", *all_files], cwd=root,
                          capture_output=True, text=True, check=False)
    first = {}
    for line in done.stderr.splitlines():
        if place := PLACE.match(line):
            first.setdefault(place[1], place[2])
    return len(all_files), [f"{path}:{line}: format: not as {PROGRAM} lays it out" for path, line in first.items()]


def main(arguments):
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print(__doc__, file=sys.stderr)
        return 2
    if not shutil.which(PROGRAM):
        print(f"check_format: no {PROGRAM} here (apt-get install {PROGRAM})", file=sys.stderr)
        return 2
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    count, breaches = check(os.path.normpath(arguments[0] if arguments else default))
    for line in breaches:
        print(line)
    print(f"check_format: {count} files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
