"""`status`: as a table, or as JSON for programs."""

import json
from concurrent.futures import ThreadPoolExecutor

from rookery_local import health, processes
from rookery_local.layout import DOMAIN, SERVICES, Name
from rookery_local.cluster import Cluster


def read(cluster: Cluster) -> dict:
    names = sorted(set(cluster.options.names()) | set(processes.recorded(cluster.state)), key=_order)
    with ThreadPoolExecutor(max_workers=16) as pool:
        entries = list(pool.map(lambda name: _entry(cluster, name), names))
    return {"processes": entries, "domain": DOMAIN, "state": str(cluster.state.root)}


def is_up(report: dict) -> bool:
    return bool(report["processes"]) and all(entry["ready"] for entry in report["processes"])


def as_json(report: dict) -> str:
    return json.dumps(report, indent=2)


def as_table(report: dict) -> str:
    rows = [("PROCESS", "PID", "UPTIME", "STATE", "LISTENERS")]
    for entry in report["processes"]:
        listeners = " ".join(f"{key}={value.rpartition(':')[2]}" for key, value in entry["listeners"].items())
        state = "ready" if entry["ready"] else ("not ready: " + entry["reason"] if entry["pid"] else "not running")
        rows.append((f"{entry['service']}/{entry['instance']}", str(entry["pid"] or "-"), _span(entry["uptime"]), state, listeners))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]) for row in rows)


def _entry(cluster: Cluster, name: Name) -> dict:
    pid = processes.running(cluster.state, name)
    reason = health.not_ready_reason(cluster.options, name) if pid else "not running"
    uptime = processes.uptime(pid) if pid else None
    return {
        "service": name.service,
        "instance": name.instance,
        "pid": pid,
        "uptime": None if uptime is None else round(uptime, 1),
        "ready": not reason,
        "reason": reason,
        "listeners": cluster.options.listeners(name),
        "log": str(processes.log_path(cluster.state, name)),
    }


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
