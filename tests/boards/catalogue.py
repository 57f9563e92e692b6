"""Which series there are, and whether an expression uses only these."""

import re
import sys
from pathlib import Path

import promql

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "deploy" / "prometheus"))
import metric_catalogue  # noqa: E402

# Put on by the scrape.
TARGET_LABELS = {"service", "instance", "job"}
# Made by Prometheus itself.
_OWN = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity"}}


class Catalogue:
    def __init__(self, recorded: dict[str, set[str]] | None = None):
        self._series = metric_catalogue.series()
        self._recorded = recorded or {}

    def faults(self, expression: str) -> list[str]:
        """What is wrong with the names and labels that it uses."""
        parsed = promql.parse(expression)
        faults = [fault for selector in parsed.selectors for fault in self._faults_of(selector)]
        for grouping in parsed.groupings:
            for selector in grouping.selectors:
                faults += [
                    f"{_shown(selector)} has no label {label}, by which it is grouped"
                    for label in grouping.labels
                    if label not in self._labels(selector)
                ]
        if not parsed.selectors and expression != "vector(1)":
            faults.append("it selects nothing")
        return faults

    def result_labels(self, expression: str) -> set[str]:
        """Those that a result may have, as a legend may show them."""
        parsed = promql.parse(expression)
        aggregated = [label for grouping in parsed.groupings for label in grouping.labels]
        whole = parsed.selectors and not parsed.groupings and not re.match(r"\s*(sum|min|max|count|avg)\b", expression)
        return set(aggregated) | (set.intersection(*map(self._labels, parsed.selectors)) if whole else set())

    def names(self, selector: promql.Selector) -> list[str]:
        if selector.name:
            return [selector.name] if self._is_known(selector.name) else []
        patterns = [value for label, operator, value in selector.matchers if label == "__name__" and operator == "=~"]
        return [name for name in self._series if patterns and all(re.fullmatch(pattern, name) for pattern in patterns)]

    def _is_known(self, name: str) -> bool:
        return name in self._series or name in self._recorded or name in _OWN

    def _labels(self, selector: promql.Selector) -> set[str]:
        """Those that every series of the selector has."""
        sets = [self._labels_of(name) for name in self.names(selector)]
        return set.intersection(*sets) if sets else set()

    def _labels_of(self, name: str) -> set[str]:
        if name in self._recorded:
            return self._recorded[name]
        return TARGET_LABELS | (self._series[name][1] if name in self._series else _OWN[name])

    def _faults_of(self, selector: promql.Selector) -> list[str]:
        names = self.names(selector)
        if not names:
            return [f"no series is called {_shown(selector)}"]
        nouns = {re.sub("^rookery_(gateway|session_manager|roster|muc|search)_", "", name) for name in names}
        faults = [f"{_shown(selector)} selects different things: {sorted(nouns)}"] if len(nouns) > 1 else []
        for label, operator, value in selector.matchers:
            if label == "__name__":
                continue
            if label not in self._labels(selector):
                faults.append(f"{_shown(selector)} has no label {label}")
                continue
            known = self._values(names, label)
            is_regex = operator in ("=~", "!~")
            if known and not any(re.fullmatch(value, other) if is_regex else value == other for other in known):
                faults.append(f"{_shown(selector)}: {label} is never {value!r}, but {sorted(known)}")
        return faults

    def _values(self, names: list[str], label: str) -> set[str]:
        """Empty: not known beforehand."""
        if label == "service" and all(name.startswith(("rookery_", "process_")) for name in names):
            return {service for name in names for service in self._series[name][0].services if self._series[name][0].name(service) in name}
        return {value for name in names if name in self._series for value in self._series[name][0].labels.get(label, ())}


def _shown(selector: promql.Selector) -> str:
    return selector.name or next((value for label, _, value in selector.matchers if label == "__name__"), "{}")
