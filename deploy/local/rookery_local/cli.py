"""The command line. Exit status: 0 done, 1 it failed, 2 wrong command line, 3 (status) not everything is ready."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from rookery_local import build, connect, jid_hash, kafka_jars, lock, packages, processes, sessions, status, test_environment
from rookery_local.cluster import Cluster
from rookery_local.errors import ClusterError, UsageError
from rookery_local.layout import BACKENDS, MOST, SERVICES, Name, Options
from rookery_local.output import Progress
from rookery_local.paths import BUILD, DEFAULT_STATE, SOURCE, State


def main(arguments: list[str]) -> int:
    parsed = _parser().parse_args(arguments)
    progress = Progress(sys.stderr if getattr(parsed, "json", False) else sys.stdout)
    try:
        return parsed.command(parsed, progress)
    except ClusterError as error:
        progress.clear()
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deploy/local/cluster",
        description="A whole Rookery cluster on this machine, all of it under .local/.",
        epilog=_SETTINGS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rookery {_version()}")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, metavar="DIR", help="where the cluster lives (.local/cluster)")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, function, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        # Also behind the command; SUPPRESS keeps what stood before it.
        command.add_argument("--state", type=Path, default=argparse.SUPPRESS, metavar="DIR", help=argparse.SUPPRESS)
        return command

    def add_start_options(command: argparse.ArgumentParser) -> None:
        for service in SERVICES:
            command.add_argument(f"--{service}", type=int, metavar="N", help=f"replicas of {service} (2)")
        command.add_argument("--base-port", type=int, metavar="PORT", help="port of gateway 1; the others follow from it (5222)")
        command.add_argument("--tls", choices=("off", "optional", "required"), help="of the client listeners (optional)")
        command.add_argument("--service-tls", choices=("on", "off"), help="mutual TLS between our own services (on)")
        command.add_argument("--partitions", type=int, metavar="N", help="shards, fixed once the cluster has started (4)")
        command.add_argument("--preset", help="CMake preset to build and run (release)")
        command.add_argument("--build-dir", type=Path, metavar="DIR", help="build directory (.local/build/<preset>)")
        command.add_argument("--no-build", action="store_true", help="neither install nor build: run what is there")

    up = add("up", _up, "install what is missing, build, start everything that does not run")
    add_start_options(up)
    up.add_argument("--backends-only", action="store_true", help="only PostgreSQL, Redis and Kafka")
    add("down", _down, "stop everything, in order")
    show = add("status", _status, "what runs, and whether it is ready")
    show.add_argument("--json", action="store_true", help="for programs")
    listed = add("sessions", _sessions, "which session is where: all, those of a user, or one")
    listed.add_argument("jid", nargs="?", metavar="JID", help="a bare or a full JID")
    listed.add_argument("--json", action="store_true", help="for programs")
    hash_ = add("hash", _hash, "the hash that the logs have in place of a user's address")
    hash_.add_argument("jids", nargs="+", metavar="JID", help="a bare or a full JID; what is logged is the hash of the bare one")
    logs = add("logs", _logs, "print the logs of all processes, of one service or of one instance")
    logs.add_argument("name", nargs="?", metavar="SERVICE[/N]")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    logs.add_argument("-n", "--tail", type=_lines, metavar="N", help="only the last N lines of each, or `all` (all; with -f 20)")
    restart = add("restart", _restart, "restart a service, one instance after the other, or one instance")
    restart.add_argument("name", metavar="SERVICE[/N]")
    scale = add("scale", _scale, "start or stop instances until there are N")
    scale.add_argument("target", metavar="SERVICE=N")
    demo = add("demo", _demo, "two stock clients chat, also in a room, while a session-manager and the owner of the room are killed (starts the cluster if needed)")
    add_start_options(demo)
    reset = add("reset", _reset, "stop everything and delete data, generated configuration and logs; settings of your own stay")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    return parser


_SETTINGS_HELP = """\
settings of your own, which win over those that `up` generates:
  .local/cluster/settings/<service>.yaml       of every instance of a service
  .local/cluster/settings/<service>-<n>.yaml   of one instance, over the former
  .local/cluster/settings/kafka.properties, postgresql.conf
  ROOKERY_<SERVICE>__<KEY> in the environment  over all of them
