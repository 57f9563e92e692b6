#!/usr/bin/env python3
"""Checks that dependencies point down only, and that no file names a path of one machine.

usage: check_layering.py [ROOT]

Rules (the order of the libraries is the one in libs/CMakeLists.txt):
  order    a library includes and links only libraries that stand above it in that list
  vendor   a driver's headers are included only in src/ and tests/ of the library that wraps it
  inside   a quoted include without rookery/ is a file of the same library or service, without ../
  service  a service does not link another service
  domain   domain/ and modules/ of a service include, of ours, only base, events, sharding, xmpp,
           telemetry,
           of runtime what waits without I/O (task.h, timer.h, event.h, backoff.h), generated
           messages (*.pb.h) and the service's own domain/ and ports/, and modules/ of modules/;
           and no sockets and no gRPC
  folders  a folder of a service's domain/ includes itself and those that stand before it in the
           numbered list in domain/README.md, which names each of them (1. `name/`: …); what lies
           in domain/ itself stands before all of them
  circle   files of a service's domain/, a header taken together with its source, do not include each
           other in a circle
  testing  fixtures (rookery/testing/) are used by tests and fixtures only
  path     no text file has an absolute path of a developer's machine

Prints one line for each breach, `file:line: rule: what`. Exit status 0: none; 1: some;
2: wrong usage.
"""

import os
import re
import sys

SKIPPED_DIRECTORIES = {".git", ".local", "build", "node_modules", "__pycache__", ".venv"}
CXX = (".h", ".cc", ".cpp", ".hpp")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LIBRARY_INCLUDE = re.compile(r"^rookery/([a-z0-9_]+)/")
GENERATED = re.compile(r"\.pb\.h$")
LINK = re.compile(r"\brookery(?:::|_)([a-z0-9_]+)")
ADD_SUBDIRECTORY = re.compile(r"^\s*add_subdirectory\(\s*([a-z0-9_]+)\s*\)", re.MULTILINE)
MACHINE_PATH = re.compile(
    r"(?<![\w.${}/-])/(?:work|root|Users|home/[A-Za-z0-9_-]+|usr/local/google)/[A-Za-z0-9_.-]")
# Which library wraps which C or C++ driver.
VENDORS = {
    "yaml-cpp/": "config", "spdlog/": "telemetry", "hiredis/": "redis", "librdkafka/": "kafka",
    "libpq-fe.h": "pg", "postgresql/": "pg", "expat.h": "xmpp", "unicode/": "xmpp", "wslay/": "net",
    "boost/beast": "net", "CLI/": "app",
}
DOMAIN_LIBRARIES = {"base", "xmpp", "telemetry", "events", "sharding"}
DOMAIN_HEADERS = {f"rookery/runtime/{name}.h" for name in ("task", "timer", "event", "backoff")}
DOMAIN_NEVER = re.compile(
    r"^(boost/beast|boost/asio/(ip|ssl|local|posix|generic)/|boost/asio/\w*(socket|signal|acceptor)"
    r"|grpc|sys/socket\.h|sys/epoll\.h|netinet/|arpa/)")
DOMAIN_DIRECTORIES = ("domain", "modules")
DOMAIN_SEES = {"domain": ("domain", "ports"), "modules": ("domain", "modules", "ports")}
FOLDER_OF_ORDER = re.compile(r"^\d+\. `([a-z0-9_]+)/`", re.MULTILINE)


