"""`status`: as a table, or as JSON for programs."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from rookery_local import health, processes, shards
from rookery_local.cluster import Cluster
from rookery_local.layout import DOMAIN, SERVICES, Name
from rookery_local.paths import State


def read(cluster: Cluster) -> dict:
    names = sorted(set(cluster.options.names()) | set(processes.recorded(cluster.state)), key=_order)
    with ThreadPoolExecutor(max_workers=16) as pool:
        entries = list(pool.map(lambda name: _entry(cluster, name), names))
    ownerless = {service: shards.without_owner(cluster.state, cluster.options, service) for service in shards.SHARDED}
    made = report(cluster.state, entries, ownerless, _problems(cluster, entries, ownerless))
    return made | {"service_tls": cluster.options.service_tls}


def report(state: State, entries: list[dict] = (), ownerless: dict | None = None, problems: list[str] = ()) -> dict:
    return {
        "processes": list(entries),
        "shards_without_owner": ownerless or {},
        "problems": list(problems),
        "domain": DOMAIN,
        "state": str(state.root),
    }


def is_up(report_: dict) -> bool:
    return bool(report_["processes"]) and not report_["problems"] and all(entry["ready"] for entry in report_["processes"])


def _problems(cluster: Cluster, entries: list[dict], ownerless: dict[str, int | None]) -> list[str]:
    """What no line of a process says."""
    problems = []
    for service in SERVICES:
        if cluster.options.replicas[service] == 0:
            problems.append(f"no instance of {service} is wanted: {_WITHOUT[service]}")
    if any(entry["pid"] for entry in entries):
        for service, count in ownerless.items():
            if count is None:
                problems.append(f"{service}: Redis does not say which shards have an owner")
            elif count:
                problems.append(f"{service}: {count} of {cluster.options.partitions} shards have no owner")
    return problems


_WITHOUT = {
    "gateway": "nobody can connect",
    "session-manager": "nobody can sign in",
    "roster": "there are no contact lists",
    "muc": "there are no rooms",
    "search": "search. does not answer",
}


def as_json(report_: dict) -> str:
    return json.dumps(report_, indent=2)


def as_table(report_: dict) -> str:
    rows = [("PROCESS", "PID", "UPTIME", "STATE", "LISTENERS")]
    dead = []
    for entry in report_["processes"]:
        listeners = " ".join(f"{key}={value.rpartition(':')[2]}" for key, value in entry["listeners"].items())
        state = "ready" if entry["ready"] else ("not ready: " + entry["reason"] if entry["pid"] else entry["reason"])
        name = f"{entry['service']}/{entry['instance']}"
        rows.append((name, str(entry["pid"] or "-"), _span(entry["uptime"]), state, listeners))
        if not entry["pid"] and entry["last_log"]:
            dead.append(f"{name} wrote its last line at {entry['last_log'].replace('T', ' ')}: {entry['log']}")
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]) for row in rows]
    return "\n".join([*lines, *dead, *report_["problems"]])


def _entry(cluster: Cluster, name: Name) -> dict:
    pid = processes.running(cluster.state, name)
    log = processes.log_path(cluster.state, name)
    uptime = processes.uptime(pid) if pid else None
    if pid:
        reason = health.not_ready_reason(cluster.options, name)
    else:
        # `down` takes a process's record away; one that died has left it.
        reason = "died" if name in processes.recorded(cluster.state) else "not running"
    return {
        "service": name.service,
        "instance": name.instance,
        "pid": pid,
        "uptime": None if uptime is None else round(uptime, 1),
        "ready": not reason,
        "reason": reason,
        "listeners": cluster.options.listeners(name),
        "log": str(log),
        "last_log": None if pid else _last_written(log),
    }


def _last_written(log) -> str | None:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(log.stat().st_mtime))
    except OSError:
        return None


def _order(name: Name) -> tuple:
    services = ("gateway", "session-manager", *(s for s in SERVICES if s not in ("gateway", "session-manager")))
    return (services.index(name.service) if name.service in services else len(services), name.service, name.instance)


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
