"""The boards against Grafana's own types (npm: @grafana/schema), by the TypeScript compiler."""

import copy
import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import boards
from catalogue import SOURCE

PACKAGES = SOURCE / ".local" / "deps" / "board-schema" / "node_modules"
_RAW = PACKAGES / "@grafana" / "schema" / "dist" / "esm" / "raw"
# In an annotation and known to Prometheus's plug-in only.
_OF_THE_DATA_SOURCE = ("expr", "step", "titleFormat")
_PANELS = {"timeseries": "TimeSeries", "stat": "Stat", "table": "Table"}


class SchemaTest(unittest.TestCase):
    def test_boards_have_grafanas_types(self):
        errors, values = _check([value for board in boards.load().values() for value in _values(board)])
        self.assertEqual([f"{values[n]}: {text}" for n, text in errors], [])

    def test_a_fault_is_found(self):
        board = boards.load()["rookery-overview"]
        number = next(n for n, panel in enumerate(board["panels"]) if panel["type"] == "timeseries")
        faults = []
        for change in (
            lambda b: b.update(refresh=30),
            lambda b: b.update(titel="a word that Grafana does not know"),
            lambda b: b["panels"][number].pop("type"),
            lambda b: b["panels"][number]["gridPos"].update(x="0"),
            lambda b: b["panels"][number]["fieldConfig"]["defaults"]["thresholds"].update(mode="relative"),
            lambda b: b["panels"][number]["fieldConfig"]["defaults"]["custom"].update(drawStyle="curve"),
            lambda b: b["panels"][number]["fieldConfig"]["defaults"]["custom"].update(lineWeight=1),
            lambda b: b["panels"][number]["options"]["legend"].update(placement="left"),
            lambda b: b["templating"]["list"][1].update(refresh=7),
        ):
            changed = copy.deepcopy(board)
            change(changed)
            same = _values(board)
            faults += [value for value, before in zip(_values(changed), same, strict=True) if value != before]
        errors, values = _check(faults)
        self.assertEqual({n for n, _ in errors}, set(range(len(values))))


def _values(board: dict) -> list[tuple[str, dict]]:
    """(type, value): the board, and of each panel what the board's type leaves open."""
    whole = copy.deepcopy(board)
    for annotation in whole["annotations"]["list"]:
        for key in _OF_THE_DATA_SOURCE:
            annotation.pop(key)
    found = [("Dashboard", whole)]
    for panel in whole["panels"]:
        # The board's type takes any options; each kind of panel has its own.
        kind = panel.get("type") or "timeseries"
        if kind != "row":
            found.append((f"Partial<{kind}.Options>", panel.pop("options")))
            found.append((f"Partial<{kind}.FieldConfig>", panel["fieldConfig"]["defaults"].pop("custom", {})) if kind != "stat" else ("object", {}))
    return found


def _check(values: list[tuple[str, dict]]) -> tuple[list[tuple[int, str]], list[str]]:
    """(number of the value, error) of each, and what the values are."""
    lines = [f'import type {{ Dashboard }} from "{_RAW}/dashboard/x/dashboard_types.gen";']
    lines += [
        f'import type * as {kind} from "{_RAW}/composable/{kind}/panelcfg/x/{name}PanelCfg_types.gen";' for kind, name in _PANELS.items()
    ]
    # JSON has an enumeration's text where TypeScript wants its name.
    lines.append(
        "type Plain<T> = T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;"
    )
    before = len(lines)
    lines += [f"export const v{n}: Plain<{type_}> = {json.dumps(value)};" for n, (type_, value) in enumerate(values)]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "boards.ts"
        path.write_text("\n".join(lines) + "\n")
        answer = subprocess.run(
            ["node", PACKAGES / "typescript" / "bin" / "tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "esnext",
             "--moduleResolution", "bundler", "--target", "es2022", path],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=directory,
        )
    errors = re.findall(r"^boards\.ts\((\d+),\d+\): error (.*)$", answer.stdout, re.MULTILINE)
    assert (answer.returncode == 0) == (not errors), f"tsc: {answer.stdout[-2000:]}"
    assert all(int(line) > before for line, _ in errors), f"Grafana's types are not where they were: {errors[:3]}"
    return [(int(line) - before - 1, text[:300]) for line, text in errors], [f"{type_} {value.get('title', '')}" for type_, value in values]
