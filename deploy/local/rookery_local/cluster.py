"""What the commands do with a cluster: start, stop, restart, scale."""

import json
import os
import shutil
import time
from pathlib import Path

from rookery_local import certificates, health, kafka, ports, postgresql, processes, prometheus, redis, services, shards
from rookery_local.errors import ClusterError
from rookery_local.layout import BACKENDS, SERVICES, Name, Options
from rookery_local.output import Progress
from rookery_local.paths import State

# A gateway gives its clients this long to close, a session-manager to hand over.
DRAIN_SECONDS = 25
BACKEND_STOP_SECONDS = 20
READY_SECONDS = 60


class Cluster:
    def __init__(self, state: State, options: Options, progress: Progress):
        self.state = state
        self.options = options
        self.progress = progress

    def running(self) -> dict[Name, int]:
        return {
            name: pid for name in processes.recorded(self.state) if (pid := processes.running(self.state, name)) is not None
        }

    def up(self, of: tuple[str, ...] = (*BACKENDS, *SERVICES)) -> None:
        """Starts what does not run yet. What this call has started is stopped again if it fails."""
        running = self.running()
        missing = [name for name in self.options.names() if name.service in of and name not in running]
        self._check_binaries(missing)
        ports.check_free({name: self._used_ports(name) for name in missing})
        before = Options.load(self.state)
        try:
            self.state.make()
        except OSError as error:
            raise ClusterError(f"cannot write {error.filename}: {error.strerror}") from error
        self.options.save(self.state)
        for name in set(processes.recorded(self.state)) - set(self.options.names()) - set(running):
            processes.forget(self.state, name)
        try:
            prometheus.write_targets(self.state, self.options)
            self._configure(missing)
            self._start(missing)
            for service in shards.SHARDED:
                if any(name.service == service for name in missing):
                    self._wait_owned(service)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                self.progress.say("interrupted; stopping what was started")
            self._stop([name for name in missing if name in self.running()], quick=True)
            if before:
                before.save(self.state)
            else:
                self._forget()
            if isinstance(error, OSError):
                raise ClusterError(f"{error.filename}: {error.strerror}") from error
            raise

    def down(self) -> None:
        running = self.running()
        self.progress.step("stop")
        if not running:
            self.progress.done("nothing was running")
            return
        killed = self._stop(list(running))
        late = f"; killed, since they did not end in time: {', '.join(map(str, killed))}" if killed else ""
        self.progress.done(f"{len(running)} processes{late}")

    def reset(self) -> None:
        """Leaves nothing but a developer's own settings."""
        self.down()
        if not self.state.root.exists():
            return
        try:
            for entry in self.state.root.iterdir():
                if entry == self.state.settings and any(entry.iterdir()):
                    continue
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            if not self.state.settings.exists():
                self.state.root.rmdir()
        except OSError as error:
            raise ClusterError(f"cannot delete {error.filename}: {error.strerror}") from error

    def _forget(self) -> None:
        """Deletes all but logs and own settings of a cluster that never started."""
        self.state.options.unlink(missing_ok=True)
        for directory in (self.state.run, self.state.config, self.state.data, self.state.certificates, self.state.secrets):
            shutil.rmtree(directory, ignore_errors=True)

    def restart(self, names: list[Name]) -> None:
        """One after the other, so that the others of a service go on serving."""
        self._configure(names)
        for name in names:
            self.progress.step("restart")
            self.progress.update(str(name))
            self._stop([name])
            self.progress.done(f"{name} stopped")
            self._start([name])
            self._wait_settled(name.service)

    def scale(self, service: str, count: int) -> None:
        before = self.options.replicas[service]
        self.options.replicas[service] = count
        self.options.check()
        wanted = {Name(service, n + 1) for n in range(count)}
        present = {name for name in self.running() if name.service == service}
        extra = sorted(present - wanted)
        if extra:
            self.progress.step("stop")
            self.progress.update(", ".join(map(str, extra)))
            self._stop(extra)
            self.progress.done(", ".join(map(str, extra)))
        try:
            self.up()
        except ClusterError:
            self.options.replicas[service] = before
            self.options.save(self.state)
            raise
        self._wait_settled(service)

    # ---- start ----

    def _start(self, names: list[Name]) -> None:
        backends = [name for name in names if name.service in BACKENDS]
        ours = [name for name in names if name.service in SERVICES]
        if backends:
            self.progress.step("backends")
            for name in backends:
                self.progress.update(f"starting {name}")
                if name == postgresql.NAME:
                    postgresql.prepare(self.state, self.options, self.progress)
                    postgresql.start(self.state, self.options)
                elif name == redis.NAME:
                    redis.start(self.state, self.options)
                else:
                    kafka.prepare(self.state, self.options, self.progress)
                    kafka.start(self.state, self.options)
            self._wait_ready(backends)
            if kafka.NAME in backends:
                kafka.grant(self.state, self.options)
            self.progress.done(f"{', '.join(name.service for name in backends)} ready")
        if ours:
            self.progress.step("services")
            if any(name == postgresql.NAME for name in self.running()):
                postgresql.create_database(self.state, self.options)
            for name in ours:
                self.progress.update(f"starting {name}")
                services.start(self.state, self.options, name)
            self._wait_ready(ours)
            self.progress.done(f"{_summary(ours)} ready")

    def _configure(self, names: list[Name]) -> None:
        """Writes the services' configuration and lets them check it."""
        names = [name for name in names if name.service in SERVICES]
        self._check_binaries(names)
        if names:
            certificates.make(self.state)
        for name in names:
            services.configure(self.state, self.options, name, self.progress)
        for name in names:
            services.check(self.state, self.options, name)

    def _wait_settled(self, service: str) -> None:
        """After instances have come or gone: every shard has an owner again, and whoever took some is ready."""
        names = [name for name in self.running() if name.service == service]
        if service in shards.SHARDED and names:
            self.progress.step("shards")
            self._wait_owned(service)
            self._wait_ready(names)
            self.progress.done(f"every shard of {service} has an owner")

    def _wait_owned(self, service: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        # `None`, Redis does not say, is nothing to wait for.
        while left := shards.without_owner(self.state, self.options, service):
            if time.monotonic() > deadline:
                raise ClusterError(f"{left} shards of {service} had no owner after {READY_SECONDS} s")
            self.progress.update(f"waiting for owners of {left} shards of {service}")
            time.sleep(0.1)

    def _wait_ready(self, names: list[Name]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        waiting = {name: "" for name in names}
        while waiting:
            for name in list(waiting):
                if processes.running(self.state, name) is None:
                    status = processes.exit_status(self.state, name)
                    how = f"was killed by signal {-status}" if status and status < 0 else f"exited with status {status}"
                    raise ClusterError(f"{name} {how}: {last_error(processes.log_path(self.state, name))}")
                waiting[name] = health.not_ready_reason(self.options, name)
                if not waiting[name]:
                    del waiting[name]
            if waiting:
                name, reason = next(iter(waiting.items()))
                if time.monotonic() > deadline:
                    log = processes.log_path(self.state, name)
                    raise ClusterError(f"{name} was not ready after {READY_SECONDS} s: {reason}; see {log}")
                self.progress.update(f"waiting for {', '.join(map(str, waiting))}")
                time.sleep(0.1)

    def _check_binaries(self, names: list[Name]) -> None:
        for service in {name.service for name in names if name.service in SERVICES}:
            binary = self.options.binary(service)
            if not os.access(binary, os.X_OK):
                raise ClusterError(f"there is no {binary}; build it first (`up` without --no-build)")

    def _used_ports(self, name: Name) -> dict[str, int]:
        listeners = self.options.listeners(name)
        return {listener: port for listener, port in self.options.ports(name).items() if listener in listeners}

    # ---- stop ----

    def _stop(self, names: list[Name], quick: bool = False) -> list[Name]:
        """In an order in which none loses what it needs in order to finish. Returns what had to be killed."""
        killed = []
        for services_of_step, seconds in (
            (("gateway",), DRAIN_SECONDS),
            (("session-manager",), DRAIN_SECONDS),
            (("roster", "muc", "search"), DRAIN_SECONDS),
            (("kafka", "redis"), BACKEND_STOP_SECONDS),
        ):
            step = [name for name in names if name.service in services_of_step]
            if step:
                self.progress.update(f"stopping {', '.join(map(str, step))}")
                killed += processes.stop(self.state, step, 5 if quick else seconds)
        if postgresql.NAME in names:
            # SIGINT: PostgreSQL's fast shutdown, which does not wait for its clients.
            killed += processes.stop(self.state, [postgresql.NAME], BACKEND_STOP_SECONDS, first=2)
        return killed


def last_error(log: Path) -> str:
    """The last line about an error, or else the last line."""
    try:
        with open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65536))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    if not lines:
        return f"it wrote nothing to {log}"
    marks = ("error", "fatal", "critical", "exception")
    line = next((line for line in reversed(lines) if any(mark in line.lower() for mark in marks)), lines[-1])
    return f"{_plain(line)} ({log})"


def _plain(line: str) -> str:
    """A JSON log line as text."""
    try:
        fields = json.loads(line)
        return ", ".join(f"{key} {value}" for key, value in fields.items() if key not in ("time", "ts", "level", "service", "instance"))
    except (ValueError, AttributeError):
        return line.strip()


def _summary(names: list[Name]) -> str:
    counts: dict[str, int] = {}
    for name in names:
        counts[name.service] = counts.get(name.service, 0) + 1
    return ", ".join(f"{count} {service}" for service, count in counts.items())
