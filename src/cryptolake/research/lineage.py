"""What each market-day of a release rests on, in digests: by them a later release tells why a figure is another one. Pure.

What does not belong here: comparing two releases (release_diff) and the answers themselves (bronze).
"""

from __future__ import annotations

import hashlib

import polars as pl

from cryptolake.contracts.table import Field, Table

LENGTH = 16  # hexadecimal digits that are kept of a digest: enough to tell two of the same day apart
_NONE = hashlib.sha256(b"").hexdigest()[:LENGTH]
_PRICED = {
    "tvl": ("asset", "price", "price_source", "price_flag", "own_price"),
    "liquidations": ("tx", "log_index", "debt_price", "collateral_price", "price_source", "price_flag"),
}
TABLE = Table(
    name="lineage",
    layer="gold",
    grain="one dataset of one market on one day of the release",
    key=("dataset", "csu", "date"),
    fields=(
        Field("dataset", "text", "tvl or liquidations"),
        Field("csu", "text", "market"),
        Field("date", "date", "day"),
        Field("answers", "text", "of which answers silver was made, start of their digest; null: of none", null=True),
        Field("content", "text", "what they were read as, without values in USD, start of its digest", null=True),
        Field("prices", "text", "at which prices that was valued, start of their digest"),
        Field("state", "text", "what ledger and silver say of it together"),
        Field("reason", "text", "why, a code", null=True),
        Field("grade", "text", "how far the answers are borne out", null=True),
    ),
    doc="What each market-day of a release rests on, in digests: by them a later release tells why a figure is another one.",
    methodology="Digests are SHA-256 over sorted rows as text; 16 hexadecimal digits of each are kept.",
)
COLUMNS = TABLE.polars_schema()


def lineage(
    evidence: pl.DataFrame, recorded: pl.DataFrame, tvl: pl.DataFrame, liquidations: pl.DataFrame
) -> pl.DataFrame:
    """One row (`COLUMNS`) per dataset, market and day of `evidence` (dataset, csu, date, state, reason, grade).

    `recorded` is the silver table `refined`, `tvl` and `liquidations` the silver rows; other market-days in them are left out.
    """
    prices = pl.concat([_prices("tvl", tvl), _prices("liquidations", liquidations)])
    key = ["dataset", "csu", "date"]
    made = recorded.select(*key, *(pl.col(name).str.slice(0, LENGTH) for name in ("answers", "content")))
    return (
        evidence.select(*key, "state", "reason", "grade")
        .join(made, on=key, how="left")
        .join(prices, on=key, how="left")
        .with_columns(pl.col("prices").fill_null(_NONE))
        .select(COLUMNS.names())
        .cast(COLUMNS)
        .sort(key)
    )


def _prices(dataset: str, frame: pl.DataFrame) -> pl.DataFrame:
    line = pl.concat_str([pl.col(name).cast(pl.String).fill_null("") for name in _PRICED[dataset]], separator="\t")
    grouped = frame.select("csu", "date", line.alias("line")).group_by("csu", "date").agg(pl.col("line").sort())
    digests = [hashlib.sha256("\n".join(lines).encode()).hexdigest()[:LENGTH] for lines in grouped["line"]]
    made = grouped.with_columns(pl.Series("prices", digests, dtype=pl.String), pl.lit(dataset).alias("dataset"))
    return made.select("dataset", "csu", "date", "prices")
