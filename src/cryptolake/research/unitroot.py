"""Unit-root screening per market (ADF and KPSS), and which series the tests over all markets are given.

A series is a market's longest run without gaps, in calendar days: a day without a row is a gap like a day without a value.
The tests themselves: `adf`, `panel_tests`, `dependence`. Needs the extra `research` once there is something to test.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal, NamedTuple

import polars as pl

from cryptolake.research.critical_values import Terms
from cryptolake.research.extra import needs_research
from cryptolake.research.rectangle import Rectangle, largest_window

if TYPE_CHECKING:
    from cryptolake.research.adf import Adf, Lags
    from cryptolake.research.dependence import Dependence
    from cryptolake.research.panel_tests import PanelTest

MIN_T = 30  # days below which no test is run

Verdict = Literal["stationary", "unit root", "unclear", "too short", "constant"]


class GaplessRun(NamedTuple):
    """A stretch of days that follow each other, all with a value."""

    first: date | None
    values: list[float]


@dataclass(frozen=True, slots=True)
class Screen:
    """The tests of one market's longest run without gaps. p-values and lags are None where no test was run."""

    csu: str
    days: int
    adf_p: float | None
    kpss_p: float | None
    verdict: Verdict
    lags: int | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """What the tests say of one column: per market, of the panel, and of how markets move together.

    `window` is the rectangle that the tests took which need equally long series; None where there is none to test.
    """

    screens: list[Screen]
    tests: list[PanelTest]
    dependence: list[Dependence]
    window: Rectangle | None


def examine(frame: pl.DataFrame, value: str, terms: Terms = "intercept", lags: Lags = "AIC") -> Examination:
    """Test `value` of a long frame (csu, date). KPSS p-values are cut to 0.01 .. 0.1 by its table."""
    parts = frame.sort("date").partition_by("csu", as_dict=True, maintain_order=True)
    runs = {
        str(csu): longest_run(rows["date"].to_list(), rows[value].to_list()) for (csu,), rows in sorted(parts.items())
    }
    regressions: dict[str, Adf] = {}
    screens = [_screen(csu, run.values, terms, lags, regressions) for csu, run in runs.items()]
    if len(regressions) < 2:
        return Examination(screens, [], [], None)
    from cryptolake.research import panel_tests

    found = list(regressions.values())
    tests = [*panel_tests.combined(found), *panel_tests.im_pesaran_shin(found, terms)]
    tested = frame.filter(pl.col("csu").is_in(list(regressions))).select("csu", "date", value)
    window = largest_window(tested, [value])
    if window is not None and len(window.units) > 1 and window.days >= MIN_T:
        tests += _of_equal_length(tested, value, window, terms, lags)
    else:
        window = None
    return Examination(screens, tests, _dependence(tested, value), window)


def _screen(csu: str, run: list[float], terms: Terms, lags: Lags, regressions: dict[str, Adf]) -> Screen:
    """Test one market, and keep its regression for the tests over all."""
    if len(run) < MIN_T:
        return Screen(csu, len(run), None, None, "too short")
    if max(run) == min(run):
        return Screen(csu, len(run), None, None, "constant")
    with needs_research("unit-root screening"):
        from statsmodels.tsa.stattools import kpss

        from cryptolake.research.adf import adf
    one = adf(run, terms, lags)
    if one is None:
        return Screen(csu, len(run), None, None, "constant")
    regressions[csu] = one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # KPSS warns that p lies outside its table: the cut is documented above
        kpss_p = float(kpss(run, regression="ct" if terms == "trend" else "c", nlags="auto")[1])
    return Screen(csu, len(run), one.p, kpss_p, _verdict(one.p, kpss_p), one.lags)


def _wide(frame: pl.DataFrame, value: str) -> pl.DataFrame:
    """A column per market, a row per day, without the day."""
    return frame.pivot("csu", index="date", values=value).sort("date").drop("date")


def _of_equal_length(frame: pl.DataFrame, value: str, window: Rectangle, terms: Terms, lags: Lags) -> list[PanelTest]:
    """Levin-Lin-Chu, Hadri and CIPS over the largest complete rectangle."""
    from cryptolake.research import panel_tests
    from cryptolake.research.adf import adf

    inside = frame.filter(
        pl.col("csu").is_in(list(window.units)) & pl.col("date").is_between(window.first, window.last)
    )
    columns = _wide(inside, value)
    series = columns.select(name for name in columns.columns if columns[name].n_unique() > 1).to_numpy()
    tried = [adf(series[:, unit], terms, lags) for unit in range(series.shape[1])]
    series = series[:, [one is not None for one in tried]]
    found = [one for one in tried if one is not None]
    if len(found) < 2:
        return []
    # CIPS takes one lag order for all: the one given, or the mean of those that the criterion chose.
    common = lags if isinstance(lags, int) else max(1, round(sum(one.lags for one in found) / len(found)))
    candidates = (
        panel_tests.levin_lin_chu(series, found, terms),
        panel_tests.hadri(series, terms),
        panel_tests.cips(series, terms, common),
    )
    return [one for one in candidates if one is not None]


def _dependence(frame: pl.DataFrame, value: str) -> list[Dependence]:
    from cryptolake.research.dependence import dependence

    return dependence(_wide(frame, value).cast(pl.Float64).fill_null(float("nan")).to_numpy())


def longest_run(days: Sequence[date], values: Sequence[float | None]) -> GaplessRun:
    """The longest stretch of days that follow each other, all with a value; the earliest of several."""
    best, current, before = GaplessRun(None, []), GaplessRun(None, []), None
    for day, value in zip(days, values, strict=True):
        if before is not None and current.values and (day - before).days != 1:
            current = GaplessRun(None, [])
        before = day
        if value is None:
            current = GaplessRun(None, [])
            continue
        if not current.values:
            current = GaplessRun(day, [])
        current.values.append(value)
        if len(current.values) > len(best.values):
            best = GaplessRun(current.first, current.values)
    return best


def _verdict(adf_p: float, kpss_p: float) -> Verdict:
    """ADF's null is a unit root, KPSS's is stationarity; both at 5 %."""
    if adf_p < 0.05 <= kpss_p:
        return "stationary"
    if kpss_p < 0.05 <= adf_p:
        return "unit root"
    return "unclear"
