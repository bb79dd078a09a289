"""The rules that hold the panel against ledger and silver: no number without the answers it claims. Pure.

What does not belong here: comparing ledger and silver (`work.evidence`); its findings come in with the tables.
"""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.figures import other
from cryptolake.quality.rules import FinishedTables, said

_KEY = ("csu", "date")
NUMBERS = ("ok", "missing_price", "suspect")
"""The states of market-days that have figures."""


def answers_missing(t: FinishedTables) -> pl.DataFrame:
    """Market-days that the ledger calls answered and that silver cannot vouch for."""
    return said(t.lacking, pl.col("dataset") + "/" + pl.col("csu"), pl.col("reason"))


def unsupported(t: FinishedTables) -> pl.DataFrame:
    """Rows of the panel that have a number and are not what ledger and silver give now."""
    return _differing(t, has_number=True)


def behind(t: FinishedTables) -> pl.DataFrame:
    """Rows that the panel lacks, or that have no number in it, and would be others if it were built now."""
    return _differing(t, has_number=False)


def differing(stored: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """The rows of two panels that differ, or that one of them lacks.

    Columns: csu, date, `has_number` (whether the stored row states one), `columns` (the names of those that differ).
    """
    both = stored.with_columns(pl.lit(True).alias("is_stored")).join(
        now.with_columns(pl.lit(True).alias("is_now")), on=list(_KEY), how="full", coalesce=True, suffix="_now"
    )
    terms = []
    for name, dtype in stored.schema.items():
        if name in _KEY:
            continue
        here, there = pl.col(name), pl.col(f"{name}_now")
        differs = other(here, there) if dtype.is_float() else here.ne_missing(there)
        terms.append(pl.when(differs).then(pl.lit(name)))
    number = pl.any_horizontal(pl.col("status", "liquidations_status").is_in(NUMBERS))
    return both.select(
        *_KEY,
        number.fill_null(False).alias("has_number"),
        pl.when(pl.col("is_now").is_null())
        .then(pl.lit("the row itself"))
        .when(pl.col("is_stored").is_null())
        .then(pl.lit("all, there is no row yet"))
        .otherwise(pl.concat_list(terms).list.drop_nulls().list.join(", "))
        .alias("columns"),
    ).filter(pl.col("columns") != "")


def _differing(t: FinishedTables, *, has_number: bool) -> pl.DataFrame:
    bad = differing(t.panel, t.now).filter(pl.col("has_number") == has_number)
    return said(bad, pl.col("csu"), pl.lit("run `cryptolake build`; differs in ") + pl.col("columns"))
