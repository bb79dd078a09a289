"""Do markets move together? The tests of R's `plm::pcdtest`, over all pairs of markets and the days both have.

What does not belong here: what is done about it (day means out, Driscoll-Kraay errors). Needs the extra `research`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats


@dataclass(frozen=True, slots=True)
class Dependence:
    """A test whose null is that markets are independent; `p` is None for the two plain averages.

    `pairs` counts the pairs of markets that entered, `left_out` those with fewer than two common days or no variation.
    """

    name: str
    statistic: float
    p: float | None
    pairs: int
    left_out: int


def dependence(series: npt.NDArray[np.float64]) -> list[Dependence]:
    """All tests of a series per market (rows: days, columns: markets, NaN where there is none); none without a pair."""
    present = ~np.isnan(series)
    filled = np.where(present, series - np.nanmean(series, axis=0, where=present), 0.0)
    there = present.astype(float)
    days = there.T @ there
    sums = filled.T @ there
    squares = np.square(filled).T @ there
    with np.errstate(invalid="ignore", divide="ignore"):
        products = filled.T @ filled - sums * sums.T / days
        own = squares - np.square(sums) / days
        # What is left of a constant after its mean is rounding, not variation.
        own = np.where(own > 1e-20 * np.maximum(squares, 1e-300), own, np.nan)
        rho = np.clip(products / np.sqrt(own * own.T), -1, 1)
    lower = np.tril(np.ones_like(rho, dtype=bool), -1)
    usable = lower & (days > 1) & np.isfinite(rho)
    pairs, left_out = int(usable.sum()), int(lower.sum() - usable.sum())
    if not pairs:
        return []
    rho, common = rho[usable], days[usable]
    chi = float((common * rho**2).sum())
    scaled = float((common * rho**2 - 1).sum() / math.sqrt(2 * pairs))
    corrected = scaled - series.shape[1] / (2 * (float(days.max()) - 1))
    cd = float((np.sqrt(common) * rho).sum() / math.sqrt(pairs))

    def both_sides(z: float) -> float:
        return float(2 * stats.norm.sf(abs(z)))

    return [
        Dependence("Pesaran CD", cd, both_sides(cd), pairs, left_out),
        Dependence("Breusch-Pagan LM", chi, float(stats.chi2.sf(chi, pairs)), pairs, left_out),
        Dependence("Scaled LM", scaled, both_sides(scaled), pairs, left_out),
        Dependence("Bias-corrected scaled LM", corrected, both_sides(corrected), pairs, left_out),
        Dependence("Mean correlation", float(rho.mean()), None, pairs, left_out),
        Dependence("Mean absolute correlation", float(np.abs(rho).mean()), None, pairs, left_out),
    ]
