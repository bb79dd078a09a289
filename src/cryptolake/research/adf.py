"""One augmented Dickey-Fuller regression as R's `plm` runs it inside its panel tests: lag order, t statistic, p-value.

What does not belong here: series with gaps (`unitroot` finds the run to test) and what is made of many markets
(`panel_tests`). Needs the extra `research`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from cryptolake.research.critical_values import Terms

Criterion = Literal["AIC", "SIC", "Hall"]
Lags = Criterion | int
Vector = npt.NDArray[np.float64]

_SINGULAR = 1e-12  # relative; what is left below it is rounding
MOST_LAGS = 10  # tried by a criterion; `plm`'s pmax

# MacKinnon (1994), table 3: Φ⁻¹(p) as a polynomial of t, left of a limit and right of it.
_LEFT: dict[Terms, tuple[float, ...]] = {
    "none": (0.6344, 1.2378, 0.032496),
    "intercept": (2.1659, 1.4412, 0.038269),
    "trend": (3.2512, 1.6047, 0.049588),
}
_RIGHT: dict[Terms, tuple[float, ...]] = {
    "none": (0.4797, 0.93557, -0.06999, 0.033066),
    "intercept": (1.7339, 0.93202, -0.12745, -0.010368),
    "trend": (2.5261, 0.61654, -0.37956, -0.060285),
}
_LIMIT: dict[Terms, float] = {"none": -1.04, "intercept": -1.61, "trend": -2.89}


@dataclass(frozen=True, slots=True)
class Adf:
    """A regression of the change on the level, its lags and the terms. `normal` is Φ⁻¹(p); `days` the series' length."""

    t: float
    normal: float
    lags: int
    days: int
    sigma: float

    @property
    def p(self) -> float:
        """Null: a unit root."""
        return float(ndtr(self.normal))


def adf(series: Sequence[float] | Vector, terms: Terms = "intercept", lags: Lags = "AIC") -> Adf | None:
    """Test one series without gaps; variances are divided by the number of rows, as `plm` does by default.

    None where there is nothing to test: too few days, or a level or a change that the other columns explain wholly.
    """
    values = np.asarray(series, dtype=float)
    if len(values) < 2 * (lags if isinstance(lags, int) else MOST_LAGS) + 5:
        return None
    count = lags if isinstance(lags, int) else choose_lags(values, terms, lags)
    level, change, others = design(values, terms, count)
    # The level comes last: its t statistic is then what the last orthogonal direction explains.
    q, r = np.linalg.qr(np.column_stack([others, level]))
    explained = q.T @ change
    rest = change - q @ explained
    sigma = float(np.sqrt(rest @ rest / len(change)))
    if min(np.abs(np.diag(r))) < _SINGULAR * max(np.abs(np.diag(r))) or sigma <= _SINGULAR * float(
        np.abs(change).max()
    ):
        return None
    t = float(explained[-1] / sigma * np.sign(r[-1, -1]))
    return Adf(t, normal_of(t, terms), count, len(values), sigma)


def design(values: Vector, terms: Terms, lags: int) -> tuple[Vector, Vector, npt.NDArray[np.float64]]:
    """The level a day before, the change, and the other columns (terms, lagged changes), of the rows where all are."""
    changes = np.diff(values)
    rows = len(changes) - lags
    columns = [changes[lags - one : lags - one + rows] for one in range(1, lags + 1)]
    if terms != "none":
        columns.insert(0, np.ones(rows))
    if terms == "trend":
        columns.insert(1, np.arange(rows, dtype=float))
    others = np.column_stack(columns) if columns else np.empty((rows, 0))
    return values[lags : lags + rows], changes[lags:], others


def choose_lags(values: Vector, terms: Terms, criterion: Criterion, most: int = MOST_LAGS) -> int:
    """The lag order by AIC or SIC, or the longest whose last lag matters at 5 % (Hall 1994), all on the same rows.

    The models are nested, so one factorisation gives the residual sum of squares of every order.
    """
    level, change, others = design(values, terms, most)
    fixed = others.shape[1] - most
    q, _ = np.linalg.qr(np.column_stack([others[:, :fixed], level, others[:, fixed:]]))
    explained = q.T @ change
    rows = len(change)
    squares = np.empty(most + 1)
    base = fixed + 1
    for lags in range(most + 1):
        rest = change - q[:, : base + lags] @ explained[: base + lags]
        squares[lags] = rest @ rest
    if criterion == "Hall":
        t = np.abs(explained[base:]) / np.sqrt(np.maximum(squares[1:], np.finfo(float).tiny) / rows)
        matters = np.flatnonzero(t >= 1.96)
        return int(matters[-1]) + 1 if len(matters) else 0
    each = 2.0 if criterion == "AIC" else float(np.log(rows))
    scores = np.log(np.maximum(squares, np.finfo(float).tiny) / rows) + each * (base + np.arange(most + 1)) / rows
    return most - int(np.argmin(scores[::-1]))  # of equals the longest, as `plm` takes it


def normal_of(t: float, terms: Terms) -> float:
    """Φ⁻¹(p) of a t statistic by MacKinnon (1994).

    Beyond the turning points of his polynomials the value at the turning point holds. `plm` goes on along the curve, so
    that a series with t below -19 comes out with a larger p than one with t = -19.
    """
    left, right = np.polynomial.Polynomial(_LEFT[terms]), np.polynomial.Polynomial(_RIGHT[terms])
    if t <= _LIMIT[terms]:
        return float(left(max(t, float(np.real(left.deriv().roots()[0])))))
    roots = np.asarray(right.deriv().roots(), dtype=complex)
    turning = [float(root.real) for root in roots if abs(root.imag) < 1e-12 and root.real > _LIMIT[terms]]
    return float(right(min([t, *turning])))
