"""What boards are made of, and their JSON for Grafana.

A board is a list of rows, a row a title and its panels. Panels flow from left to right; nobody writes a position."""

import dataclasses

SCHEMA_VERSION = 39
_FULL_WIDTH = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, ORANGE, RED = "green", "yellow", "orange", "red"

# Grafana's names of units.
PER_SECOND, SECONDS, BYTES, BYTES_PER_SECOND, RATIO, NUMBER, CORES = "cps", "s", "bytes", "Bps", "percentunit", "short", "none"


@dataclasses.dataclass
class Panel:
    title: str
    unit: str
    queries: dict[str, str]  # legend -> expression
    description: str  # what it shows, and what to do when it looks bad
    kind: str = "timeseries"  # stat, table
    width: int = 8
    height: int = 8
    steps: tuple[tuple[float, str], ...] = ()  # from this value on in this colour; below the first: green
    stacked: bool = False
    most: float | None = None  # the axis goes to this value at least


@dataclasses.dataclass
class Row:
    title: str
    panels: list[Panel]


@dataclasses.dataclass
class Variable:
    name: str
    label: str
    query: str


@dataclasses.dataclass
class Bound:
    """A bound of the configuration that no metric tells: its default, which the reader of the board can change."""

    name: str
    label: str
    default: int


@dataclasses.dataclass
class Board:
    uid: str
    title: str
    description: str
    variables: list[Variable | Bound]
    rows: list[Row]


# ---- variables ----

# Any process of ours: each has this gauge, under the name of its service.
_ANY = '__name__=~"rookery_.+_build_info"'
SERVICE = Variable("service", "Service", f"label_values({{{_ANY}}}, service)")
INSTANCE = Variable("instance", "Instance", f'label_values({{{_ANY}, service=~"$service"}}, instance)')


def services_with(noun: str) -> Variable:
    return Variable("service", "Service", f'label_values({{__name__=~"rookery_.+_{noun}"}}, service)')


def instances_of(service: str) -> Variable:
    return Variable("instance", "Instance", f"label_values(rookery_{service}_build_info, instance)")


# ---- expressions ----

INSTANCES = 'instance=~"$instance"'
SELECTED = f'service=~"$service", {INSTANCES}'


def any_service(noun: str, ending: str = "") -> str:
    """The metric of whichever services are selected: its name has that of the service in it."""
    return f'{{__name__=~"rookery_.+_{noun}{ending}", {SELECTED}}}'


def with_labels(metric: str, *more: str) -> str:
    """A selector for the chosen instances; `metric` may be the selector that any_service gives."""
    if metric.endswith("}"):
        return metric[:-1] + "".join(f", {matcher}" for matcher in more) + "}"
    return f"{metric}{{{', '.join([INSTANCES, *more])}}}"


def total(metric: str, by: str = "", *more: str) -> str:
    return f"{_sum(by)} ({with_labels(metric, *more)})"


def rate(metric: str, by: str = "", *more: str) -> str:
    return f"{_sum(by)} (rate({with_labels(metric, *more)}[$__rate_interval]))"


def quantile(q: float, buckets: str, by: str = "") -> str:
    return f"histogram_quantile({q}, {_sum(', '.join(filter(None, ['le', by])))} (rate({with_labels(buckets)}[$__rate_interval])))"


def increase(metric: str, by: str = "", *more: str) -> str:
    return f"{_sum(by)} (increase({with_labels(metric, *more)}[$__range]))"


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"


# ---- panels that several boards have ----


def process_row(service: str, divisor: str = "", per: str = "") -> Row:
    """How the processes of one service are; `divisor` is what their memory is for."""
    where = f'service="{service}", {INSTANCES}'
    prefix = f"rookery_{service.replace('-', '_')}"
    panels = [
        Panel(
            "Event loop lag, p99", SECONDS, {"{{instance}}": quantile(0.99, f"{prefix}_io_loop_lag_seconds_bucket", "instance")},
            "How late the I/O thread comes to a timer. Above 50 ms the process has more to do than it can: add replicas. One alone that is late "
            "has more than its share, or its machine is busy with something else.",
            steps=((0.05, YELLOW), (0.25, RED)),
        ),
        Panel(
            "CPU", CORES, {"{{instance}}": f"sum by (instance) (rate(process_cpu_seconds_total{{{where}}}[$__rate_interval]))"},
            "Cores used. All work of a process but hashing, gRPC and Kafka's threads is on one thread: above 0.8, add replicas.",
            steps=((0.8, YELLOW), (1.5, RED)),
        ),
        Panel(
            "Resident memory", BYTES, {"{{instance}}": f"process_resident_memory_bytes{{{where}}}"},
            "What the kernel counts. It should follow the load; what only rises while the load does not is a leak: take the process out and report it.",
        ),
    ]
    if divisor:
        panels.append(memory_per(service, divisor, per))
    panels.append(
        Panel(
            "Running for", SECONDS, {"{{instance}}": f"time() - process_start_time_seconds{{{where}}}"},
            "A line that falls to zero is a restart. If nobody has made it, the process's last log lines say why.",
        )
    )
    return Row("Processes", panels)


