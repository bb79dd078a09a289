"""Unit-root tests over many markets, to the digit those of R's `plm::purtest` and `plm::cipstest`.

All but CIPS assume that markets are independent of each other; crypto markets are not (`dependence` measures it), so each
test says whether it does. Series come without gaps; some tests take only equally long ones. Needs the extra `research`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from cryptolake.research import critical_values
from cryptolake.research.adf import Adf, design, regress, without_terms
from cryptolake.research.critical_values import Terms

UNIT_ROOT = "all have a unit root"
STATIONARY = "all are stationary"

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PanelTest:
    """A test over `units` markets. `p` is None where no table gives one; `critical` are values at 1, 5 and 10 %.

    `days` is the common length where the test needs one, `independent` whether it assumes independent markets.
    """

    name: str
    statistic: float
    p: float | None
    units: int
    null: str = UNIT_ROOT
    independent: bool = True
    days: int | None = None
    lags: int | None = None
    critical: tuple[float, float, float] | None = None

    @property
    def said_p(self) -> str | None:
        """The p-value as it is printed: a table gives it only between 0.01 and 0.1."""
        if self.p is None:
            return None
        if self.critical is not None and self.p in (0.01, 0.1):
            return "≤ 0.010" if self.p < 0.1 else "≥ 0.100"
        return f"{self.p:.3f}"


def combined(found: Sequence[Adf]) -> list[PanelTest]:
    """Maddala and Wu (1999), and Choi's (2001) three, from the ADF p-values of the markets."""
    normals = np.array([one.normal for one in found])
    count = len(normals)
    logs = stats.norm.logcdf(normals)
    chi = float(-2 * logs.sum())
    modified = float((-2 * logs - 2).sum() / (2 * math.sqrt(count)))
    inverse = float(normals.sum() / math.sqrt(count))
    freedom = 5 * count + 4
    scale = math.sqrt(3 * freedom / (math.pi**2 * count * (5 * count + 2)))
    logit = float(scale * (logs - stats.norm.logsf(normals)).sum())
    return [
        PanelTest("Maddala-Wu", chi, float(stats.chi2.sf(chi, 2 * count)), count),
        PanelTest("Choi Pm", modified, float(stats.norm.sf(modified)), count),
        PanelTest("Choi inverse normal", inverse, float(stats.norm.cdf(inverse)), count),
        PanelTest("Choi logit", logit, float(stats.t.cdf(logit, freedom)), count),
    ]


def im_pesaran_shin(found: Sequence[Adf], terms: Terms) -> list[PanelTest]:
    """W-t-bar of Im, Pesaran and Shin (2003) of any lags, and their Z-t-bar and t-bar where no market has lags."""
    if terms == "none":
        return []
    count = len(found)
    mean = float(np.mean([one.t for one in found]))
    periods = [one.days - one.lags - 1 for one in found]

    def standardised(name: str, table: str, of: Terms) -> PanelTest:
        expected, variance = (
            float(
                np.mean(
                    [
                        critical_values.moment(table, of, what, at, one.lags if table == "ips_moments" else 0)
                        for one, at in zip(found, periods, strict=True)
                    ]
                )
            )
            for what in ("mean", "var")
        )
        z = math.sqrt(count) * (mean - expected) / math.sqrt(variance)
        return PanelTest(name, z, None if math.isnan(z) else float(stats.norm.cdf(z)), count)

    tests = [standardised("Im-Pesaran-Shin W-t-bar", "ips_moments", terms)]
    if any(one.lags for one in found):
        return tests
    if terms == "intercept":
        tests.append(standardised("Im-Pesaran-Shin Z-t-bar", "ips_zbar", terms))
    if len({one.days for one in found}) == 1:
        at = found[0].days - 1
        bounds = [critical_values.t_bar(terms, percent, count, at) for percent in critical_values.PERCENT]
        critical = (bounds[0], bounds[1], bounds[2])
        tests.append(PanelTest("Im-Pesaran-Shin t-bar", mean, None, count, days=at + 1, critical=critical))
    return tests


