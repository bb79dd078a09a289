"""The moment conditions of a panel VAR, market by market: transformed variables, their lags, instruments, cross products.

Market effects go by forward orthogonal deviations (Arellano and Bover 1995; the Helmert transformation): each row minus
the mean of the market's later rows, scaled so that errors stay uncorrelated. The levels of the days before are its
instruments. Rows and lags are calendar days. What does not belong here: the estimator (`panel_var`). Needs `research`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Instruments:
    """Which levels instrument a row: those of the `lags` days before it (all there are when None).

    `collapsed`: one condition per lag over all days (Roodman 2009); otherwise one per lag and day, which are many.
    """

    lags: int | None = None
    collapsed: bool = True


@dataclass(frozen=True, slots=True)
class Moments:
    """Cross products per market (first axis): z instruments, x lagged variables, y variables, all transformed.

    `weight` is z'Hz, H the errors' covariance up to scale under independence over time.
    """

    zx: Array
    zy: Array
    weight: Array
    xx: Array
    xy: Array
    yy: Array
    rows: npt.NDArray[np.int64]


def calendar(frame: pl.DataFrame, names: list[str]) -> dict[str, Array]:
    """Per market the variables over all calendar days of the frame (rows), NaN where there is no value."""
    first: date = frame["date"].min()  # type: ignore[assignment]
    last: date = frame["date"].max()  # type: ignore[assignment]
    found = {}
    for (csu,), rows in sorted(frame.partition_by("csu", as_dict=True).items()):
        series = np.full(((last - first).days + 1, len(names)), np.nan)
        at = (rows["date"] - pl.Series([first])).dt.total_days().to_numpy()
        series[at] = rows.select(pl.col(names).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
        found[str(csu)] = series
    return found


def lagged(series: Array, lags: int) -> Array:
    """The values of the `lags` days before each day, side by side, the nearest first."""
    days, width = series.shape
    pieces = []
    for lag in range(1, lags + 1):
        piece = np.full((days, width), np.nan)
        piece[lag:] = series[:-lag] if lag < days else piece[lag:]
        pieces.append(piece)
    return np.hstack(pieces) if pieces else np.empty((days, 0))


def forward_deviations(rows: Array) -> Array:
    """Each row minus the mean of the later ones, times the root of n / (n + 1) for n later ones; one row fewer."""
    count = len(rows)
    after = np.arange(count - 1, 0, -1)[:, None]
    later = np.cumsum(rows[::-1], axis=0)[::-1][1:] / after
    return np.sqrt(after / (after + 1)) * (rows[:-1] - later)


def moments(
    panel: dict[str, Array], lags: int, instruments: Instruments, *, differences: bool = False, first_day: int = 0
) -> Moments:
    """Of every market; rows before `first_day` are left out. `differences`: first differences in place of deviations."""
    parts = [_of_market(series, lags, instruments, differences, first_day) for series in panel.values()]
    zx, zy, weight, xx, xy, yy, rows = (np.stack(pieces) for pieces in zip(*parts, strict=True))
    there = np.flatnonzero(np.diagonal(weight.sum(axis=0)) > 0)  # a level that no row has is no condition
    return Moments(zx[:, there], zy[:, there], weight[:, there][:, :, there], xx, xy, yy, rows.astype(np.int64))


def _of_market(
    series: Array, lags: int, instruments: Instruments, differences: bool, first_day: int
) -> tuple[Array, ...]:
    width = series.shape[1]
    both = np.hstack([series, lagged(series, lags)])
    whole: npt.NDArray[np.bool_] = np.array(np.isfinite(both).all(axis=1))
    whole[:first_day] = False
    days = np.flatnonzero(whole)
    if differences:
        follows = np.flatnonzero(np.diff(days) == 1) + 1
        data, days = both[days[follows]] - both[days[follows] - 1], days[follows]
    elif len(days):
        data, days = forward_deviations(both[days]), days[:-1]
    else:
        data = both[:0]
    z = _instruments(series, days, lags, instruments, behind=int(differences))
    y, x = data[:, :width], data[:, width:]
    weighed = z
    if differences:  # the errors of days that follow each other share one error, with the other sign
        next_to = np.diff(days) == 1
        weighed = 2 * z
        weighed[:-1][next_to] -= z[1:][next_to]
        weighed[1:][next_to] -= z[:-1][next_to]
    return z.T @ x, z.T @ y, z.T @ weighed, x.T @ x, x.T @ y, y.T @ y, np.array(float(len(days)))


def _instruments(
    series: Array, days: npt.NDArray[np.int64], lags: int, instruments: Instruments, *, behind: int
) -> Array:
    """Levels of the days before, zero where there are none; `behind` more days back for differences."""
    length, width = series.shape
    reach = instruments.lags or length - 1 - behind
    levels = np.nan_to_num(lagged(series, reach + behind)[days, behind * width :])
    if instruments.collapsed:
        return levels
    # One block per day, each with the lags that reach back to the first day at most.
    start = lags + behind
    counts = [min(reach, day - behind) for day in range(start, length)]
    ends = np.cumsum([0, *counts]) * width
    wide = np.zeros((len(days), int(ends[-1])))
    for row, day in enumerate(days):
        at = int(day) - start
        wide[row, ends[at] : ends[at + 1]] = levels[row, : counts[at] * width]
    return wide[:, : ends[-1]]
