"""What may be done to the panel before estimation: fill, balance, winsorise, log, difference. Pure; every step is recorded.

Raw columns are never changed: what is made stands beside them under a new name. Steps run in the order fill, balance,
winsorise (`_w`), log (`_log`), difference (`_d`), each on what the step before it made. Days are those of the calendar: a
day without a row is a missing day. What does not belong here: which rectangle is complete (`rectangle`), and how the columns
of a wide file are called (`wide`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.contracts.grades import EVIDENCE, GRADES, Grade
from cryptolake.errors import BadInput, Stop
from cryptolake.gold.completeness import VALUES, evidence_of, figures, is_complete, is_flow
from cryptolake.registry.markets import unit_number
from cryptolake.research.rectangle import largest_window

Balance = Literal["strict", "longest", "none"]
Within = Literal["market", "day", "pooled"]

_LOGGED = ("_usd", "_count")  # money and counts; shares, rates and ages stay as they are
_FILL = re.compile(r"ffill(?:\((\d+)\))?")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do. `fill_limit` is in calendar days (0: no filling), `winsorize` a share per tail (0: none) of the values of
    each market, of each day, or of all rows (`within`).

    Figures count where their side's status is one of `accept` and its evidence is of the grade `least` at least; the others
    are null, whatever comes after.
    """

    values: tuple[str, ...] = VALUES
    balance: Balance = "none"
    fill_limit: int = 0
    winsorize: float = 0.0
    within: Within = "market"
    log: bool = False
    diff: bool = False
    accept: tuple[str, ...] = ("ok",)
    least: Grade = "one_voice"


@dataclass(slots=True)
class Prepared:
    """The transformed panel in long form and what was done to it, one sentence per step.

    `derived` maps each new column to how it was made, `cut_offs` each winsorised one to the bounds it was cut at (market,
    day or `all`: low, high), `evidence` each grade to the share of the market-days with a figure that it bears out.
    """

    frame: pl.DataFrame
    steps: list[str] = field(default_factory=list)
    derived: dict[str, str] = field(default_factory=dict)
    cut_offs: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    evidence: dict[str, dict[str, float]] = field(default_factory=dict)


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


def prepare(panel: pl.DataFrame, recipe: Recipe, numbers: Mapping[str, int] | None = None) -> Prepared:
    """Apply the recipe to a `daily_panel`; `numbers` are the registry's, by market.

    Raises BadInput for unknown columns or when no complete unit is left.
    """
    known = [name for name, dtype in panel.schema.items() if dtype.is_numeric()]
    if unknown := [name for name in recipe.values if name not in known]:
        raise BadInput(f"no numeric column {unknown[0]!r} in the panel; known: {', '.join(known)}")
    if not 0 <= recipe.winsorize < 0.5:
        raise BadInput(f"--winsorize {recipe.winsorize}: the share per tail lies between 0 and 0.5, e.g. 0.01")
    done = Prepared(panel.sort("csu", "date"))
    if {"status", "liquidations_status"} <= set(panel.columns):
        _accept(done, recipe)
    if {"tvl_evidence", "liquidations_evidence"} <= set(panel.columns):
        _weigh(done, recipe)
    if recipe.fill_limit:
        _fill(done, recipe)
    _balance(done, recipe)
    _identify(done, numbers or {})
    last = {name: name for name in recipe.values}
    if recipe.winsorize:
        _winsorize(done, recipe.winsorize, recipe.within, last)
    if recipe.log:
        _log(done, last)
    if recipe.diff:
        _difference(done, last)
    return done


def _accept(done: Prepared, recipe: Recipe) -> None:
    """Leave the figures of the accepted states, and say how many of the study's values that took away."""
    before, done.frame = done.frame, figures(done.frame, recipe.accept)
    count = _taken(before, done.frame, recipe.values)
    done.steps.append(
        f"status: figures of market-days that are {' or '.join(recipe.accept)}; "
        f"{counted(count, 'value')} of other states made null"
    )


def _weigh(done: Prepared, recipe: Recipe) -> None:
    """Leave the figures that are borne out far enough, and say how far those that are left are."""
    before, done.frame = done.frame, figures(done.frame, recipe.accept, recipe.least)
    if recipe.least != GRADES[0]:
        count = _taken(before, done.frame, recipe.values)
        done.steps.append(f"evidence: {recipe.least} or better; {counted(count, 'value')} of weaker evidence made null")
    for side in dict.fromkeys(map(evidence_of, recipe.values)):
        of_side = [name for name in recipe.values if evidence_of(name) == side]
        there = done.frame.filter(pl.any_horizontal(pl.col(of_side).is_not_null()))[side]
        counts = {one: int((there == one).sum()) for one in EVIDENCE}
        done.evidence[side] = {one: count / there.len() for one, count in counts.items() if count}
        shares = ", ".join(f"{grade} {share:.1%}" for grade, share in done.evidence[side].items())
        done.steps.append(f"evidence of market-days with a figure ({side}): {shares or 'no figure'}")