`restart SERVICE` applies them; `rookery-<service> --config-reference` lists them."""


def _version() -> str:
    found = re.search(r"project\(rookery VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text())
    return found.group(1) if found else "(unknown version)"


def _lines(text: str) -> str:
    """For tail -n."""
    if text == "all":
        return "+1"
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines, nor `all`")
    return text


def _up(parsed, progress: Progress) -> int:
    state = State(parsed.state)
    with lock.exclusive(state.lock, progress):
        cluster = _bring_up(parsed, progress, state)
    progress.say("")
    progress.say("The backends are up." if parsed.backends_only else connect.text(state, cluster.options))
    return 0


def _bring_up(parsed, progress: Progress, state: State) -> Cluster:
    options, before = _options(parsed, state, progress)
    backends_only = getattr(parsed, "backends_only", False)
    if not parsed.no_build:
        packages.install(["runtime", "build"], progress)
        kafka_jars.fetch(progress)
        if not backends_only:
            build.build(parsed.preset or "release", Path(options.build_directory), [f"rookery-{service}" for service in SERVICES], progress)
    cluster = Cluster(state, options, progress)
    if before and not backends_only:
        # `up --gateway 1` on a cluster with two.
        for service in SERVICES:
            if any(n.service == service and n.instance > options.replicas[service] for n in cluster.running()):
                cluster.scale(service, options.replicas[service])
    cluster.up(BACKENDS if backends_only else (*BACKENDS, *SERVICES))
    old = [str(name) for name, pid in cluster.running().items() if _is_outdated(pid)]
    if old:
        progress.say(f"note: {', '.join(old)} still run an older build; `restart` brings the new one in")
    return cluster


def _options(parsed, state: State, progress: Progress) -> tuple[Options, bool]:
    """What was asked for, on top of what the cluster had before; and whether it runs."""
    options = Options.load(state) or Options()
    running = bool(Cluster(state, options, progress).running())
    build_directory = parsed.build_dir or (parsed.preset and BUILD / parsed.preset) or options.build_directory
    changes = {
        "base_port": parsed.base_port,
        "tls": parsed.tls,
        "service_tls": None if parsed.service_tls is None else parsed.service_tls == "on",
        "partitions": parsed.partitions,
        "build_directory": str(Path(os.path.abspath(build_directory))),
    }
    for key, value in changes.items():
        if value is None or value == getattr(options, key):
            continue
        if running and key in ("base_port", "tls", "service_tls"):
            raise ClusterError(f"the cluster is running with another --{key.replace('_', '-')} ({getattr(options, key)}); `down` first")
        if key == "partitions" and state.options.exists():
            raise ClusterError(f"the cluster has {options.partitions} partitions, which cannot change; `reset` first")
        setattr(options, key, value)
    for service in SERVICES:
        count = getattr(parsed, service.replace("-", "_"))
        if count is not None:
            options.replicas[service] = count
    options.check()
    return options, running


def _down(parsed, progress: Progress) -> int:
    state = State(parsed.state)
    with lock.exclusive(state.lock, progress):
        Cluster(state, Options.load(state) or Options(), progress).down()
    return 0


def _reset(parsed, progress: Progress) -> int:
    state = State(parsed.state)
    if not parsed.yes and state.root.exists():
        if not sys.stdin.isatty():
            raise UsageError(f"`reset` deletes all that is in {state.root}; where nobody can be asked it needs --yes")
        answer = input(f"Stop the cluster, and delete accounts, messages and logs in {state.root}? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            print("nothing was stopped or deleted")
            return 1
    with lock.exclusive(state.lock, progress):
        try:
            options = Options.load(state) or Options()
        except ClusterError:
            options = Options()
        Cluster(state, options, progress).reset()
    return 0


def _status(parsed, progress: Progress) -> int:
    """Takes no lock: it answers while another command works."""
    state = State(parsed.state)
    try:
        options = Options.load(state)
        report = status.report(state) if options is None else status.read(Cluster(state, options, progress))
    except ClusterError as error:
        if not parsed.json:
            raise
        print(status.as_json(status.report(state, problems=[str(error)])))
        return 1
    if parsed.json:
        print(status.as_json(report))
    elif options is None:
        print("There is no cluster. `deploy/local/cluster up` starts one.")
    else:
        print(status.as_table(report))
    return 0 if status.is_up(report) else 3


def _sessions(parsed, progress: Progress) -> int:
    jid = sessions.address(parsed.jid) if parsed.jid is not None else ""
    state, options = _existing(parsed)
    found = sessions.read(state, options, jid_hash.key(state), jid)
    if parsed.json:
        print(sessions.as_json(found))
    elif found:
        print(sessions.as_table(found))
    else:
        print(f"no session of {jid}" if jid else "no session")
    # As grep does: what was asked for is not there.
    return 1 if jid and not found else 0


def _hash(parsed, progress: Progress) -> int:
    jids = [sessions.address(text) for text in parsed.jids]
    state, _ = _existing(parsed)
    for jid in jids:
        print(f"{jid_hash.of(jid_hash.key(state), jid)}  {jid.partition('/')[0]}")
    return 0


def _logs(parsed, progress: Progress) -> int:
    state, options = _existing(parsed)
    names = sorted(set(options.names()) | set(processes.recorded(state)))
    if parsed.name:
        names = _select(parsed.name, names)
    files = [str(processes.log_path(state, name)) for name in names if processes.log_path(state, name).exists()]
    if not files:
        raise ClusterError("there are no logs yet")
    tail = parsed.tail or ("20" if parsed.follow else "+1")
    return subprocess.run(["tail", "-n", tail, *(["-F"] if parsed.follow else []), *files]).returncode


def _restart(parsed, progress: Progress) -> int:
    state, options = _existing(parsed)
    with lock.exclusive(state.lock, progress):
        Cluster(state, options, progress).restart(_select(parsed.name, options.names()))
    return 0


def _scale(parsed, progress: Progress) -> int:
    service, count = _target(parsed.target)
    state, options = _existing(parsed)
    with lock.exclusive(state.lock, progress):
        Cluster(state, options, progress).scale(service, count)
    return 0


def _target(text: str) -> tuple[str, int]:
    """`gateway=3`"""
    service, equals, count = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} does not say how many: SERVICE=N, such as gateway=3")
    if service in BACKENDS:
        raise UsageError(f"there is one {service}, and no more; what scales is {', '.join(SERVICES)}")
    if service not in SERVICES:
        raise UsageError(f"no service is called {service!r}; there are {', '.join(SERVICES)}")
    if not (count.isascii() and count.isdigit()):
        raise UsageError(f"{count!r} is not a number of instances")
    if int(count) > MOST[service]:
        raise UsageError(f"{count} is more than {MOST[service]}, the most instances of {service} that have ports here")
    return service, int(count)


def _demo(parsed, progress: Progress) -> int:
    state = State(parsed.state)
    with lock.exclusive(state.lock, progress):
        _bring_up(parsed, progress, state)
    if not parsed.no_build:
        packages.install(["test"], progress)
    test_environment.prepare(progress)
    progress.say("")
    return subprocess.run(
        [str(test_environment.PYTHON), "-m", "scenarios.demo", "--state", str(state.root)],
        cwd=SOURCE / "tests" / "e2e",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    ).returncode


def _existing(parsed) -> tuple[State, Options]:
    state = State(parsed.state)
    options = Options.load(state)
    if options is None:
        raise ClusterError("there is no cluster here; `deploy/local/cluster up` starts one")
    return state, options


def _select(text: str, names: list[Name]) -> list[Name]:
    service, slash, instance = text.partition("/")
    if service not in (*SERVICES, *BACKENDS):
        raise UsageError(f"no service is called {service!r}; there are {', '.join((*SERVICES, *BACKENDS))}")
    found = [name for name in names if name.service == service and (not slash or str(name.instance) == instance)]
    if not found:
        raise UsageError(f"there is no {text} in this cluster")
    return found


def _is_outdated(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/exe").endswith(" (deleted)")
    except OSError:
        return False
