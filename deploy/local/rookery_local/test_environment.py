"""What only tests and the demo need, pinned: stock XMPP clients, a Kafka consumer, Grafana's types of boards."""

import shutil
from pathlib import Path

from rookery_local import lock
from rookery_local.commands import run
from rookery_local.output import Progress
from rookery_local.paths import DEPS, SOURCE

REQUIREMENTS = SOURCE / "tests" / "e2e" / "requirements.txt"
VENV = DEPS / "venv"
PYTHON = VENV / "bin" / "python"
NODE = DEPS / "node"
BOARD_SCHEMA = DEPS / "board-schema"


def prepare(progress: Progress) -> None:
    with lock.exclusive(DEPS / "test-environment.lock", progress):
        _python(progress)
        _node(progress, SOURCE / "tests" / "e2e" / "stanzajs", NODE)


def prepare_board_schema(progress: Progress) -> None:
    with lock.exclusive(DEPS / "test-environment.lock", progress):
        _node(progress, SOURCE / "tests" / "boards" / "schema", BOARD_SCHEMA)


def _python(progress: Progress) -> None:
    progress.step("python")
    wanted, mark = REQUIREMENTS.read_text(), VENV / "installed"
    if mark.exists() and mark.read_text() == wanted:
        progress.done("packages there")
        return
    shutil.rmtree(VENV, ignore_errors=True)
    # Debian's Python, whatever else is first on the path.
    run(["/usr/bin/python3", "-m", "venv", str(VENV)], "making a Python environment")
    run(
        [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", str(REQUIREMENTS)],
        "pip",
        log=DEPS / "pip.log",
        on_line=progress.update,
        identify=lambda line: line.startswith("ERROR"),
    )
    mark.write_text(wanted)
    progress.done("packages installed")


def _node(progress: Progress, source: Path, directory: Path) -> None:
    """What the lock file in `source` names."""
    progress.step("node")
    files = [source / name for name in ("package.json", "package-lock.json")]
    wanted, mark = "".join(path.read_text() for path in files), directory / "installed"
    if mark.exists() and mark.read_text() == wanted:
        progress.done("packages there")
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for path in files:
        shutil.copy(path, directory)
    run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
        "npm",
        log=DEPS / "npm.log",
        directory=directory,
        on_line=progress.update,
        identify=lambda line: line.startswith(("npm ERR!", "npm error")),
    )
    mark.write_text(wanted)
    progress.done("packages installed")