def memory_per(service: str, divisor: str, per: str, width: int = 8) -> Panel:
    where = f'service="{service}", {INSTANCES}'
    return Panel(
        f"Memory for each {per}", BYTES,
        {"{{instance}}": f"sum by (instance) (process_resident_memory_bytes{{{where}}}) / (sum by (instance) ({with_labels(divisor)}) > 0)"},
        f"Resident memory divided by the number of {per}s, what the process needs without any included; so it means something from a few thousand on. "
        "The README's benchmark has the figure to expect.",
        width=width,
    )


# ---- JSON ----


def to_json(board: Board) -> dict:
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["rookery"],
        "editable": True,
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "graphTooltip": 1,
        "links": [_menu()],
        "annotations": {"list": [_restarts()]},
        "templating": {"list": [_datasource(), *map(_variable, board.variables)]},
        "panels": _panels(board.rows),
    }


def _menu() -> dict:
    return {
        "type": "dashboards", "title": "Rookery", "tags": ["rookery"], "asDropdown": True, "includeVars": True, "keepTime": True,
        "targetBlank": False, "icon": "", "tooltip": "", "url": "",
    }


def _restarts() -> dict:
    return {
        "name": "Restarts", "datasource": DATASOURCE, "enable": True, "iconColor": ORANGE, "titleFormat": "{{service}} {{instance}} was started",
        "expr": 'changes(process_start_time_seconds{service=~"gateway|session-manager|roster|muc|search"}[1m]) > 0', "step": "60s",
    }


def _datasource() -> dict:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0, "includeAll": False, "multi": False}


def _variable(variable: Variable | Bound) -> dict:
    if isinstance(variable, Bound):
        value = str(variable.default)
        return {"name": variable.name, "label": variable.label, "type": "textbox", "query": value, "current": {"text": value, "value": value}, "hide": 0}
    return {
        "name": variable.name, "label": variable.label, "type": "query", "datasource": DATASOURCE,
        "query": {"query": variable.query, "refId": "variable"}, "refresh": 2, "sort": 1, "includeAll": True, "multi": True, "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]}, "hide": 0,
    }


def _panels(rows: list[Row]) -> list[dict]:
    result: list[dict] = []
    y = 0
    for row in rows:
        result.append({"id": len(result) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": _FULL_WIDTH, "h": 1}, "panels": []})
        y, x, tallest = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > _FULL_WIDTH:
                y, x, tallest = y + tallest, 0, 0
            result.append(_panel(panel, len(result) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return result


def _panel(panel: Panel, number: int, x: int, y: int) -> dict:
    steps = [{"color": GREEN, "value": None}, *({"color": colour, "value": value} for value, colour in panel.steps)]
    defaults: dict = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        defaults["color"] = {"mode": "palette-classic"}
        defaults["custom"] = {
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": 25 if panel.stacked else 5, "showPoints": "never", "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"}, "thresholdsStyle": {"mode": "line" if panel.steps else "off"},
        }
        if panel.most is not None:
            defaults["custom"]["axisSoftMax"] = panel.most
        options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}, "tooltip": {"mode": "multi", "sort": "desc"}}
    elif panel.kind == "stat":
        defaults["color"] = {"mode": "thresholds"}
        options = {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "textMode": "auto"}
    else:
        defaults["custom"] = {"align": "auto", "filterable": True}
        options = {"showHeader": True, "cellHeight": "sm"}
    is_table = panel.kind == "table"
    targets = [
        {
            "refId": chr(ord("A") + n), "datasource": DATASOURCE, "expr": expression, "legendFormat": legend, "editorMode": "code",
            "instant": is_table, "range": not is_table, "format": "table" if is_table else "time_series",
        }
        for n, (legend, expression) in enumerate(panel.queries.items())
    ]
    result = {
        "id": number, "type": panel.kind, "title": panel.title, "description": panel.description, "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height}, "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options, "targets": targets,
    }
    if is_table:
        result["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True, "job": True}}}]
    return result
