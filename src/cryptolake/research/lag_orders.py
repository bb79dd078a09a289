"""How many days before explain a day: criteria of lag orders, all on the same rows. Needs the extra `research`.

What does not belong here: the lag order of a unit-root test (`adf`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cryptolake.research.moments import Array, Instruments, moments
from cryptolake.research.panel_var import Hansen, hansen_test, inverse, scaled, shock_covariance, solve


@dataclass(frozen=True, slots=True)
class Order:
    """A lag order's criteria, smaller is better, all orders on the same rows; `hansen` where two steps could be taken."""

    lags: int
    aic: float
    bic: float
    hq: float
    hansen: Hansen | None


def orders(panel: dict[str, Array], most: int = 4) -> list[Order]:
    """Information criteria of least squares with market effects, and Andrews and Lu's where markets allow for two steps."""
    panel, scale = scaled(panel)
    found = []
    for lags in range(1, most + 1):
        sums = moments(panel, lags, Instruments(most + 1), first_day=most)
        rows, columns = float(sums.rows.sum()), sums.xx.shape[1]
        if rows <= columns + len(panel):
            break
        ones = np.ones(len(panel))
        xx, xy = np.tensordot(ones, sums.xx, 1), np.tensordot(ones, sums.xy, 1)
        phi = inverse(xx, "lagged variables") @ xy
        fit = float(np.linalg.slogdet(shock_covariance(sums, ones, phi) * (rows - columns) / rows)[1])
        each = columns * len(scale) / rows
        hansen = None
        if sums.zx.shape[1] * len(scale) <= (sums.rows > 0).sum():
            j = solve(sums, ones, 2).j
            hansen = hansen_test(j, sums.zx.shape[1] * len(scale), columns * len(scale), int(rows))
        aic, bic, hq = (fit + each * weight for weight in (2, math.log(rows), 2 * math.log(math.log(rows))))
        found.append(Order(lags, aic, bic, hq, hansen))
    return found
