"""Installs the Debian packages that are missing."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from rookery_local.commands import run
from rookery_local.errors import ClusterError
from rookery_local.output import Progress
from rookery_local.paths import DEPS, TOOLS

LIST = TOOLS / "packages.txt"

# As root. The packages of PostgreSQL, Redis and Prometheus would start system services and,
# in PostgreSQL's case, make a database: both are held back for packages that are new to
# the machine; what was there before is not touched.
INSTALL = r"""
set -eu
policy=/usr/sbin/policy-rc.d
createcluster=/etc/postgresql-common/createcluster.d
made_policy= made_create= made_directory=
clean() {
  [ -z "$made_policy" ] || rm -f "$policy"
  [ -z "$made_create" ] || rm -f "$createcluster/rookery.conf"
  [ -z "$made_directory" ] || rmdir "$createcluster" 2> /dev/null || true
}
trap clean EXIT
if [ ! -e "$policy" ]; then
  made_policy=1
  printf '#!/bin/sh\ncase "$1" in redis-server*|postgresql*|prometheus*) exit 101 ;; esac\nexit 0\n' > "$policy"
  chmod 755 "$policy"
fi
case " $* " in *" postgresql-15 "*)
  [ -d "$createcluster" ] || made_directory=1
  mkdir -p "$createcluster"
  made_create=1
  echo 'create_main_cluster = false' > "$createcluster/rookery.conf" ;;
esac
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
for service in redis-server prometheus prometheus-alertmanager; do
  case " $* " in *" $service "*)
    if command -v systemctl > /dev/null; then systemctl disable -q "$service" 2> /dev/null || true; fi ;;
  esac
done
"""


def wanted(groups: list[str]) -> list[tuple[str, str]]:
    found, group = [], ""
    for line in LIST.read_text().splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            group = line.strip("[]")
        elif line and group in groups:
            name, _, path = line.partition(" ")
            found.append((name, path.strip()))
    return found


def missing(groups: list[str]) -> list[str]:
    packages = wanted(groups)
    try:
        answer = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *(name for name, _ in packages)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except FileNotFoundError:
        raise ClusterError("this needs Debian 12: there is no dpkg-query here") from None
    installed = {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
    return [name for name, path in packages if name not in installed and not (path and Path(path).exists())]


def install(groups: list[str], progress: Progress) -> None:
    progress.step("packages")
    names = missing(groups)
    if not names:
        progress.done("all there")
        return
    command = ["sh", "-c", INSTALL, "install", *names]
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            raise ClusterError(f"packages are missing and there is no sudo to install them with: {' '.join(names)}")
        progress.say(f"These Debian packages are missing and are installed with sudo: {' '.join(names)}")
        # Asks for the password here, on the terminal.
        if subprocess.run(["sudo", "-v"], stdin=None if os.isatty(0) else subprocess.DEVNULL).returncode != 0:
            raise ClusterError(f"sudo was refused; as root: apt-get install --no-install-recommends {' '.join(names)}")
        command = ["sudo", *command]
    count, unpacked = 0, 0

    def on_line(line: str) -> None:
        nonlocal count, unpacked
        if line.endswith("newly installed, 0 to remove and 0 not upgraded.") or " newly installed" in line:
            words = line.split()
            count = int(words[words.index("newly") - 1])
        elif line.startswith(("Unpacking ", "Setting up ")):
            unpacked += 1
            progress.update(f"{unpacked * 50 // max(count, 1)}% of {count} packages: {line.split(' (')[0]}")
        elif line.startswith("Get:"):
            progress.update(f"fetching {' '.join(line.split()[4:5])}")

    with tempfile.TemporaryDirectory() as scratch:
        log = DEPS / "packages.log"
        try:
            DEPS.mkdir(parents=True, exist_ok=True)
        except OSError:
            log = Path(scratch) / "packages.log"
        run(command, "apt-get", log=log, on_line=on_line, identify=lambda line: line.startswith("E:"))
    left = missing(groups)
    if left:
        raise ClusterError(f"apt-get ended well but these packages are still missing: {' '.join(left)}")
    progress.done(f"{count or len(names)} installed")
