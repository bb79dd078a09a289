"""What may be done to the panel before estimation: fill, balance, winsorise, log, difference. Pure; every step is recorded.

Raw columns are never changed: what is made stands beside them under a new name. Steps run in the order fill, balance,
winsorise (`_w`), log (`_log`), difference (`_d`), each on what the step before it made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput, Stop
from cryptolake.gold.daily_panel import figures

Balance = Literal["strict", "longest", "none"]

# The columns a study of this panel is usually about; others by name.
VALUES = ("total_tvl_usd", "total_supplied_usd", "total_borrowed_usd", "utilization_rate", "liquidations_usd")
_NOT_LOGGED = ("utilization_rate", "priced_share")  # shares
_FILL = re.compile(r"ffill(?:\((\d+)\))?")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do. `fill_limit` is in days (0: no filling), `winsorize` a share per tail (0: none).

    Figures count where their side's status is one of `accept`; the others are null, whatever comes after.
    """

    values: tuple[str, ...] = VALUES
    balance: Balance = "none"
    fill_limit: int = 0
    winsorize: float = 0.0
    log: bool = False
    diff: bool = False
    accept: tuple[str, ...] = ("ok",)


@dataclass(slots=True)
class Prepared:
    """The transformed panel in long form and what was done to it, one sentence per step.

    `derived` maps each new column to how it was made.
    """

    frame: pl.DataFrame
    steps: list[str] = field(default_factory=list)
    derived: dict[str, str] = field(default_factory=dict)


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


def fill_limit(text: str) -> int:
    """`none` as 0, `ffill(7)` as 7, `ffill` as 1. Raises BadInput."""
    if text == "none":
        return 0
    match = _FILL.fullmatch(text.replace(" ", ""))
    if match is None or (limit := int(match[1] or 1)) < 1:
        raise BadInput(f"--fill {text}: write none, or ffill(7) to carry a value at most 7 days forward")
    return limit


def require_numbers(panel: pl.DataFrame, values: Sequence[str]) -> None:
    """Raises Stop, with the days by status, when no row has a number in any of these columns: there is nothing to study."""
    here = [name for name in values if name in panel.columns]
    if not here or panel.select(pl.any_horizontal(pl.col(here).is_not_null()).any()).item():
        return
    counts = dict(panel["status"].value_counts().sort("status").iter_rows())
    found = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    ask = "collect --retry-failed" if counts.get("failed") else "run"
    raise Stop(
        f"no row of the selection has a number in {', '.join(here)} (days by status: {found or 'none'}), so nothing was "
        f"written; run `cryptolake {ask}` with the same selection, or add --allow-empty to write the file all the same"
    )


def prepare(panel: pl.DataFrame, recipe: Recipe) -> Prepared:
    """Apply the recipe to a `daily_panel`. Raises BadInput for unknown columns or when no complete unit is left."""
    known = [name for name, dtype in panel.schema.items() if dtype.is_numeric()]
    if unknown := [name for name in recipe.values if name not in known]:
        raise BadInput(f"no numeric column {unknown[0]!r} in the panel; known: {', '.join(known)}")
    if not 0 <= recipe.winsorize < 0.5:
        raise BadInput(f"--winsorize {recipe.winsorize}: the share per tail lies between 0 and 0.5, e.g. 0.01")
    done = Prepared(panel.sort("csu", "date"))
    if {"status", "liquidations_status"} <= set(panel.columns):
        _accept(done, recipe)
    if recipe.fill_limit:
        _fill(done, recipe)
    _balance(done, recipe)
    _identify(done)
    last = {name: name for name in recipe.values}
    if recipe.winsorize:
        _winsorize(done, recipe.winsorize, last)
    if recipe.log:
        _log(done, last)
    if recipe.diff:
        _difference(done, last)
    return done


def _accept(done: Prepared, recipe: Recipe) -> None:
    """Leave the figures of the accepted states, and say how many of the study's values that took away."""
    before, done.frame = done.frame, figures(done.frame, recipe.accept)
    count = sum(int(done.frame[name].null_count() - before[name].null_count()) for name in recipe.values)
    done.steps.append(
        f"status: figures of market-days that are {' or '.join(recipe.accept)}; "
        f"{counted(count, 'value')} of other states made null"
    )


def _fill(done: Prepared, recipe: Recipe) -> None:
    """Carry the last value forward within a unit, at most so many days, and say in `<column>_imputed` where."""
    before = done.frame
    done.frame = before.with_columns(
        pl.col(name).forward_fill(limit=recipe.fill_limit).over("csu", order_by="date") for name in recipe.values
    ).with_columns(
        (pl.col(name).is_not_null() & before[name].is_null()).alias(f"{name}_imputed") for name in recipe.values
    )
    count = sum(int(done.frame[f"{name}_imputed"].sum()) for name in recipe.values)
    done.steps.append(
        f"fill: last value carried forward at most {counted(recipe.fill_limit, 'day')}, "
        f"{counted(count, 'value')} imputed"
    )
    for name in recipe.values:
        done.derived[f"{name}_imputed"] = f"whether {name} was carried forward"