class Checker:
    def __init__(self, root):
        self.root = root
        self.breaches = []
        self.files = 0
        self.includes = {}  # of each file in a domain/, without its suffix: {other file: (path, line)}
        self.folders = {}  # of each service: those of its domain/, in their order
        self.order = self.read_order()
        self.services = sorted(
            name for name in self.list_directory("services")
            if os.path.isdir(os.path.join(root, "services", name)))

    def list_directory(self, path):
        full = os.path.join(self.root, path)
        return os.listdir(full) if os.path.isdir(full) else []

    def read_order(self):
        with open(os.path.join(self.root, "libs", "CMakeLists.txt"), encoding="utf-8") as file:
            return ADD_SUBDIRECTORY.findall(file.read())

    def folders_of(self, service):
        if service not in self.folders:
            path = os.path.join("services", service, "src", "domain")
            readme = os.path.join(self.root, path, "README.md")
            text = ""
            if os.path.isfile(readme):
                with open(readme, encoding="utf-8") as file:
                    text = file.read()
            order = FOLDER_OF_ORDER.findall(text)
            there = [name for name in self.list_directory(path)
                     if os.path.isdir(os.path.join(self.root, path, name))]
            for name in sorted(set(order) ^ set(there)):
                self.breach(os.path.join(path, "README.md"), 1, "folders",
                            f"{name}/ is not in its list" if name in there else f"there is no {name}/")
            self.folders[service] = ["", *order]
        return self.folders[service]

    def breach(self, path, line, rule, what):
        self.breaches.append(f"{path}:{line}: {rule}: {what}")

    def run(self):
        for name in self.list_directory("libs"):
            if name not in self.order and self.list_directory(os.path.join("libs", name, "include")):
                self.breach("libs/CMakeLists.txt", 1, "order", f"libs/{name} is not in the list")
        for directory, names, files in os.walk(self.root):
            names[:] = sorted(name for name in names if name not in SKIPPED_DIRECTORIES)
            for name in sorted(set(files) - SKIPPED_DIRECTORIES):  # .git is a file in a work tree
                self.check_file(os.path.relpath(os.path.join(directory, name), self.root))
        self.check_circles()
        return self.breaches

    def check_circles(self):
        done = set()

        def look(file, way):
            if file in way:
                circle = way[way.index(file):]
                path, line = self.includes[circle[-1]][file]
                names = " -> ".join(os.path.basename(one) for one in circle + [file])
                self.breach(path, line, "circle", names)
            elif file not in done:
                for other in sorted(self.includes.get(file, ())):
                    look(other, way + [file])
                done.add(file)

        for file in sorted(self.includes):
            look(file, [])

    def check_file(self, path):
        try:
            with open(os.path.join(self.root, path), encoding="utf-8") as file:
                lines = file.read().split("\n")
        except (UnicodeDecodeError, OSError):
            return  # no text
        self.files += 1
        parts = path.split(os.sep)
        is_cmake = parts[-1] == "CMakeLists.txt"
        for number, line in enumerate(lines, 1):
            found = MACHINE_PATH.search(line)
            if found:
                self.breach(path, number, "path", f"absolute path of one machine: {found.group().strip()}…")
            if len(parts) < 3 or parts[0] not in ("libs", "services"):
                continue
            if is_cmake:
                self.check_link(path, parts, number, line)
            elif path.endswith(CXX):
                include = INCLUDE.match(line)
                if include:
                    self.check_include(path, parts, number, include.group(1) == '"', include.group(2))

    def check_link(self, path, parts, number, line):
        for name in LINK.findall(line.split("#")[0]):
            if parts[0] == "libs" and parts[1] in self.order and name in self.order:
                self.check_order(path, parts[1], number, name)
            if parts[0] == "services":
                for service in self.services:
                    if service != parts[1] and name == service.replace("-", "_") + "_core":
                        self.breach(path, number, "service", f"links the service {service}")

    def check_order(self, path, library, number, other):
        if self.order.index(other) > self.order.index(library):
            self.breach(path, number, "order", f"{library} must not use {other}, which stands above it")

    def check_include(self, path, parts, number, is_quoted, included):
        library = LIBRARY_INCLUDE.match(included)
        is_generated = bool(GENERATED.search(included))
        if included.startswith("rookery/testing/"):
            if not any(part in ("tests", "testing") for part in parts):
                self.breach(path, number, "testing", f"{included} is for tests only")
            return
        if not is_generated and library and library.group(1) not in self.order:
            self.breach(path, number, "order", f"{included} belongs to no library")
            return
        if parts[0] == "libs":
            if library and not is_generated and parts[1] in self.order:
                self.check_order(path, parts[1], number, library.group(1))
        elif len(parts) > 4 and parts[2] == "src" and parts[3] in DOMAIN_DIRECTORIES:
            self.check_domain(path, parts, number, is_quoted, included, is_generated)
            if parts[3] == "domain" and included.startswith("domain/"):
                file = os.path.splitext(path)[0]
                other = os.path.splitext(os.path.join(*parts[:3], included))[0]
                if other != file:
                    self.includes.setdefault(file, {})[other] = (path, number)
                self.check_folders(path, parts, number, included)
        self.check_vendor(path, parts, number, included)
        if is_quoted and not included.startswith("rookery/"):
            self.check_inside(path, parts, number, included)

    def check_domain(self, path, parts, number, is_quoted, included, is_generated):
        library = LIBRARY_INCLUDE.match(included)
        if library:
            is_wrong = included.endswith(".grpc.pb.h") or not (
                is_generated or library.group(1) in DOMAIN_LIBRARIES or included in DOMAIN_HEADERS)
        else:
            # A file of the service; anything that is not there is a third party's.
            own = os.path.join(self.root, parts[0], parts[1], "src", included)
            beside = os.path.join(self.root, os.path.dirname(path), included)
            is_wrong = bool(DOMAIN_NEVER.match(included)) or (
                is_quoted and os.path.exists(own) and not os.path.exists(beside)
                and included.split("/")[0] not in DOMAIN_SEES[parts[3]])
        if is_wrong:
            self.breach(path, number, "domain", f"{parts[3]}/ must not include {included}")

    def check_folders(self, path, parts, number, included):
        order = self.folders_of(parts[1])
        folder = parts[4] if len(parts) > 5 else ""
        other = included.split("/")[1] if included.count("/") > 1 else ""
        if folder in order and other in order and order.index(other) > order.index(folder):
            self.breach(path, number, "folders", f"{folder or 'domain'}/ must not include {included}, which stands above it")

    def check_vendor(self, path, parts, number, included):
        for prefix, owner in VENDORS.items():
            if not included.startswith(prefix):
                continue
            if parts[0] != "libs" or parts[1] != owner or parts[2] == "include":
                self.breach(path, number, "vendor", f"{included} belongs into libs/{owner}/src only")

    def check_inside(self, path, parts, number, included):
        if ".." in included.split("/"):
            self.breach(path, number, "inside", f"{included} climbs out of its directory")
            return
        own = os.path.join(self.root, parts[0], parts[1])
        places = [os.path.join(self.root, os.path.dirname(path)), os.path.join(own, "src"), os.path.join(own, "tests"),
                  own]
        is_ours = any(os.path.exists(os.path.join(place, included)) for place in places)
        if is_ours:
            return
        # Third-party headers are quoted too; only ours can be elsewhere in the tree.
        for group in ("libs", "services"):
            for name in self.list_directory(group):
                if name == parts[1]:
                    continue
                for directory in ("src", "tests", "include"):
                    if os.path.exists(os.path.join(self.root, group, name, directory, included)):
                        self.breach(path, number, "inside", f"{included} is private to {group}/{name}")
                        return


def main(arguments):
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print(__doc__, file=sys.stderr)
        return 2
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    root = os.path.normpath(arguments[0] if arguments else default)
    if not os.path.isfile(os.path.join(root, "libs", "CMakeLists.txt")):
        print(f"check_layering: {root} has no libs/CMakeLists.txt", file=sys.stderr)
        return 2
    checker = Checker(root)
    breaches = checker.run()
    for line in breaches:
        print(line)
    print(f"check_layering: {checker.files} files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