def levin_lin_chu(series: Matrix, found: Sequence[Adf], terms: Terms) -> PanelTest:
    """Levin, Lin and Chu (2002) of equally long series (rows: days, columns: markets) and their ADF regressions."""
    days, count = series.shape
    levels, changes, ratios = [], [], []
    for values, one in zip(series.T, found, strict=True):
        level, change, lagged = design(values, terms, one.lags)
        both = np.column_stack([level, change])
        both = (both - lagged @ np.linalg.solve(lagged.T @ lagged, lagged.T @ both)) / one.sigma
        levels.append(both[:, 0])
        changes.append(both[:, 1])
        ratios.append(math.sqrt(_long_run_variance(values, terms)) / one.sigma)
    level, change = np.concatenate(levels), np.concatenate(changes)
    squares = float(level @ level)
    rho = float(level @ change) / squares
    rest = float(np.square(change - rho * level).sum())
    error = math.sqrt(rest / len(level) / squares)
    periods = days - float(np.mean([one.lags for one in found])) - 1
    mu, sigma = (critical_values.moment("llc_moments", terms, what, days) for what in ("mu", "sigma"))
    drift = count * periods * float(np.mean(ratios)) / (rest / (count * periods)) * error * mu
    z = (rho / error - drift) / sigma
    return PanelTest("Levin-Lin-Chu", z, float(stats.norm.cdf(z)), count, days=days)


def _long_run_variance(values: Matrix, terms: Terms) -> float:
    """Of the changes, by Bartlett's weights up to 3.21 T^(1/3) days."""
    length = len(values)
    bandwidth = round(3.21 * length ** (1 / 3))
    changes = without_terms(np.diff(values)[:, None], terms)[:, 0]
    total = float(changes @ changes)
    for lag in range(1, bandwidth + 1):
        total += 2 * (1 - lag / (bandwidth + 1)) * float(changes[:-lag] @ changes[lag:])
    return total / (length - 1)


def hadri(series: Matrix, terms: Terms) -> PanelTest | None:
    """Hadri (2000), consistent to other variances per market; its null is stationarity. None without an intercept."""
    if terms == "none":
        return None
    days, count = series.shape
    mean, variance = (1 / 6, 1 / 45) if terms == "intercept" else (1 / 15, 11 / 6300)
    rest = without_terms(series, terms)
    each = np.square(np.cumsum(rest, axis=0)).sum(axis=0) / days**2 / np.square(rest).mean(axis=0)
    z = math.sqrt(count) * (float(each.mean()) - mean) / math.sqrt(variance)
    return PanelTest("Hadri", z, float(stats.norm.sf(z)), count, null=STATIONARY, days=days)


def cips(series: Matrix, terms: Terms, lags: int, *, truncated: bool = False) -> PanelTest | None:
    """Pesaran's (2007) CIPS: ADF regressions with the day's means over all markets, which take common shocks out.

    None where there are too few days for the number of coefficients, or a market is wholly explained by the others.
    """
    days, count = series.shape
    changes = np.diff(series, axis=0)
    rows = days - 1 - lags
    pieces = [series[lags : lags + rows], *(changes[lags - one : lags - one + rows] for one in range(1, lags + 1))]
    now = changes[lags:]
    means = np.column_stack([piece.mean(axis=1) for piece in (now, *pieces)])
    width = {"none": 0, "intercept": 1, "trend": 2}[terms] + means.shape[1] + len(pieces)
    if rows <= width:
        return None
    found = []
    for unit in range(count):
        own = np.column_stack([piece[:, unit] for piece in (*pieces[1:], pieces[0], now)])
        columns = without_terms(np.column_stack([means, own]), terms)
        one = regress(columns[:, :-1], columns[:, -1])
        if one is None:
            return None
        found.append(float(one[0][-1] / one[1] * math.sqrt(rows - width)))
    if truncated:
        low, high = {"none": (-6.12, 4.16), "intercept": (-6.19, 2.61), "trend": (-6.42, 1.7)}[terms]
        found = [min(max(one, low), high) for one in found]
    statistic = float(np.mean(found))
    critical = critical_values.cips(terms, count, rows, truncated=truncated)
    p = None if critical is None else critical_values.cips_p(statistic, critical)
    return PanelTest("CIPS", statistic, p, count, independent=False, days=days, lags=lags, critical=critical)
