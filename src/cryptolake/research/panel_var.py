"""A panel VAR with market effects by GMM: coefficients, robust errors, Hansen's J, stability.

Holtz-Eakin, Newey and Rosen (1988) by forward orthogonal deviations, equal to R's `panelvar`; in two steps with Windmeijer's
(2005) correction. Errors are robust to anything within a market and assume that markets are independent: take the day's
means out where they are not. What does not belong here: lag orders (`lag_orders`), impulse responses (`responses`). Needs
the extra `research`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput
from cryptolake.research.moments import Array, Instruments, Moments, calendar, moments

_COLLINEAR = 1e-12  # relative; a system this close to singular has no answer in double precision


@dataclass(frozen=True, slots=True)
class Hansen:
    """The test of more conditions than coefficients; null: the instruments are valid. Andrews and Lu's (2001) criteria."""

    statistic: float
    freedom: int
    p: float
    bic: float
    aic: float
    hq: float


@dataclass(frozen=True, slots=True)
class PanelVar:
    """An estimated panel VAR. `coefficients[i, j]`: of column j (variables by lag, nearest first) in the equation of i.

    `covariance` is of the coefficients row by row, `sigma` of the shocks, `moduli` those of the companion matrix.
    """

    names: tuple[str, ...]
    lags: int
    coefficients: Array
    covariance: Array
    sigma: Array
    moduli: tuple[float, ...]
    markets: int
    rows: int
    conditions: int
    steps: int
    hansen: Hansen | None

    @property
    def errors(self) -> Array:
        """Standard errors in the shape of the coefficients."""
        return np.sqrt(np.diag(self.covariance)).reshape(self.coefficients.shape)

    @property
    def p(self) -> Array:
        """Two-sided by the normal."""
        return np.asarray(2 * stats.norm.sf(np.abs(self.coefficients / self.errors)))

    @property
    def stable(self) -> bool:
        """Whether a shock dies out."""
        return max(self.moduli) < 1

    @property
    def regressors(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(
            f"{name} {lag} day{'s' * (lag > 1)} before" for lag in range(1, self.lags + 1) for name in self.names
        )


@dataclass(frozen=True, slots=True)
class Solution:
    """Coefficients (regressors by equations), their covariance and the shocks' sums, of weighted markets."""

    phi: Array
    covariance: Array
    sigma: Array
    j: float | None


def series(frame: pl.DataFrame, names: Sequence[str], *, day_means_out: bool = False) -> dict[str, Array]:
    """The variables of every market that has all on some day, over the calendar; what `estimate` takes.

    `day_means_out` takes the mean over markets of each day out, and with it what shocks all markets alike. Raises BadInput.
    """
    if len(set(names)) < 2 or len(set(names)) != len(names):
        raise BadInput("a panel VAR is of two or more different variables; name each with --variable")
    rows = frame.select("csu", "date", *names).drop_nulls()
    if rows.is_empty():
        raise BadInput(f"no market-day has {', '.join(names)} at once; look at `cryptolake panel describe`")
    if day_means_out:
        rows = rows.with_columns(pl.col(one) - pl.col(one).mean().over("date") for one in names)
    return calendar(rows, list(names))


def estimate(
    panel: dict[str, Array],
    names: Sequence[str],
    lags: int = 1,
    instruments: Instruments | None = None,
    *,
    steps: int = 1,
    differences: bool = False,
) -> PanelVar:
    """Estimate by GMM in one or two steps; by default the levels of one day more than `lags` are instruments.

    One more, because the difference of two levels is free of the market's own mean, which alone is a poor instrument.
    Raises BadInput where data or instruments do not suffice.
    """
    panel, scale = scaled(panel)
    sums = moments(panel, lags, instruments or Instruments(lags + 1), differences=differences)
    used = sums.rows > 0
    require_enough(sums, steps)
    found = solve(sums, np.ones(len(used)), steps)
    # Back from units of one standard deviation each.
    of_regressors = np.tile(scale, lags)
    ratio = (scale[:, None] / of_regressors[None, :]).ravel()
    coefficients = found.phi.T * ratio.reshape(len(scale), -1)
    conditions = sums.zx.shape[1] * len(scale)
    return PanelVar(
        names=tuple(names),
        lags=lags,
        coefficients=coefficients,
        covariance=found.covariance * np.outer(ratio, ratio),
        sigma=found.sigma * np.outer(scale, scale),
        moduli=moduli(coefficients),
        markets=int(used.sum()),
        rows=int(sums.rows.sum()),
        conditions=conditions,
        steps=steps,
        hansen=hansen_test(found.j, conditions, coefficients.size, int(sums.rows.sum())),
    )


def scaled(panel: dict[str, Array]) -> tuple[dict[str, Array], Array]:
    """The variables in standard deviations, and those: dollars and shares in one system would lose digits."""
    together = np.vstack(list(panel.values()))
    scale = np.nanstd(together, axis=0)
    if not (scale > 0).all():
        raise BadInput("a variable never changes; leave it out")
    return {name: series / scale for name, series in panel.items()}, scale


def require_enough(sums: Moments, steps: int) -> None:
    """Raises BadInput when there are fewer conditions than coefficients, or more than two steps can weigh."""
    used, (conditions, columns), width = int((sums.rows > 0).sum()), sums.zx.shape[1:], sums.zy.shape[2]
    if used < 2 or int(sums.rows.sum()) <= columns:
        raise BadInput(
            f"{counted(used, 'market')} with {counted(int(sums.rows.sum()), 'row')} are too few for "
            f"{counted(columns, 'coefficient')} an equation; take fewer lags, or more days"
        )
    if conditions < columns:
        raise BadInput(
            f"{counted(conditions, 'instrument')} for {counted(columns, 'coefficient')} an equation; take more instrument lags"
        )
    if steps > 1 and conditions * width > used:
        raise BadInput(
            f"two steps weigh {conditions * width} conditions by what {counted(used, 'market')} show: "
            "take fewer instrument lags, or one step"
        )


def solve(sums: Moments, weights: Array, steps: int, invert: Callable[[Array, str], Array] | None = None) -> Solution:
    """GMM over markets counted `weights` times each. Raises BadInput where the system has no single answer.

    `invert` takes the place of the second step's inverse, as programs do that cut its small directions off.
    """
    a, b = np.tensordot(weights, sums.zx, 1), np.tensordot(weights, sums.zy, 1)
    first = inverse(np.tensordot(weights, sums.weight, 1), "instruments")
    bread = inverse(a.T @ first @ a, "lagged variables")
    phi = bread @ a.T @ first @ b
    width = b.shape[1]
    design = np.kron(a, np.eye(width))
    errors = (sums.zy - sums.zx @ phi).reshape(len(weights), -1)
    spread = errors.T @ (weights[:, None] * errors)
    side = np.kron(bread @ a.T @ first, np.eye(width))
    covariance, j = side @ spread @ side.T, None
    if steps > 1:
        second = (invert or inverse)(spread, "conditions")
        bread = inverse(design.T @ second @ design, "lagged variables")
        phi = (bread @ design.T @ second @ b.ravel()).reshape(phi.shape)
        rest = b.ravel() - design @ phi.ravel()
        j = float(rest @ second @ rest)
        covariance = _windmeijer(sums, weights, errors, bread, design.T @ second, second @ rest, covariance)
    return Solution(phi, _by_equation(covariance, *phi.shape), shock_covariance(sums, weights, phi), j)


def _windmeijer(
    sums: Moments, weights: Array, errors: Array, bread: Array, side: Array, rest: Array, first: Array
) -> Array:
    """The two-step covariance, corrected for the weights having been estimated."""
    count, conditions, columns = sums.zx.shape
    width = sums.zy.shape[2]
    correction = np.empty((columns * width, columns * width))
    for column in range(columns * width):
        moved = np.zeros((count, conditions, width))
        moved[:, :, column % width] = sums.zx[:, :, column // width]
        outer = moved.reshape(count, -1).T @ (weights[:, None] * errors)
        correction[:, column] = bread @ side @ (outer + outer.T) @ rest
    return bread + correction @ bread + bread @ correction.T + correction @ first @ correction.T


def _by_equation(covariance: Array, columns: int, width: int) -> Array:
    """From regressor by equation to equation by regressor."""
    order = np.arange(columns * width).reshape(columns, width).T.ravel()
    return covariance[np.ix_(order, order)]


def shock_covariance(sums: Moments, weights: Array, phi: Array) -> Array:
    """Of the residuals of these coefficients, divided by rows less coefficients of an equation."""
    xx, xy, yy = (np.tensordot(weights, one, 1) for one in (sums.xx, sums.xy, sums.yy))
    left = yy - phi.T @ xy - xy.T @ phi + phi.T @ xx @ phi
    return np.asarray(left / (float(weights @ sums.rows) - len(phi)))


def inverse(matrix: Array, what: str) -> Array:
    """Of a symmetric matrix. Raises BadInput where it is singular."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if values[0] <= _COLLINEAR * values[-1]:
        raise BadInput(f"the {what} are collinear: leave a variable, lags or instrument lags out")
    return np.asarray((vectors / values) @ vectors.T)


def moduli(coefficients: Array) -> tuple[float, ...]:
    """Of the companion matrix's eigenvalues, largest first."""
    width, columns = coefficients.shape
    companion = np.zeros((columns, columns))
    companion[:width] = coefficients
    companion[width:, :-width] = np.eye(columns - width)
    return tuple(sorted((float(one) for one in np.abs(np.linalg.eigvals(companion))), reverse=True))


def hansen_test(j: float | None, conditions: int, parameters: int, rows: int) -> Hansen | None:
    """Hansen's J; None where nothing is tested: one step, or as many conditions as coefficients."""
    if j is None or conditions <= parameters:
        return None
    freedom = conditions - parameters
    # Over all coefficients; `panelvar` takes those of one equation off.
    return Hansen(
        j,
        freedom,
        float(stats.chi2.sf(j, freedom)),
        j - freedom * math.log(rows),
        j - freedom * 2,
        j - freedom * 2.1 * math.log(math.log(rows)),
    )
