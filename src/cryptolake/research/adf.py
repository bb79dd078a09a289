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

_ROUNDING = 1e-12  # relative
_COLLINEAR = 1e-7  # of a column of length one; Cholesky tells no smaller ones from rounding
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
    level, change, lagged = design(values, terms, 0 if count is None else count)
    found = None if count is None else regress(np.column_stack([lagged, level]), change)
    if count is None or found is None:
        return None
    explained, rest = found
    sigma = rest / float(np.sqrt(len(change)))
    t = float(explained[-1] / sigma)
    return Adf(t, normal_of(t, terms), count, len(values), sigma)


def design(values: Vector, terms: Terms, lags: int) -> tuple[Vector, Vector, Vector]:
    """The level a day before, the change, and the lagged changes, of the rows where all are, each free of the terms."""
    changes = np.diff(values)
    rows = len(changes) - lags
    columns = [
        values[lags : lags + rows],
        changes[lags:],
        *(changes[lags - one : lags - one + rows] for one in range(1, lags + 1)),
    ]
    free = without_terms(np.column_stack(columns), terms)
    return free[:, 0], free[:, 1], free[:, 2:]


def without_terms(columns: Vector, terms: Terms) -> Vector:
    """What the terms leave of each column; exactly nothing where only rounding is left."""
    free = columns
    if terms != "none":
        free = free - free.mean(axis=0)
    if terms == "trend":
        time = np.arange(len(free)) - (len(free) - 1) / 2
        free = free - np.outer(time, time @ free / (time @ time))
    nothing = np.abs(free).max(axis=0) <= _ROUNDING * np.abs(columns).max(axis=0)
    return np.where(nothing, 0.0, free)


def regress(columns: Vector, outcome: Vector) -> tuple[Vector, float] | None:
    """How much of the outcome each column explains beyond those before it (signed as its coefficient), and the root of the
    residual sum of squares. None where a column, or the outcome, is explained wholly by the others.

    By Cholesky of the cross products: the columns are few and long, and a factorisation of them all is many times slower
    on a busy machine.
    """
    everything = np.column_stack([columns, outcome])
    scale = np.sqrt(np.einsum("ij,ij->j", everything, everything))
    if not scale.all():
        return None
    everything = everything / scale
    try:
        root = np.linalg.cholesky(everything.T @ everything)
    except np.linalg.LinAlgError:
        return None
    if np.diag(root).min() < _COLLINEAR:
        return None
    return root[-1, :-1] * scale[-1], float(root[-1, -1] * scale[-1])


def choose_lags(values: Vector, terms: Terms, criterion: Criterion, most: int = MOST_LAGS) -> int | None:
    """The lag order by AIC or SIC, or the longest whose last lag matters at 5 % (Hall 1994), all on the same rows.

    The models are nested, so one factorisation gives the residual sum of squares of every order. None as in `adf`.
    """
    level, change, lagged = design(values, terms, most)
    found = regress(np.column_stack([level, lagged]), change)
    if found is None:
        return None
    explained, rest = found
    rows = len(change)
    beyond = np.square(explained[1:])
    squares = rest**2 + np.append(np.cumsum(beyond[::-1])[::-1], 0.0)  # of 0, 1, .. lags
    if criterion == "Hall":
        t = np.sqrt(beyond / squares[1:] * rows)
        matters = np.flatnonzero(t >= 1.96)
        return int(matters[-1]) + 1 if len(matters) else 0
    each = 2.0 if criterion == "AIC" else float(np.log(rows))
    coefficients = {"none": 1, "intercept": 2, "trend": 3}[terms] + np.arange(most + 1)
    scores = np.log(squares / rows) + each * coefficients / rows
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
