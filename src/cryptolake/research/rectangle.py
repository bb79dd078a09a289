"""The largest complete rectangle of a panel: the markets and consecutive days that leave no value missing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from cryptolake.gold.completeness import is_complete


@dataclass(frozen=True, slots=True)
class Rectangle:
    """The largest complete rectangle of a panel: these units have every value on every day from `first` to `last`."""

    units: tuple[str, ...]
    first: date
    last: date

    @property
    def days(self) -> int:
        """T of the rectangle."""
        return (self.last - self.first).days + 1


def largest_window(frame: pl.DataFrame, values: Sequence[str]) -> Rectangle | None:
    """The complete rectangle (units x consecutive days) with most cells; the earliest of several. None when all is missing."""
    wide = (
        frame.select("date", "csu", is_complete(values).alias("full"))
        .pivot("csu", index="date", values="full")
        .sort("date")
    )
    days: list[date] = wide["date"].to_list()
    names = [name for name in wide.columns if name != "date"]
    columns = [wide[name].fill_null(False).to_list() for name in names]
    ahead = [0] * len(names)  # length of each unit's run that starts at the day at hand
    best: tuple[int, int, int, int] | None = None  # cells, start, length, count
    runs: list[list[int]] = []
    for index in range(len(days) - 1, -1, -1):
        ends = index + 1 < len(days) and (days[index + 1] - days[index]).days != 1
        ahead = [(1 if ends else run + 1) if column[index] else 0 for run, column in zip(ahead, columns, strict=True)]
        runs.append(ahead)
        for count, length in enumerate(sorted(ahead, reverse=True), start=1):
            if length and (best is None or count * length >= best[0]):
                best = (count * length, index, length, count)
    if best is None:
        return None
    _, start, length, _ = best
    at_start = runs[len(days) - 1 - start]
    units = tuple(sorted(name for name, run in zip(names, at_start, strict=True) if run >= length))
    return Rectangle(units, days[start], days[start + length - 1])
