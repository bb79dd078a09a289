"""Unit-root screening: ADF and KPSS per market, and the panel tests that combine their p-values. Needs the extra `research`.

Per market from statsmodels (constant, lag order by AIC / automatic bandwidth). Panel: Maddala and Wu (1999), Fisher's
sum of -2 ln p of the ADF tests, and Choi's (2001) inverse normal, both by `scipy.stats.combine_pvalues`. All assume that
markets are independent of each other, which crypto markets are not: read a rejection with care.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from cryptolake.research.extra import needs_research

MIN_T = 30  # days below which no test is run

Verdict = Literal["stationary", "unit root", "unclear", "too short", "constant"]


@dataclass(frozen=True, slots=True)
class Screen:
    """The tests of one market's longest run without gaps. p-values are None where no test was run."""

    csu: str
    days: int
    adf_p: float | None
    kpss_p: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PanelTest:
    """A test over all markets; null: every market has a unit root."""

    name: str
    statistic: float
    p: float
    units: int


def screen(frame: pl.DataFrame, value: str) -> list[Screen]:
    """Test `value` of every market (long frame with csu, date). KPSS p-values are cut to 0.01 .. 0.1 by its table."""
    parts = frame.sort("date").partition_by("csu", as_dict=True, maintain_order=True)
    runs = {str(csu): longest_run(rows[value].to_list()) for (csu,), rows in parts.items()}
    if any(len(run) >= MIN_T for run in runs.values()):
        with needs_research("unit-root screening"):
            from statsmodels.tsa.stattools import adfuller, kpss
    found = []
    for csu, run in sorted(runs.items()):
        if len(run) < MIN_T:
            found.append(Screen(csu, len(run), None, None, "too short"))
            continue
        if max(run) == min(run):
            found.append(Screen(csu, len(run), None, None, "constant"))
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # KPSS warns that p lies outside its table: the cut is documented above
            adf_p = float(adfuller(run, regression="c", autolag="AIC")[1])
            kpss_p = float(kpss(run, regression="c", nlags="auto")[1])
        found.append(Screen(csu, len(run), adf_p, kpss_p, _verdict(adf_p, kpss_p)))
    return found


def panel_tests(screens: Sequence[Screen]) -> list[PanelTest]:
    """Maddala-Wu and Choi over the ADF p-values of the markets that were tested; none below two markets."""
    found = [max(one.adf_p, 1e-300) for one in screens if one.adf_p is not None]
    if len(found) < 2:
        return []
    with needs_research("panel unit-root tests"):
        from scipy.stats import combine_pvalues
    tests = []
    for name, method in (("Maddala-Wu (Fisher)", "fisher"), ("Choi (inverse normal)", "stouffer")):
        combined = combine_pvalues(found, method=method)
        tests.append(PanelTest(name, float(combined.statistic), float(combined.pvalue), len(found)))
    return tests


def longest_run(values: Sequence[float | None]) -> list[float]:
    """The longest stretch without a missing value, the earliest of several."""
    best: list[float] = []
    current: list[float] = []
    for value in [*values, None]:
        if value is not None:
            current.append(value)
            continue
        if len(current) > len(best):
            best = current
        current = []
    return best


def _verdict(adf_p: float, kpss_p: float) -> Verdict:
    """ADF's null is a unit root, KPSS's is stationarity; both at 5 %."""
    if adf_p < 0.05 <= kpss_p:
        return "stationary"
    if kpss_p < 0.05 <= adf_p:
        return "unit root"
    return "unclear"


def counts(screens: Sequence[Screen]) -> Mapping[str, int]:
    """Markets by verdict."""
    found: dict[str, int] = {}
    for one in screens:
        found[one.verdict] = found.get(one.verdict, 0) + 1
    return dict(sorted(found.items()))
