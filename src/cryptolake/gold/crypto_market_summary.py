"""Gold table `crypto_market_summary`: all loaded coins in one row. No I/O."""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.table import Field, Table

INPUTS = ("staging_crypto_market", "crypto_market_global")
TABLE = Table(
    name="crypto_market_summary",
    layer="gold",
    grain="the loaded coins (exactly one row)",
    key=(),
    fields=(
        Field("total_cryptocurrencies", "int32", "loaded coins", minimum=1),
        Field("total_market_cap", "float64", "sum of the known ones", unit="USD", null=True, sql="NUMERIC"),
        Field("avg_price_change_24h", "float64", "plain mean, 2 decimals", unit="%", null=True, sql="NUMERIC"),
        Field("gainers", "int32", "coins whose price rose in 24 hours", minimum=0),
        Field("losers", "int32", "coins whose price fell in 24 hours", minimum=0),
        Field("last_updated", "timestamp", "newest vendor refresh among the coins", unit="UTC", null=True),
        Field("unchanged", "int32", "coins whose price did not move", minimum=0),
        Field("change_unknown", "int32", "coins without a 24-hour change", minimum=0),
        Field("global_market_cap", "float64", "the whole market, as the vendor says", "USD", null=True, sql="NUMERIC"),
        Field(
            "loaded_share_pct", "float64", "loaded capitalisation / the whole market's", "%", null=True, sql="NUMERIC"
        ),
        Field("processed_at", "timestamp", "instant of the run behind this row", unit="UTC"),
    ),
    doc="The loaded coins in one row.",
    methodology="gainers + losers + unchanged + change_unknown = total_cryptocurrencies.",
    publish_as="gold/crypto_market_summary.parquet",
    enforced=True,
)


def build(staging: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    """One row; none when nothing is loaded. `totals` is the run's row of `crypto_market_global`, or empty."""
    if not staging.height:
        return TABLE.empty()
    change, cap = pl.col("price_change_percentage_24h"), pl.col("market_cap")
    whole = totals["total_market_cap"][0] if totals.height else None
    frame = staging.sort("id").select(
        pl.len().alias("total_cryptocurrencies"),
        pl.when(cap.is_not_null().any()).then(cap.sum()).alias("total_market_cap"),
        change.mean().round(2).alias("avg_price_change_24h"),
        (change > 0).sum().alias("gainers"),
        (change < 0).sum().alias("losers"),
        pl.col("last_updated").max(),
        (change == 0).sum().alias("unchanged"),
        change.is_null().sum().alias("change_unknown"),
        pl.lit(whole, dtype=pl.Float64).alias("global_market_cap"),
        pl.col("processed_at").max(),
    )
    part = pl.col("total_market_cap") / pl.col("global_market_cap") * 100
    frame = frame.with_columns(pl.when(pl.col("global_market_cap") > 0).then(part).alias("loaded_share_pct"))
    return frame.select(TABLE.columns).cast(TABLE.polars_schema())
