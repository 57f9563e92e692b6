"""As much of PromQL as is needed to say which series and labels an expression uses. Whether it is well formed,
promtool says."""

import dataclasses
import re

_TOKEN = re.compile(r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<range>\[[^\]]*\])|(?P<number>\d[\w.]*|\.\d+)
    |(?P<word>[a-zA-Z_:][\w:]*)|(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^=<>(){},]))""", re.VERBOSE)
_GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "Inf", "NaN"}
_AGGREGATIONS = {"sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile", "stddev", "group", "count_values"}


class Unreadable(Exception):
    pass


@dataclasses.dataclass
class Selector:
    name: str  # empty where only `__name__=~` says it
    matchers: list[tuple[str, str, str]]  # label, operator, value
    at: int


@dataclasses.dataclass
class Grouping:
    """`sum by (labels) (…)`: the selectors are those within the parentheses that follow."""

    labels: list[str]
    selectors: list[Selector]


@dataclasses.dataclass
class Expression:
    selectors: list[Selector]
    groupings: list[Grouping]


def parse(text: str) -> Expression:
    tokens = _tokens(text)
    result = Expression([], [])
    pending: list[tuple[list[str], int]] = []
    at = 0
    while at < len(tokens):
        kind, value = tokens[at]
        after = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "word" and value in _GROUPING:
            labels, end = _list(tokens, at + 1)
            # Of `on (…)` and the like nothing is aggregated.
            if value == "by":
                pending.append((labels, end))
            at = end
            continue
        if kind == "sign" and value == "{" or (kind == "word" and after == "{"):
            name, start = (value, at + 1) if kind == "word" else ("", at)
            matchers, end = _matchers(tokens, start)
            result.selectors.append(Selector(name, matchers, at))
            at = end
            continue
        if kind == "word" and value not in _WORDS | _AGGREGATIONS and after != "(":
            result.selectors.append(Selector(value, [], at))
        at += 1
    for labels, start in pending:
        end = _closing(tokens, start)
        result.groupings.append(Grouping(labels, [s for s in result.selectors if start <= s.at < end]))
    return result


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise Unreadable(f"cannot read {text[at:at + 30]!r} in {text!r}")
        if match.lastgroup != "range":
            tokens.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return tokens


def _list(tokens, at: int) -> tuple[list[str], int]:
    if at >= len(tokens) or tokens[at][1] != "(":
        return [], at
    end = _closing(tokens, at)
    return [value for kind, value in tokens[at:end] if kind == "word"], end + 1


def _closing(tokens, at: int) -> int:
    depth = 0
    for place in range(at, len(tokens)):
        if tokens[place][0] == "sign":
            depth += (tokens[place][1] in "({") - (tokens[place][1] in ")}")
        if depth == 0:
            return place
    raise Unreadable("a parenthesis is not closed")


def _matchers(tokens, at: int) -> tuple[list[tuple[str, str, str]], int]:
    end = _closing(tokens, at)
    inside = [token for token in tokens[at + 1:end] if token[1] != ","]
    if len(inside) % 3:
        raise Unreadable("matchers that cannot be read")
    return [(inside[n][1], inside[n + 1][1], inside[n + 2][1][1:-1].replace('\\"', '"')) for n in range(0, len(inside), 3)], end + 1