def _balance(done: Prepared, recipe: Recipe) -> None:
    frame = done.frame
    everyone = frame["csu"].n_unique()
    if recipe.balance == "strict":
        complete = pl.all_horizontal(pl.col(name).is_not_null() for name in recipe.values)
        days = frame["date"].n_unique()
        full = frame.filter(complete).group_by("csu").len().filter(pl.col("len") == days)["csu"]
        done.frame = frame.filter(pl.col("csu").is_in(full.implode()))
        if done.frame.is_empty():
            raise BadInput(
                f"no market has {', '.join(recipe.values)} on all {counted(days, 'day')}; use --balance longest, "
                "--fill, fewer --column, or look at `cryptolake panel describe`"
            )
        done.steps.append(
            f"balance strict: {full.len()} of {counted(everyone, 'market')} complete on all {counted(days, 'day')}"
        )
    elif recipe.balance == "longest":
        found = largest_window(frame, recipe.values)
        if found is None:
            raise BadInput(f"no market has {', '.join(recipe.values)} on any day; see `cryptolake panel describe`")
        done.frame = frame.filter(
            pl.col("csu").is_in(list(found.units)) & pl.col("date").is_between(found.first, found.last)
        )
        done.steps.append(
            f"balance longest: {len(found.units)} of {counted(everyone, 'market')}, "
            f"{found.first} .. {found.last} ({counted(found.days, 'day')}), "
            "the complete rectangle with most market-days"
        )
    else:
        done.steps.append("balance none: every expected market-day is a row, missing values are null")


def largest_window(frame: pl.DataFrame, values: Sequence[str]) -> Rectangle | None:
    """The complete rectangle (units x consecutive days) with most cells; the earliest of several. None when all is missing."""
    complete = pl.all_horizontal(pl.col(name).is_not_null() for name in values)
    wide = frame.select("date", "csu", complete.alias("full")).pivot("csu", index="date", values="full").sort("date")
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


def _identify(done: Prepared) -> None:
    """Integer ids as Stata's `xtset` and R's `plm` want them: units by name, days by date, both from 1 without gaps."""
    first: date = min(done.frame["date"].to_list())
    done.frame = done.frame.with_columns(
        pl.col("csu").rank("dense").cast(pl.Int32).alias("unit_id"),
        ((pl.col("date") - pl.lit(first)).dt.total_days() + 1).cast(pl.Int32).alias("time_id"),
    )
    done.derived["unit_id"] = "number of the market in this file, by name, from 1"
    done.derived["time_id"] = f"number of the day in this file, {first} is 1; a missing day keeps its number"


def _winsorize(done: Prepared, share: float, last: dict[str, str]) -> None:
    for name in list(last):
        low, high = (done.frame[name].quantile(at, "linear") for at in (share, 1 - share))
        new = f"{last[name]}_w"
        done.frame = done.frame.with_columns(pl.col(last[name]).clip(low, high).alias(new))
        done.derived[new] = f"{name} winsorised at {share:g} per tail over all rows: {low!r} .. {high!r}"
        done.steps.append(f"winsorise: {done.derived[new]}")
        last[name] = new


def _log(done: Prepared, last: dict[str, str]) -> None:
    for name in list(last):
        if name in _NOT_LOGGED:
            continue
        new = f"{last[name]}_log"
        done.frame = done.frame.with_columns(pl.col(last[name]).log1p().alias(new))
        done.derived[new] = f"ln(1 + {last[name]}), so that a true zero stays a number"
        done.steps.append(f"log: {new} = {done.derived[new]}")
        last[name] = new


def _difference(done: Prepared, last: dict[str, str]) -> None:
    for name in list(last):
        new = f"{last[name]}_d"
        consecutive = pl.col("time_id").diff().over("csu", order_by="date") == 1
        change = pl.col(last[name]).diff().over("csu", order_by="date")
        done.frame = done.frame.with_columns(pl.when(consecutive).then(change).alias(new))
        done.derived[new] = f"{last[name]} minus its value on the day before; null on the first day of a market"
        done.steps.append(f"difference: {new} = {done.derived[new]}")
        last[name] = new


def wide(prepared: Prepared, values: Sequence[str]) -> pl.DataFrame:
    """One row per day, one column per value and market, named `<value>__<csu>`."""
    columns = [name for name in prepared.frame.columns if name in values or name in prepared.derived]
    chosen = [name for name in columns if name not in ("unit_id", "time_id")]
    pieces = [
        prepared.frame.pivot("csu", index=["date", "time_id"], values=name, sort_columns=True).rename(
            lambda column, name=name: column if column in ("date", "time_id") else f"{name}__{column}"  # type: ignore[misc]
        )
        for name in chosen
    ]
    frame = pieces[0]
    for piece in pieces[1:]:
        frame = frame.join(piece.drop("time_id"), on="date", how="left")
    return frame.sort("date")
