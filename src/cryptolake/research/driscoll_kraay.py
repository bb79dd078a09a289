"""Least squares with market effects and Driscoll-Kraay errors: R's `plm(model = "within")` with `vcovSCC`, by linearmodels.

The errors hold where markets move together and shocks last some days; they want many days. Needs the extra `research`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from cryptolake.errors import BadInput
from cryptolake.research.extra import needs_research
from cryptolake.research.frames import panel_index


@dataclass(frozen=True, slots=True)
class Coefficient:
    """Of one regressor; `error` is Driscoll and Kraay's, p two-sided by the normal."""

    name: str
    value: float
    error: float
    p: float


@dataclass(frozen=True, slots=True)
class Within:
    """A regression with market effects; `lags` is how many days of common shocks the errors allow for."""

    outcome: str
    coefficients: tuple[Coefficient, ...]
    rows: int
    markets: int
    days: int
    lags: int
    r2_within: float


def _coefficient(name: str, value: float, error: float) -> Coefficient:
    return Coefficient(name, value, error, math.erfc(abs(value / error) / math.sqrt(2)))


def lags_for(days: int) -> int:
    """How many lags the errors take by default: the whole part of T^(1/4), as `vcovSCC`."""
    return int(days**0.25 + 1e-9)


def within(panel: pl.DataFrame, outcome: str, regressors: Sequence[str], lags: int | None = None) -> Within:
    """Regress `outcome` on `regressors` over the rows (csu, date) where all are; errors are HC0 with Bartlett's weights.

    A lag is a day on which some market has a row, as in `vcovSCC`: export with `--balance longest` to have calendar days.
    """
    rows = panel.select("csu", "date", outcome, *regressors).drop_nulls()
    if rows.is_empty():
        raise BadInput(f"no market-day has {outcome} and {', '.join(regressors)}; look at `cryptolake panel describe`")
    if lags is not None and lags < 0:
        raise BadInput(f"lags={lags}: give 0 or more")
    longest = int(rows.group_by("csu").len()["len"].max() or 0)  # type: ignore[arg-type]
    taken = lags_for(longest) if lags is None else lags
    with needs_research("a panel regression"):
        from linearmodels.panel import PanelOLS
    data = panel_index(rows, [outcome, *regressors])
    fit = PanelOLS(data[outcome], data[list(regressors)], entity_effects=True).fit(
        cov_type="kernel", kernel="bartlett", bandwidth=taken, debiased=False
    )
    markets, days = rows["csu"].n_unique(), rows["date"].n_unique()
    # linearmodels enlarges them for the market effects that were taken out; vcovSCC does not.
    shrunk = math.sqrt(1 - markets / rows.height)
    found = tuple(
        _coefficient(name, float(fit.params[name]), float(fit.std_errors[name]) * shrunk) for name in regressors
    )
    return Within(outcome, found, rows.height, markets, days, taken, float(fit.rsquared_within))
