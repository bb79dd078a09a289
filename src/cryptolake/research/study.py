"""A panel VAR from the panel's rows to what is printed: estimate, lag orders, responses, and what to be wary of.

What does not belong here: the numbers themselves (`panel_var`, `responses`, `dependence`). Needs the extra `research`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.quality import page
from cryptolake.research.dependence import Dependence, dependence
from cryptolake.research.lag_orders import Order, orders
from cryptolake.research.moments import Array, Instruments
from cryptolake.research.panel_var import PanelVar, estimate, series
from cryptolake.research.responses import Responses, impulse_responses, responses

FEW_MARKETS = 20  # below, errors that are robust within markets are known to be too small

ORDER_COLUMNS = ("lags", "AIC", "BIC", "HQ", "Hansen J", "p", "MMSC AIC", "MMSC BIC", "MMSC HQ")
COEFFICIENT_COLUMNS = ("equation", "of", "coefficient", "error", "p")


@dataclass(frozen=True, slots=True)
class Study:
    """An estimate, the criteria of lag orders, responses by day (no band where no draws were wanted), and warnings."""

    found: PanelVar
    orders: list[Order]
    paths: Array
    band: Responses | None
    together: dict[str, Dependence]
    warnings: tuple[str, ...]


def study(
    rows: pl.DataFrame,
    names: Sequence[str],
    *,
    lags: int = 1,
    instrument_lags: int | None = None,
    steps: int = 1,
    day_means_out: bool = False,
    horizon: int = 10,
    draws: int = 500,
) -> Study:
    """Estimate over rows of csu, date and the variables, in the order in which a shock passes on within a day."""
    panel = series(rows, names, day_means_out=day_means_out)
    instruments = Instruments(instrument_lags or lags + 1)
    found = estimate(panel, names, lags, instruments, steps=steps)
    paths = impulse_responses(found.coefficients, found.sigma, horizon)
    band = responses(panel, found, instruments, horizon=horizon, draws=draws) if draws else None
    together = {
        name: tests[0] for index, name in enumerate(names) if (tests := dependence(_side_by_side(panel, index)))
    }
    return Study(found, orders(panel), paths, band, together, _warnings(found, band, together, day_means_out))


def _side_by_side(panel: dict[str, Array], index: int) -> Array:
    """One variable, a column per market that has it."""
    columns = [one[:, index] for one in panel.values()]
    return np.column_stack([one for one in columns if np.isfinite(one).any()])


def _warnings(
    found: PanelVar, band: Responses | None, together: dict[str, Dependence], day_means_out: bool
) -> tuple[str, ...]:
    said = []
    if not found.stable:
        said.append("The system is not stable: a shock does not die out. Take changes (_d), or look at the outliers.")
    moved = [f"{name} {test.statistic:.1f}" for name, test in together.items() if test.p is not None and test.p < 0.05]
    if moved and not day_means_out:
        said.append(
            f"Markets move together (Pesaran's CD: {', '.join(moved)}): errors and bands, which take markets as "
            "independent, are too small. --day-means-out takes out what all markets share."
        )
    if found.markets < FEW_MARKETS:
        said.append(
            f"Errors and bands rest on {counted(found.markets, 'market')}; below {FEW_MARKETS} they are known to be too small."
        )
    if band is not None and band.explosive + band.unsolved:
        said.append(
            f"Of {counted(band.draws, 'draw')} of markets {band.explosive} had a shock that does not die out "
            f"and {band.unsolved} no answer."
        )
    return tuple(said)


def summary(done: Study) -> str:
    """What was estimated, in a sentence."""
    found = done.found
    hansen = found.hansen
    return (
        f"{counted(found.markets, 'market')}, {counted(found.rows, 'market-day')}, {counted(found.lags, 'lag')}, "
        f"{counted(found.conditions, 'condition')} in {counted(found.steps, 'step')}; "
        f"largest modulus {found.moduli[0]:.3f}"
        + (f"; Hansen's J {hansen.statistic:.2f} (p = {hansen.p:.3f})" if hansen else "")
    )


def coefficient_rows(done: Study) -> list[tuple[object, ...]]:
    """Under `COEFFICIENT_COLUMNS`."""
    found = done.found
    return [
        (
            name,
            regressor,
            float(found.coefficients[row, column]),
            float(found.errors[row, column]),
            float(found.p[row, column]),
        )
        for row, name in enumerate(found.names)
        for column, regressor in enumerate(found.regressors)
    ]


def order_rows(done: Study) -> list[tuple[object, ...]]:
    """Under `ORDER_COLUMNS`; smaller is better."""
    return [
        (one.lags, one.aic, one.bic, one.hq)
        + ((h.statistic, h.p, h.aic, h.bic, h.hq) if (h := one.hansen) else (None,) * 5)
        for one in done.orders
    ]


def response_rows(done: Study) -> list[tuple[str, str, int, float, float | None, float | None]]:
    """Shock, response, day, value and band."""
    names, band = done.found.names, done.band
    return [
        (
            shock,
            response,
            day,
            float(done.paths[day, row, column]),
            None if band is None else float(band.low[day, row, column]),
            None if band is None else float(band.high[day, row, column]),
        )
        for column, shock in enumerate(names)
        for row, response in enumerate(names)
        for day in range(len(done.paths))
    ]


def html(done: Study, *, title: str, facts: Sequence[tuple[str, object]] = ()) -> str:
    """The self-contained report with a picture per response."""
    pictures = []
    names = done.found.names
    for column, shock in enumerate(names):
        for row, response in enumerate(names):
            lines = {"response": done.paths[:, row, column].tolist()}
            if done.band is not None:
                lines["low"] = done.band.low[:, row, column].tolist()
                lines["high"] = done.band.high[:, row, column].tolist()
            label = f"{response} after a shock to {shock}"
            pictures.append(page.note(label) + page.lines(label, lines, width=480, height=150))
    share = f" with a band of {done.band.level:.0%}" if done.band else ""
    return page.page(
        title,
        [
            ("The dataset", page.note(summary(done)) + page.table(("fact", "value"), list(facts))),
            ("To be wary of", "".join(map(page.note, done.warnings)) or page.note("Nothing was noticed.")),
            ("Coefficients", page.table(COEFFICIENT_COLUMNS, coefficient_rows(done))),
            ("Lag orders (smaller is better)", page.table(ORDER_COLUMNS, order_rows(done))),
            (f"Responses by day to a shock of one standard deviation{share}", "".join(pictures)),
        ],
    )
