"""Silver table `refined`: which answers a market's day in silver was made of, and what it held then. No I/O.

Written last, after the rows it vouches for: a kill in between leaves a day that nothing vouches for, never one that is
vouched for wrongly. What does not belong here: what the ledger knows, and comparing the two (`work.evidence`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import polars as pl

from cryptolake.contracts.table import Field, Table

# Why a day's answers gave no rows: the kept answer is not the recorded one, or the present reader cannot read it.
DAMAGED, UNREADABLE = "damaged", "unreadable"

INPUTS = ("tvl", "liquidations")
TABLE = Table(
    name="refined",
    layer="silver",
    grain="one dataset of one market on one day that was refined",
    key=("dataset", "csu", "date"),
    partition="date",
    fields=(
        Field("date", "date", "day, by the day boundary of the run"),
        Field("dataset", "text", "tvl or liquidations", allowed=("tvl", "liquidations")),
        Field("csu", "text", "market"),
        Field("answers", "text", "SHA-256 over period and digest of every answer that the day was made of"),
        Field("answer_rows", "int64", "rows that were read from those answers", minimum=0),
        Field("rows", "int64", "rows of the day in the silver table", minimum=0),
        Field("content", "text", "SHA-256 over those rows as the chain gave them, without their valuation"),
        Field(
            "reason", "text", "why it has no rows although it was answered", null=True, allowed=(DAMAGED, UNREADABLE)
        ),
    ),
    doc="What silver holds of each market's day, and which answers it was made of.",
    methodology="A figure is `ok` only where this table agrees with the ledger (same answers, same number of rows) and with "
    "the rows that are in silver now (same content).",
    in_postgres=False,
)

# What the chain said in a row: everything that its amounts follow from.
SAID = {
    "tvl": ("asset", "decimals", "block", "supplied_raw", "borrowed_raw", "cash_raw", "collateral_raw"),
    "liquidations": (
        *("chain", "tx", "log_index", "block"),
        *("debt_asset", "debt_amount_raw", "collateral_asset", "collateral_amount_raw"),
    ),
}

NOTHING = hashlib.sha256(b"").hexdigest()  # the content of a day without rows


def digest_of(answers: Iterable[tuple[str, str | None]]) -> str:
    """One digest for the answers of a day, given as period and digest; in any order."""
    lines = sorted(f"{period} {digest}" for period, digest in answers)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def contents(dataset: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Per market and day the number of rows and their content digest; `frame` has at least the columns of `SAID`.

    Columns: csu, date, rows, content. Prices do not count, so valuing anew changes nothing.
    """
    line = pl.concat_str([pl.col(name).cast(pl.String).fill_null("") for name in SAID[dataset]], separator=" ")
    grouped = (
        frame.select("csu", "date", line.alias("line"))
        .group_by("csu", "date")
        .agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("line").sort().str.join("\n"))
    )
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in grouped["line"]]
    return grouped.select("csu", "date", "rows", pl.Series("content", digests, dtype=pl.String))