def _taken(before: pl.DataFrame, after: pl.DataFrame, values: Sequence[str]) -> int:
    return sum(int(after[name].null_count() - before[name].null_count()) for name in values)


def _fill(done: Prepared, recipe: Recipe) -> None:
    """Carry the last value of a stock forward within a unit, at most so many days, and say in `<column>_imputed` where."""
    stocks = [name for name in recipe.values if not is_flow(name)]
    before = done.frame
    since = {
        name: pl.col("date")
        - pl.when(pl.col(name).is_not_null()).then(pl.col("date")).forward_fill().over("csu", order_by="date")
        for name in stocks
    }
    done.frame = before.with_columns(
        pl.when(since[name] <= timedelta(days=recipe.fill_limit))
        .then(pl.col(name).forward_fill().over("csu", order_by="date"))
        .alias(name)
        for name in stocks
    ).with_columns((pl.col(name).is_not_null() & before[name].is_null()).alias(f"{name}_imputed") for name in stocks)
    count = sum(int(done.frame[f"{name}_imputed"].sum()) for name in stocks)
    done.steps.append(
        f"fill: last value carried forward at most {counted(recipe.fill_limit, 'day')}, "
        f"{counted(count, 'value')} imputed"
    )
    if flows := [name for name in recipe.values if is_flow(name)]:
        done.steps.append(
            f"fill: {', '.join(flows)} not filled: what happened on one day did not happen again on the next"
        )
    for name in stocks:
        done.derived[f"{name}_imputed"] = f"whether {name} was carried forward"


def _balance(done: Prepared, recipe: Recipe) -> None:
    frame = done.frame
    everyone = frame["csu"].n_unique()
    if recipe.balance == "strict":
        days = _span(frame)
        full = frame.filter(is_complete(recipe.values)).group_by("csu").len().filter(pl.col("len") == days)["csu"]
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


def _span(frame: pl.DataFrame) -> int:
    """Calendar days from the first to the last row, those that no market has a row of among them."""
    dates: list[date] = frame["date"].unique().sort().to_list()
    return (dates[-1] - dates[0]).days + 1 if dates else 0


def _identify(done: Prepared, numbers: Mapping[str, int]) -> None:
    """Integer ids as Stata's `xtset` and R's `plm` want them: a market's is the same in every file, days count from 1."""
    names = done.frame["csu"].unique().to_list()
    first: date = min(done.frame["date"].to_list())
    done.frame = done.frame.with_columns(
        pl.col("csu")
        .replace_strict({name: numbers.get(name) or unit_number(name) for name in names}, return_dtype=pl.Int32)
        .alias("unit_id"),
        ((pl.col("date") - pl.lit(first)).dt.total_days() + 1).cast(pl.Int32).alias("time_id"),
    )
    done.derived["unit_id"] = "number of the market, the same in every file"
    done.derived["time_id"] = f"number of the day in this file, {first} is 1; a missing day keeps its number"


def _winsorize(done: Prepared, share: float, within: Within, last: dict[str, str]) -> None:
    """Cut the tails of the values of each market, each day or all rows; bounds by linear interpolation (R's type 7)."""
    group = {"market": "csu", "day": "date", "pooled": None}[within]
    key = pl.lit("all") if group is None else pl.col(group).cast(pl.String)
    for name in list(last):
        new = f"{last[name]}_w"
        low, high = (pl.col(last[name]).quantile(at, "linear") for at in (share, 1 - share))
        found = done.frame.group_by(key.alias("of")).agg(low.alias("low"), high.alias("high")).drop_nulls().sort("of")
        done.cut_offs[new] = {of: (least, most) for of, least, most in found.iter_rows()}
        bounds = (low, high) if group is None else (low.over(group), high.over(group))
        done.frame = done.frame.with_columns(pl.col(last[name]).clip(*bounds).alias(new))
        of = {"market": "within each market", "day": "within each day", "pooled": "over all rows"}[within]
        done.derived[new] = f"{name} winsorised at {share:g} per tail {of}"
        bounds_text = f": {' .. '.join(map(repr, done.cut_offs[new]['all']))}" if done.cut_offs[new].get("all") else ""
        done.steps.append(f"winsorise: {new} = {done.derived[new]}{bounds_text}")
        last[name] = new


def _log(done: Prepared, last: dict[str, str]) -> None:
    for name in list(last):
        if not name.endswith(_LOGGED):
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
