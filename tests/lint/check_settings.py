#!/usr/bin/env python3
"""Checks that the tables of settings in README.md say what the sources say.

usage: check_settings.py [ROOT]

A setting is bound in a source of libs/ or services/: `schema.Bind("key", &field, "what it means", …)`. Its row is
`| `key` | `default` | what it means |`, in a table below a heading that names the services: one of a service below one
that names it. After what it means come the values that a choice takes, in brackets, or `; secret`.

  missing   a setting has no row
  unknown   a row is of no setting
  differs   a row means something else
  default   a row has another default than the field's initializer, or none can be found

Prints one line for each breach, `file:line: what`. Exit status 0: none; 1: some; 2: wrong usage.
"""

import ast
import os
import re
import sys

BIND = re.compile(r"\bschema\.(Bind|BindSecret|BindChoice)\(")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
ROW = re.compile(r"^\| `([a-z0-9.-]+)` \| ?(.*?) ?\| (.*) \|$")
UNITS = {"milliseconds": 1, "seconds": 1000, "minutes": 60_000, "hours": 3_600_000}
SHORT_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def sources_below(directory):
    for folder, _, names in sorted(os.walk(directory)):
        parts = folder.split(os.sep)
        if "tests" in parts or "testing" in parts:
            continue
        for name in sorted(names):
            if name.endswith((".cc", ".h")):
                yield os.path.join(folder, name)


def arguments_at(text, at):
    """The arguments of a call, where `at` is just after its bracket."""
    arguments, begin, depth, quoted = [], at, 1, False
    while True:
        c = text[at]
        if quoted:
            at += c == "\\"
            quoted = c != '"'
        elif c == '"':
            quoted = True
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        if depth == 0 or (depth == 1 and c == "," and not quoted):
            arguments.append(text[begin:at].strip())
            begin = at + 1
            if depth == 0:
                return arguments
        at += 1


def text_of(expression, source):
    """Neighbouring literals, or the name of a constant of the same file."""
    if not expression.startswith('"'):
        found = re.search(rf"\b{re.escape(expression)}\[\] =\s*((?:\"(?:[^\"\\]|\\.)*\"\s*)+);", source)
        expression = found.group(1) if found else ""
    return "".join(ast.literal_eval(f'"{literal}"') for literal in STRING.findall(expression))


class Setting:
    def __init__(self, place, service, kind, arguments, source):
        self.place = place
        self.service = service  # empty: of a library
        self.key = text_of(arguments[0], source)
        self.field = re.split(r"[.>]", arguments[1].lstrip("&"))[-1]
        self.is_member = "." not in arguments[1]
        self.meaning = text_of(arguments[3 if kind == "BindChoice" else 2], source)
        if kind == "BindChoice":
            self.meaning += " (" + ", ".join(STRING.findall(arguments[2])) + ")"
        if kind == "BindSecret":
            self.meaning += "; secret"


def number_of(expression):
    """An expression of integers as C++ writes it."""
    plain = re.sub(r"std::u?int\d+_t\{(\d[\d']*)\}", r"\1", expression).replace("'", "")
    return eval(plain, {"__builtins__": {}}) if re.fullmatch(r"[\d\s*<+()-]+", plain) else None


def default_of(setting, headers):
    """As a row shows it: a text, or a pair of a number and its type's unit; None: not found."""
    declaration = re.compile(
        rf"^\s*([\w:]+(?:<[\w:]+>)?)\s+(?:\w+, )*{setting.field}(?:, \w+)*\s*(=\s*[^;]+|\{{[^;]*\}})?;", re.MULTILINE)
    for header in headers:
        for type_, value in declaration.findall(header):
            value = re.sub(r"^=\s*", "", value.strip())
            unit = re.fullmatch(r"std::chrono::(\w+)", type_)
            if unit:
                inner = re.fullmatch(r"(?:std::chrono::(\w+))?[{(](.*)[})]", value)
                number = number_of(inner.group(2)) if inner else None
                if number is not None:
                    return number * UNITS[inner.group(1) or unit.group(1)]
            elif type_ == "bool":
                return value or None
            elif type_.startswith("std::vector"):
                return ", ".join(STRING.findall(value))
            elif type_ == "std::string":
                return "".join(STRING.findall(value))
            elif (number := number_of(value)) is not None:
                return str(number)
    return None


def same_default(shown, default):
    if not isinstance(default, int):
        return shown == default
    found = re.fullmatch(r"(\d+)(ms|s|m|h)", shown)
    return found is not None and int(found.group(1)) * SHORT_UNITS[found.group(2)] == default


def settings_of(root):
    """Gives the settings, and the text of headers by the library or service that they are of."""
    settings, headers = [], {}
    for top in ("libs", "services"):
        directory = os.path.join(root, top)
        if not os.path.isdir(directory):
            continue
        for path in sources_below(directory):
            source = read(path)
            shown = os.path.relpath(path, root)
            owner = "/".join(shown.split(os.sep)[:2])
            if path.endswith(".h"):
                headers.setdefault(owner, []).append(source)
            for found in BIND.finditer(source):
                line = source.count("\n", 0, found.start()) + 1
                arguments = arguments_at(source, found.end())
                if arguments[0].startswith('"'):
                    service = shown.split(os.sep)[1] if top == "services" else ""
                    setting = Setting(f"{shown}:{line}", service, found.group(1), arguments, source)
                    setting.owner = owner
                    settings.append(setting)
    return settings, headers


def rows_of(readme):
    """Gives line, heading, key, default and meaning of every row."""
    heading = ""
    for line, text in enumerate(readme.split("\n"), 1):
        if text.startswith("#"):
            heading = text.lstrip("# ")
        found = ROW.match(text)
        if found:
            yield line, heading, found.group(1), found.group(2).strip("`"), found.group(3)


def check(root):
    """Gives the number of settings, and the breaches."""
    settings, headers = settings_of(root)
    rows = [row for row in rows_of(read(os.path.join(root, "README.md"))) if "." in row[2] or row[1]]
    services = os.path.join(root, "services")
    names = os.listdir(services) if os.path.isdir(services) else []
    tables = [row for row in rows if row[1] == "Every service" or set(re.split(r", ", row[1])) & set(names)]
    breaches, used = [], set()
    for setting in settings:
        mine = [row for row in tables
                if row[2] == setting.key and (not setting.service or setting.service in row[1].split(", "))]
        if not mine:
            breaches.append(f"{setting.place}: missing: `{setting.key}` has no row in README.md")
        for line, _, key, default, meaning in mine:
            used.add(line)
            if meaning != setting.meaning:
                breaches.append(f"README.md:{line}: differs: `{key}` means: {setting.meaning}")
            near = headers.get(setting.owner, [])
            far = [] if setting.is_member else [text for owner in sorted(headers) for text in headers[owner]]
            expected = default_of(setting, near + far)
            if expected is None or not same_default(default, expected):
                breaches.append(f"README.md:{line}: default: that of `{key}` is {expected}")
    for line, _, key, _, _ in tables:
        if line not in used:
            breaches.append(f"README.md:{line}: unknown: nothing binds `{key}`")
    return len(settings), breaches


def main(arguments):
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print(__doc__, file=sys.stderr)
        return 2
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    root = os.path.normpath(arguments[0] if arguments else default)
    if not os.path.isfile(os.path.join(root, "README.md")):
        print(f"check_settings: {root} has no README.md", file=sys.stderr)
        return 2
    settings, breaches = check(root)
    for line in breaches:
        print(line)
    print(f"check_settings: {settings} settings, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
