"""The synthetic panel of the econometric tests: drawn, not collected. Run this file to write it anew (same bytes).

Twelve markets over 150 days from 2024 on, common shocks, random walks and stationary ones mixed; two came late.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

FIXTURES = Path(__file__).with_name("fixtures")
PANEL = FIXTURES / "synthetic_panel.csv"


def synthetic_panel(markets: int = 12, days: int = 150, seed: int = 17) -> pl.DataFrame:
    """Columns csu, date, total_tvl_usd, total_borrowed_usd; whole cents, so that text holds the same numbers."""
    dice = np.random.default_rng(seed)
    common = dice.normal(0, 0.02, days)
    rows = []
    for number in range(markets):
        log_level = start = 14 + number / 3
        pull = 0.0 if number % 3 else 0.15
        share = 0.45
        for day in range(days):
            shock = dice.normal(0, 0.015)
            log_level += (0.4 + number / 12) * common[day] + shock - pull * (log_level - start)
            share += 0.2 * (0.45 - share) + 0.5 * shock + dice.normal(0, 0.01)
            if number >= markets - 2 and day < 20 + number:
                continue
            tvl = round(float(np.exp(log_level)), 2)
            rows.append((f"synthetic_{number:02d}", date(2024, 1, 1) + timedelta(days=day), tvl, round(tvl * share, 2)))
    return pl.DataFrame(rows, schema=["csu", "date", "total_tvl_usd", "total_borrowed_usd"], orient="row")


if __name__ == "__main__":
    synthetic_panel().write_csv(PANEL)
