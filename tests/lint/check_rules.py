#!/usr/bin/env python3
"""Checks that every numbered rule of a README has a test that is named after it.

usage: check_rules.py [ROOT]

A rule is a list item of a README below services/ that begins with its number in bold: `- **W1.** …`
or `- **SL7** …`. A test is of a rule when its name begins with the number: `W1_TheStoreIsAway`.

  untested  a rule has no such test, and is not in NOT_YET
  tested    a rule is in NOT_YET and has a test: strike it off
  unknown   a rule is in NOT_YET and in no README
  twice     two rules of one service have one number

Prints one line for each breach, `file:line: rule: what`. Exit status 0: none; 1: some;
2: wrong usage.
"""

import os
import re
import sys

# By service: rules without a test of their own so far. Whoever writes one strikes its rule off.
NOT_YET = {}

RULE = re.compile(r"^- \*\*([A-Z]+[0-9]+)\.?\*\*")
# The name of a rule's test, of whatever kind of test. It may stand on the next line.
TEST = re.compile(r"\bTEST(?:_F|_P)?\(\s*\w+,\s*([A-Z]+[0-9]+)_|\bTYPED_TEST(?:_P)?\(\s*\w+,\s*([A-Z]+[0-9]+)_")


def files_below(directory, ending):
    for folder, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            if name.endswith(ending):
                yield os.path.join(folder, name)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def check_service(root, service, not_yet):
    """Gives the number of rules, and the breaches."""
    directory = os.path.join(root, "services", service)
    tests = os.path.join(directory, "tests")
    tested = set()
    for ending in (".cc", ".h"):
        for path in files_below(tests, ending):
            for found in TEST.finditer(read(path)):
                tested.add(found.group(1) or found.group(2))
    breaches = []
    places = {}
    for path in files_below(directory, "README.md"):
        shown = os.path.relpath(path, root)
        for line, text in enumerate(read(path).split("\n"), 1):
            found = RULE.match(text)
            if not found:
                continue
            number, here = found.group(1), f"{shown}:{line}"
            if number in places:
                breaches.append(f"{here}: twice: {number} is also a rule at {places[number]}")
                continue
            places[number] = here
            if number not in tested and number not in not_yet:
                breaches.append(f"{here}: untested: no test's name begins with {number}_")
            if number in tested and number in not_yet:
                breaches.append(f"{here}: tested: {number} has a test; strike it off NOT_YET")
    for number in not_yet:
        if number not in places:
            breaches.append(f"services/{service}:1: unknown: {number} is in NOT_YET and no rule")
    return len(places), breaches


def check(root, not_yet):
    rules, breaches = 0, []
    services = os.path.join(root, "services")
    for service in sorted(os.listdir(services)):
        if os.path.isdir(os.path.join(services, service)):
            count, found = check_service(root, service, not_yet.get(service, "").split())
            rules += count
            breaches += found
    return rules, breaches


def main(arguments):
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print(__doc__, file=sys.stderr)
        return 2
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    root = os.path.normpath(arguments[0] if arguments else default)
    if not os.path.isdir(os.path.join(root, "services")):
        print(f"check_rules: {root} has no services/", file=sys.stderr)
        return 2
    rules, breaches = check(root, NOT_YET)
    for line in breaches:
        print(line)
    print(f"check_rules: {rules} rules, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
