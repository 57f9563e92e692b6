"""Processes that outlive the command which starts them.

Each has a file in the state's run/ with its pid and the time of its start, so that a
pid which the system has given to another process since is never taken for ours."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

from rookery_local.errors import ClusterError
from rookery_local.layout import Name
from rookery_local.paths import State

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Record:
    pid: int
    start_ticks: int
    boot: str


def start(
    state: State,
    name: Name,
    command: list[str],
    environment: dict[str, str] | None = None,
    directory: Path | None = None,
) -> int:
    """Starts the command in a session of its own, its output appended to the log."""
    log = log_path(state, name)
    with open(log, "ab") as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory or state.root,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_prepare_child,
            )
        except OSError as error:
            raise ClusterError(f"{name} cannot be started: {error.filename or command[0]}: {error.strerror}") from error
    # So that this command reaps it, should it end meanwhile.
    _children[process.pid] = process
    ticks = _start_ticks(process.pid)
    record = Record(process.pid, ticks or 0, _boot_id())
    path = _record_path(state, name)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(dataclasses.asdict(record)))
    part.rename(path)
    return process.pid


_children: dict[int, subprocess.Popen] = {}


def running(state: State, name: Name) -> int | None:
    """The pid, if the process that we started still runs."""
    record = _load(state, name)
    if record is None:
        return None
    if record.pid in _children:
        _children[record.pid].poll()
    if record.boot != _boot_id() or _start_ticks(record.pid) != record.start_ticks:
        return None
    return record.pid


def exit_status(state: State, name: Name) -> int | None:
    """Of a process that this very command has started."""
    record = _load(state, name)
    child = _children.get(record.pid) if record else None
    return child.poll() if child else None


def uptime(pid: int) -> float | None:
    ticks = _start_ticks(pid)
    if ticks is None:
        return None
    with open("/proc/uptime") as file:
        return max(0.0, float(file.read().split()[0]) - ticks / _TICKS)


def stop(state: State, names: list[Name], seconds: float, first: int = signal.SIGTERM) -> list[Name]:
    """Asks all of them to end, waits, and kills what is left. Returns those that were killed."""
    alive = {name: pid for name in names if (pid := running(state, name)) is not None}
    for name, pid in alive.items():
        _signal(name, pid, first)
        # One that was stopped could not obey.
        _signal(name, pid, signal.SIGCONT)
    _wait_for_end(state, alive, seconds)
    killed = list(alive)
    for name, pid in alive.items():
        _signal(name, pid, signal.SIGKILL)
    _wait_for_end(state, alive, 10)
    if alive:
        raise ClusterError(f"{', '.join(map(str, alive))}: still there after SIGKILL")
    for name in names:
        _record_path(state, name).unlink(missing_ok=True)
    return killed


def recorded(state: State) -> list[Name]:
    """Every process that has a file, whether it runs or not."""
    found = []
    for path in sorted(state.run.glob("*.json")):
        service, _, instance = path.stem.rpartition("-")
        found.append(Name(service, int(instance)))
    return found


def forget(state: State, name: Name) -> None:
    """Deletes the record of a process that ended by itself."""
    _record_path(state, name).unlink(missing_ok=True)


def log_path(state: State, name: Name) -> Path:
    return state.logs / f"{name.file}.log"


def _wait_for_end(state: State, alive: dict[Name, int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while alive:
        for name in [name for name in alive if running(state, name) is None]:
            del alive[name]
        if not alive or time.monotonic() > deadline:
            return
        time.sleep(0.05)


def _signal(name: Name, pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise ClusterError(f"not allowed to stop {name} (pid {pid}): it belongs to another user") from None


def _record_path(state: State, name: Name) -> Path:
    return state.run / f"{name.file}.json"


def _load(state: State, name: Name) -> Record | None:
    try:
        return Record(**json.loads(_record_path(state, name).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat; None where there is no such process, or only its zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _prepare_child() -> None:
    # What it writes is its user's alone.
    os.umask(0o077)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
