"""Published tables of the panel unit-root tests and how R's `plm` reads between their lines. The numbers are in the JSON
file beside this one, each table with the paper it was printed in. What does not belong here: the tests themselves.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import orjson

Terms = Literal["none", "intercept", "trend"]  # what an ADF regression has besides the level and its lags

PERCENT = (1, 5, 10)


@lru_cache(maxsize=1)
def _tables() -> dict[str, dict[str, list[list[float | None]]]]:
    found: dict[str, dict[str, list[list[float | None]]]] = orjson.loads(
        files(__package__).joinpath("critical_values.json").read_bytes()
    )
    return found


def _axis(table: str, name: Literal["rows", "columns"]) -> list[int]:
    return _tables()[table][name]  # type: ignore[return-value]


def _around(at: float, nodes: list[int]) -> tuple[int, int]:
    """Indices of the nodes on both sides of `at`; twice the same where it is one of them or beyond the ends."""
    if at in nodes:
        return (nodes.index(int(at)),) * 2
    after = sum(1 for node in nodes if node < at)
    if after in (0, len(nodes)):
        return (max(after - 1, 0),) * 2
    return after - 1, after


def moment(table: str, terms: Terms, quantity: str, periods: float, lags: int = 0) -> float:
    """A mean or spread of a t statistic for so many periods, linear between printed ones, NaN where none is printed."""
    rows = _axis(table, "rows")
    line = _tables()[table][f"{terms} {quantity}"][min(lags, rows[-1])]
    nodes = _axis(table, "columns")
    low, high = _around(periods, nodes)
    first, second = (math.nan if one is None else one for one in (line[low], line[high]))
    if low == high:
        return first
    return first + (periods - nodes[low]) / (nodes[high] - nodes[low]) * (second - first)


def t_bar(terms: Terms, percent: int, units: int, periods: int) -> float:
    """Critical value of t-bar; between four printed ones by the inverse of their distances, as `plm` does."""
    grid = _tables()["ips_tbar"][f"{terms} {percent}"]
    rows, columns = _axis("ips_tbar", "rows"), _axis("ips_tbar", "columns")
    along, across = _around(units, rows), _around(periods, columns)
    corners = {(row, column) for row in along for column in across}
    if len(corners) == 1:
        ((row, column),) = corners
        return float(grid[row][column] or math.nan)
    # An axis that is met exactly (or is beyond its end) does not count as a distance.
    weights = {
        (row, column): 1
        / math.hypot(
            0 if along[0] == along[1] else rows[row] - units, 0 if across[0] == across[1] else columns[column] - periods
        )
        for row, column in corners
    }
    return sum(float(grid[row][column] or math.nan) * weight for (row, column), weight in weights.items()) / sum(
        weights.values()
    )


def _step(at: int, low: int, high: int, first: float, second: float) -> float:
    """Where `plm` reads at a number between two printed ones: it lays `high - low` points from one to the other, both
    ends among them, and takes point number `at - low`: a little nearer to the lower end than a straight line would be.
    """
    points = high - low
    return first + (second - first) * (at - low - 1) / (points - 1)


def cips(terms: Terms, units: int, periods: int, *, truncated: bool = False) -> tuple[float, float, float] | None:
    """Critical values of CIPS at 1, 5 and 10 %. None below 10 units or periods, where none is printed; beyond 200 of
    either the last ones hold, since they no longer move.
    """
    table = "cips_truncated" if truncated else "cips"
    nodes = _axis(table, "rows")
    if units < nodes[0] or periods < nodes[0]:
        return None
    units, periods = min(units, nodes[-1]), min(periods, nodes[-1])
    (above, below), (left, right) = _around(units, nodes), _around(periods, nodes)
    found = []
    for percent in PERCENT:
        grid = _tables()[table][f"{terms} {percent}"]
        ends = []
        for column in (left, right):
            first, second = float(grid[above][column] or math.nan), float(grid[below][column] or math.nan)
            ends.append(first if above == below else _step(units, nodes[above], nodes[below], first, second))
        found.append(ends[0] if left == right else _step(periods, nodes[left], nodes[right], ends[0], ends[1]))
    return found[0], found[1], found[2]


def cips_p(statistic: float, critical: tuple[float, float, float]) -> float:
    """The p-value between 0.01 and 0.1 as `plm` interpolates it; 0.01 and 0.1 stand for «at most» and «at least»."""
    if statistic < critical[0]:
        return 0.01
    if statistic > critical[2]:
        return 0.1
    points = 200
    width = (critical[2] - critical[0]) / (points - 1)
    at = min(int((statistic - critical[0]) / width), points - 2)
    return sum(_between(critical[0] + one * width, critical) for one in (at, at + 1)) / 2


def _between(value: float, critical: tuple[float, float, float]) -> float:
    ends = (
        ((critical[0], 0.01), (critical[1], 0.05))
        if value <= critical[1]
        else ((critical[1], 0.05), (critical[2], 0.1))
    )
    (low, first), (high, second) = ends
    return first + (second - first) * (value - low) / (high - low)
