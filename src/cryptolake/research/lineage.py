"""What each market-day of a release rests on, in digests: by them a later release tells why a figure is another one. Pure.

What does not belong here: comparing two releases (release_diff) and the answers themselves (bronze).
"""

from __future__ import annotations

import hashlib

import polars as pl

LENGTH = 16  # hexadecimal digits that are kept of a digest: enough to tell two of the same day apart
_NONE = hashlib.sha256(b"").hexdigest()[:LENGTH]
_PRICED = {
    "tvl": ("asset", "price", "price_source", "price_flag", "own_price"),
    "liquidations": ("tx", "log_index", "debt_price", "collateral_price", "price_source", "price_flag"),
}
COLUMNS = pl.Schema(
    {
        "dataset": pl.String(),
        "csu": pl.String(),
        "date": pl.Date(),
        "answers": pl.String(),  # of which answers silver was made; null: of none
        "content": pl.String(),  # what they were read as, without values in USD
        "prices": pl.String(),  # at which prices it was valued
        "state": pl.String(),  # what ledger and silver say together, why, and how far it is borne out
        "reason": pl.String(),
        "grade": pl.String(),
    }
)


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
