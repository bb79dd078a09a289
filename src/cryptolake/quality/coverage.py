"""Coverage: which market-days of which dataset are answered, and if not, why. Pure."""

from __future__ import annotations

from datetime import date

import polars as pl

from cryptolake.quality.supported import NUMBERS

_SIDES = (("tvl", "status"), ("liquidations", "liquidations_status"))


def coverage(panel: pl.DataFrame) -> pl.DataFrame:
    """One row per dataset, market and reason: days; from the balanced panel, so nothing expected is left out."""
    pieces = [
        panel.group_by(pl.lit(dataset).alias("dataset"), "csu", pl.col(column).alias("status")).len("days")
        for dataset, column in _SIDES
    ]
    return pl.concat(pieces).sort("dataset", "csu", "status")


def shares(panel: pl.DataFrame) -> list[tuple[str, int, int, int, float]]:
    """Per dataset: market-days expected, answered (whatever speaks against the answer), ok, and the share that is ok.

    Ok are those that an export and its balance count (`gold.daily_panel.figures`).
    """
    rows = []
    for dataset, column in _SIDES:
        count = int(panel[column].is_in(NUMBERS).sum())
        ok = int((panel[column] == "ok").sum())
        rows.append((dataset, panel.height, count, ok, ok / panel.height if panel.height else 0.0))
    return rows


def grid(panel: pl.DataFrame, dataset: str) -> tuple[list[date], dict[str, list[str]]]:
    """The days, and each market's codes in their order: what a heat map draws."""
    column = dict(_SIDES)[dataset]
    frame = panel.sort("csu", "date")
    days: list[date] = frame["date"].unique().sort().to_list()
    parts = frame.partition_by("csu", as_dict=True, maintain_order=True)
    return days, {str(csu): rows[column].to_list() for (csu,), rows in parts.items()}
