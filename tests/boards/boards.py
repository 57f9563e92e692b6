"""The boards as their files have them, and their queries as Prometheus gets them."""

import dataclasses
import json
import re
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "boards"
_LABEL_VALUES = re.compile(r"label_values\((.*), (\w+)\)")


@dataclasses.dataclass
class Query:
    board: str  # its uid
    panel: str
    legend: str
    expression: str

    def __str__(self) -> str:
        return f"{self.board} / {self.panel} / {self.legend}"


def load() -> dict[str, dict]:
    """File name without ending -> board."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DIRECTORY.glob("*.json"))}


def panels(board: dict) -> list[dict]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(board: dict) -> list[Query]:
    found = [
        Query(board["uid"], panel["title"], target["legendFormat"], target["expr"]) for panel in panels(board) for target in panel["targets"]
    ]
    return found + [Query(board["uid"], "annotation", a["name"], a["expr"]) for a in board["annotations"]["list"]]


def variable_queries(board: dict) -> list[tuple[str, str, str]]:
    """(variable, selector, label) of each that asks Prometheus."""
    found = []
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            match = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            assert match, f"{variable['name']}: only label_values(…) is understood here"
            found.append((variable["name"], match.group(1), match.group(2)))
    return found


def bounds(board: dict) -> dict[str, str]:
    """Variables that are a number, and their defaults."""
    return {v["name"]: v["query"] for v in board["templating"]["list"] if v["type"] == "textbox"}


def filled(text: str, board: dict, rate_interval: str = "1m", range_: str = "1h", chosen: dict[str, str] | None = None) -> str:
    """With what Grafana would put in for its variables: those chosen, otherwise all, and the default bounds."""
    values = {"__rate_interval": rate_interval, "__range": range_}
    values |= {variable["name"]: variable["allValue"] for variable in board["templating"]["list"] if variable["type"] == "query"}
    values |= bounds(board) | (chosen or {})

    def value(match: re.Match) -> str:
        assert match.group(1) in values, f"no variable is called {match.group(1)}: {text}"
        return values[match.group(1)]

    return re.sub(r"\$\{?(\w+)\}?", value, text)
