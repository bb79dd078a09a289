"""What a shock does: orthogonalised impulse responses of a panel VAR, with bands by resampling markets.

A shock is one standard deviation of its variable's error, ordered by Cholesky: a variable moves those after it on the same
day and not those before it. What does not belong here: the estimate (`panel_var`). Needs the extra `research`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput
from cryptolake.research.moments import Array, Instruments, moments
from cryptolake.research.panel_var import PanelVar, moduli, scaled, solve


@dataclass(frozen=True, slots=True)
class Responses:
    """`middle[day, responding, shocked]` and the band around it, of `draws` samples of markets; day 0 is the shock's.

    `explosive` of the draws had a shock that does not die out, `unsolved` had none or no single answer and are left out.
    """

    middle: Array
    low: Array
    high: Array
    level: float
    draws: int
    explosive: int
    unsolved: int


def impulse_responses(coefficients: Array, sigma: Array, horizon: int) -> Array:
    """Responses [day, responding, shocked] for days 0 .. `horizon`."""
    width, columns = coefficients.shape
    lags = coefficients.reshape(width, columns // width, width).transpose(1, 0, 2)
    passed = [np.eye(width)]
    for day in range(1, horizon + 1):
        passed.append(
            sum((lags[lag] @ passed[day - 1 - lag] for lag in range(min(day, len(lags)))), np.zeros((width, width)))
        )
    return np.stack(passed) @ np.linalg.cholesky(sigma)


def responses(
    panel: dict[str, Array],
    found: PanelVar,
    instruments: Instruments | None = None,
    *,
    horizon: int = 10,
    draws: int = 500,
    level: float = 0.9,
    seed: int = 1,
) -> Responses:
    """Impulse responses of an estimate and their band: percentiles over estimates of markets drawn with replacement.

    `panel` and `instruments` are those of the estimate; the same seed gives the same band.
    """
    panel, scale = scaled(panel)
    sums = moments(panel, found.lags, instruments or Instruments(found.lags + 1))
    used = np.flatnonzero(sums.rows)
    dice = np.random.default_rng(seed)
    drawn, explosive = [], 0
    for _ in range(draws):
        weights = np.bincount(dice.choice(used, len(used)), minlength=len(sums.rows)).astype(float)
        try:
            one = solve(sums, weights, found.steps)
            path = impulse_responses(one.phi.T, one.sigma, horizon) * scale[None, :, None]
        except (BadInput, np.linalg.LinAlgError):  # counted: these draws had too few different markets for an answer
            continue
        explosive += moduli(one.phi.T)[0] >= 1
        drawn.append(path)
    if len(drawn) < draws / 2:
        raise BadInput(
            f"of {counted(draws, 'sample')} of {counted(len(used), 'market')} only {len(drawn)} gave an answer: no band can be "
            "drawn; take more markets, fewer lags, or --draws 0"
        )
    tails = (1 - level) / 2
    low, high = np.quantile(np.stack(drawn), [tails, 1 - tails], axis=0)
    middle = impulse_responses(found.coefficients, found.sigma, horizon)
    return Responses(middle, low, high, level, draws, explosive, draws - len(drawn))
