"""From the daily panel to a panel VAR with impulse responses, by existing libraries, in five steps.

    python examples/panel_var.py data/gold/daily_panel.parquet      # your own panel
    python examples/panel_var.py                                    # a synthetic one whose true answer is known

Needs the extra `research` (part of `make demo` and `make test`). The estimator is least squares with market effects, one
equation at a time (linearmodels); its bias falls with the number of days, so it wants long panels. The impulse responses
are statsmodels'. Variables: growth of TVL, then ln(1 + liquidations); a shock to the second moves the first a day later.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from linearmodels.panel import PanelOLS
from statsmodels.tsa.vector_ar.var_model import VARProcess

from cryptolake.research.frames import panel_index
from cryptolake.research.transforms import Recipe, prepare

LAGS, HORIZON = 1, 10
TRUE = np.array(
    [[0.30, -0.010], [-4.00, 0.50]]
)  # of the synthetic panel: today's (growth, liquidations) on yesterday's
TRUE_SD = (0.02, 0.8)


def synthetic_panel(markets: int = 12, days: int = 400, seed: int = 1) -> pl.DataFrame:
    """A panel drawn from a known VAR. Synthetic: for trying the steps and checking the estimator, never data."""
    dice = np.random.default_rng(seed)
    rows = []
    for number in range(markets):
        level, state, mean = 15.0 + number / 4, np.zeros(2), np.array([0.0, 9.0 + number / 10])
        for day in range(days):
            state = TRUE @ state + dice.normal(size=2) * TRUE_SD
            level += state[0]
            liquidations = float(np.expm1(mean[1] + state[1]))
            rows.append(
                (
                    f"synthetic_{number:02d}",
                    date(2024, 1, 1) + timedelta(days=day),
                    float(np.expm1(level)),
                    liquidations,
                )
            )
    return pl.DataFrame(rows, schema=["csu", "date", "total_tvl_usd", "liquidations_usd"], orient="row")


def variables(panel: pl.DataFrame) -> pd.DataFrame:
    """Step 1 and 2: the complete rectangle, logs and differences by cryptolake; index (csu, date) for linearmodels."""
    recipe = Recipe(("total_tvl_usd", "liquidations_usd"), balance="longest", log=True, diff=True)
    prepared = prepare(panel, recipe)
    for step in prepared.steps:
        print(f"  {step}")
    frame = prepared.frame.rename({"total_tvl_usd_log_d": "growth", "liquidations_usd_log": "liquidations"})
    return panel_index(frame, ["growth", "liquidations"]).dropna()


def estimate(data: pd.DataFrame, lags: int = LAGS) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Step 3: each equation by PanelOLS with market effects; coefficients (lags, k, k), covariance, standard errors."""
    names = list(data.columns)
    lagged = pd.concat(
        {
            f"{name}_lag{lag}": data.groupby(level="csu")[name].shift(lag)
            for lag in range(1, lags + 1)
            for name in names
        },
        axis=1,
    )
    sample = data.join(lagged).dropna()
    coefficients, residuals, errors = np.zeros((lags, len(names), len(names))), {}, {}
    for row, name in enumerate(names):
        fit = PanelOLS(sample[name], sample[list(lagged.columns)], entity_effects=True).fit(
            cov_type="clustered", cluster_entity=True
        )
        for lag in range(lags):
            coefficients[lag, row] = [fit.params[f"{other}_lag{lag + 1}"] for other in names]
        residuals[name], errors[name] = fit.resids, fit.std_errors
    covariance = np.cov(np.column_stack([residuals[name] for name in names]), rowvar=False)
    return coefficients, covariance, pd.DataFrame(errors)


def responses(coefficients: np.ndarray, covariance: np.ndarray, horizon: int = HORIZON) -> np.ndarray:
    """Step 4: orthogonalised impulse responses [day, responding, shocked], shocks of one standard deviation."""
    size = coefficients.shape[1]
    process = VARProcess(coefficients, np.zeros((size, 1)), covariance)
    if not process.is_stable():
        print("  the estimated system is not stable: difference more, or look at the outliers")
    return np.asarray(process.orth_ma_rep(maxn=horizon))


def main(arguments: list[str]) -> np.ndarray:
    """Step 5: print what was found."""
    if arguments:
        panel = pl.read_parquet(Path(arguments[0]))
        print(f"Panel {arguments[0]}: {panel['csu'].n_unique()} markets, {panel['date'].n_unique()} days")
    else:
        panel = synthetic_panel()
        print("SYNTHETIC panel, drawn from a known VAR: no market data")
    data = variables(panel)
    days = data.index.get_level_values("date").nunique()
    if days < 30:
        sys.exit(f"only {days} complete days: a panel VAR with market effects needs many more; collect a longer span")
    coefficients, covariance, errors = estimate(data)
    print("Coefficients (rows: equation, columns: variable a day before)")
    print(pd.DataFrame(coefficients[0], data.columns, data.columns).round(4).to_string())
    print("Standard errors, clustered by market")
    print(errors.T.round(4).to_string())
    found = responses(coefficients, covariance)
    print("Response of growth to one standard deviation more liquidations, day by day")
    print("  " + "  ".join(f"{value:+.5f}" for value in found[:, 0, 1]))
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
