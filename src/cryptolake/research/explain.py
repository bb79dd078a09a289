"""Reading another's figures from a file and explaining ours against them. What does not belong here: the splitting itself.

TVL file (CSV): usd, and optionally token, amount, csu, date. Rows with a token break the total down; a row without one is
the total. Liquidations file: usd, and optionally tx, log_index, amount, csu, date; without tx it is a total.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from cryptolake.errors import BadInput
from cryptolake.quality.compare import Event, Explanation, Holding, explain_liquidations, explain_tvl
from cryptolake.quality.reconcile import net_by_symbol


def read_figures(path: Path, csu: str, day: date) -> pl.DataFrame:
    """The file's rows of this market and day (columns csu and date, where it has them). Raises BadInput."""
    try:
        frame = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInput(
            f"{path}: not readable as CSV ({str(error).splitlines()[0]}); give a CSV file with a column usd"
        ) from None
    if "usd" not in frame.columns:
        raise BadInput(f"{path}: no column 'usd'; see `cryptolake explain --help` for the columns")
    if "csu" in frame.columns:
        frame = frame.filter(pl.col("csu") == csu)
    if "date" in frame.columns:
        frame = frame.filter(pl.col("date").str.slice(0, 10) == day.isoformat())
    if frame.is_empty():
        raise BadInput(f"{path}: no row for {csu} on {day}; look at its columns csu and date")
    numbers = [name for name in ("usd", "amount", "log_index") if name in frame.columns]
    try:
        return frame.with_columns(pl.col(name).cast(pl.Float64) for name in numbers)
    except pl.exceptions.PolarsError:
        raise BadInput(f"{path}: usd, amount and log_index must be numbers; correct the file") from None


def tvl_against_file(tvl: pl.DataFrame, around: pl.DataFrame, figures: pl.DataFrame) -> Explanation:
    """Our net TVL of one market-day (silver rows, and those of the days around) against a file's figures."""
    gross = float((tvl["supplied_usd"].fill_null(0.0) + tvl["collateral_usd"].fill_null(0.0)).sum())
    tokens: dict[str, Holding] | None = None
    totals = figures
    if "token" in figures.columns:
        named = figures.filter(pl.col("token").fill_null("") != "")
        totals = figures.filter(pl.col("token").fill_null("") == "")
        tokens = {
            str(row["token"]).upper(): Holding(float(row["usd"]), row.get("amount"))
            for row in named.iter_rows(named=True)
        } or None
    total = float(totals["usd"].sum()) if totals.height else sum(one.usd for one in (tokens or {}).values())
    return explain_tvl(net_by_symbol(tvl, around), gross, total, tokens)


def liquidations_against_file(events: pl.DataFrame, figures: pl.DataFrame) -> Explanation:
    """Our liquidations of one market-day (silver rows) against a file's events, or its total."""
    ours = [
        Event(f"{row['tx']}:{row['log_index']}", float(row["debt_usd"] or 0.0), float(row["debt_amount"]))
        for row in events.iter_rows(named=True)
    ]
    seized = float(events["collateral_usd"].fill_null(0.0).sum())
    if "tx" not in figures.columns:
        return explain_liquidations(ours, [], seized, float(figures["usd"].sum()))
    indexed = "log_index" in figures.columns
    by_tx: dict[str, list[str]] = {}
    for event in ours:
        by_tx.setdefault(event.key.split(":")[0].lower(), []).append(event.key)
    said = []
    for row in figures.iter_rows(named=True):
        tx = str(row["tx"]).lower()
        keys = by_tx.get(tx, [])
        # Without a log index the transaction's first event that is left is meant.
        key = f"{tx}:{int(row['log_index'])}" if indexed else (keys.pop(0) if keys else f"{tx}:")
        said.append(Event(key, float(row["usd"]), row.get("amount")))
    return explain_liquidations(ours, said, seized)
