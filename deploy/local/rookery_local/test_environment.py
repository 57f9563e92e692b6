"""What only tests and the demo need: stock XMPP clients and a Kafka consumer, pinned."""

import shutil

from rookery_local import lock
from rookery_local.commands import run
from rookery_local.output import Progress
from rookery_local.paths import DEPS, SOURCE

REQUIREMENTS = SOURCE / "tests" / "e2e" / "requirements.txt"
NODE_FILES = [SOURCE / "tests" / "e2e" / "stanzajs" / name for name in ("package.json", "package-lock.json")]
VENV = DEPS / "venv"
PYTHON = VENV / "bin" / "python"
NODE = DEPS / "node"


def prepare(progress: Progress) -> None:
    with lock.exclusive(DEPS / "test-environment.lock", progress):
        _python(progress)
        _node(progress)


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


def _node(progress: Progress) -> None:
    progress.step("node")
    wanted, mark = "".join(path.read_text() for path in NODE_FILES), NODE / "installed"
    if mark.exists() and mark.read_text() == wanted:
        progress.done("packages there")
        return
    shutil.rmtree(NODE, ignore_errors=True)
    NODE.mkdir(parents=True)
    for path in NODE_FILES:
        shutil.copy(path, NODE)
    run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
        "npm",
        log=DEPS / "npm.log",
        directory=NODE,
        on_line=progress.update,
        identify=lambda line: line.startswith(("npm ERR!", "npm error")),
    )
    mark.write_text(wanted)
    progress.done("packages installed")
