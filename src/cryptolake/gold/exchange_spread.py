"""Gold table `exchange_spread`: one pair compared across exchanges within an hour. No I/O."""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.coin_fields import number
from cryptolake.contracts.table import Field, Table

INPUTS = ("exchange_tickers",)
TABLE = Table(
    name="exchange_spread",
    layer="gold",
    grain="one pair in one hour, over the exchanges that quote it",
    key=("symbol", "hour"),
    fields=(
        Field("symbol", "text", "pair as BASE/QUOTE; only equal quote currencies are compared"),
        Field("hour", "timestamp", "the UTC hour of the askings", unit="UTC"),
        Field("exchanges", "int32", "exchanges compared", minimum=2),
        Field("best_bid", "float64", "highest offer to buy", unit="quote", sql="NUMERIC", minimum=0),
        Field("best_bid_exchange", "text", "where (the first by name where several are equal)"),
        Field("best_ask", "float64", "lowest offer to sell", unit="quote", sql="NUMERIC", minimum=0),
        Field("best_ask_exchange", "text", "where (the first by name where several are equal)"),
        number("crossing_pct", "(best bid - best ask) / middle; above 0 the books cross, before fees", "%"),
        number("mid_dispersion_pct", "(highest middle - lowest middle) / lowest middle", "%", 0),
        Field("asked_apart_s", "float64", "seconds between the first and the last asking", unit="s", minimum=0),
    ),
    doc="Cross-exchange spreads.",
    methodology="Quotes without both sides are left out, as is a pair that fewer than two exchanges quote. Quotes of one hour "
    "are seconds apart (`asked_apart_s`), so a small crossing can be time, not money.",
    publish_as="gold/exchange_spread.parquet",
    enforced=True,
    in_lake=False,
    load="update",
)


def build(tickers: pl.DataFrame) -> pl.DataFrame:
    """Compare each exchange's newest two-sided quote of the hour. Depends on the rows only, not on their order."""
    middle = (pl.col("bid") + pl.col("ask")) / 2
    quotes = (
        tickers.filter((pl.col("bid") > 0) & (pl.col("ask") > 0))
        .sort("symbol", "hour", "exchange", "observed_at")
        .unique(["symbol", "hour", "exchange"], keep="last", maintain_order=True)
        .with_columns(middle.alias("middle"))
    )
    best_bid, best_ask = pl.col("bid").max(), pl.col("ask").min()
    frame = (
        quotes.group_by("symbol", "hour", maintain_order=True)
        .agg(
            pl.len().alias("exchanges"),
            best_bid.alias("best_bid"),
            pl.col("exchange").sort_by("bid", descending=True, maintain_order=True).first().alias("best_bid_exchange"),
            best_ask.alias("best_ask"),
            pl.col("exchange").sort_by("ask", maintain_order=True).first().alias("best_ask_exchange"),
            ((best_bid - best_ask) / ((best_bid + best_ask) / 2) * 100).alias("crossing_pct"),
            ((pl.col("middle").max() / pl.col("middle").min() - 1) * 100).alias("mid_dispersion_pct"),
            ((pl.col("observed_at").max() - pl.col("observed_at").min()).dt.total_microseconds() / 1e6).alias(
                "asked_apart_s"
            ),
        )
        .filter(pl.col("exchanges") >= 2)
    )
    return frame.select(TABLE.columns).cast(TABLE.polars_schema()).sort(TABLE.key)
