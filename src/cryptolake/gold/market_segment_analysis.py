"""Gold table `market_segment_analysis`: large, mid and small caps compared. No I/O."""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.table import Field, Table

SEGMENTS = ("large_cap", "mid_cap", "small_cap")
SENTIMENTS = ("bullish", "bearish", "neutral")

INPUTS = ("staging_crypto_market",)
TABLE = Table(
    name="market_segment_analysis",
    layer="gold",
    grain="one market cap segment, unranked coins left out",
    key=("segment",),
    fields=(
        Field("segment", "text", "segment by rank: to 10, to 50, beyond", sql="VARCHAR(20)", allowed=SEGMENTS),
        Field("crypto_count", "int32", "coins", minimum=1),
        Field("total_market_cap", "float64", "sum of the known ones", unit="USD", null=True, sql="NUMERIC"),
        Field("avg_price", "float64", "plain mean, 8 decimals", unit="USD", null=True, sql="NUMERIC"),
        Field("avg_price_change_24h", "float64", "plain mean, 2 decimals", unit="%", null=True, sql="NUMERIC"),
        Field("avg_volatility", "float64", "mean price_volatility_24h, 2 decimals", unit="%", null=True, sql="NUMERIC"),
        Field("avg_liquidity_ratio", "float64", "mean volume_to_mcap_ratio, 4 decimals", null=True, sql="NUMERIC"),
        Field("total_volume", "float64", "sum of the known ones", unit="USD", null=True, sql="NUMERIC"),
        Field("best_rank", "int32", "smallest rank", minimum=1),
        Field("worst_rank", "int32", "largest rank", minimum=1),
        Field(
            "segment_sentiment",
            "text",
            "sign of the mean price change: bullish, bearish, neutral; null when no change is known",
            null=True,
            allowed=SENTIMENTS,
        ),
        Field("analyzed_at", "timestamp", "instant of the run behind these numbers", unit="UTC"),
    ),
    doc="Market cap segments of the loaded coins.",
    methodology="Means and sums run over the coins whose value is known; a segment in which none is known has null, not 0.",
    publish_as="gold/market_segment_analysis.parquet",
    enforced=True,
    named_indexes=(("idx_segment_sentiment", "segment_sentiment"),),
)


def build(staging: pl.DataFrame) -> pl.DataFrame:
    """One row per segment that has coins: large, mid, small. The sentiment is the sign of the unrounded mean change."""

    def known_sum(name: str) -> pl.Expr:
        return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).alias(f"_{name}")

    change = pl.col("price_change_percentage_24h").mean()
    frame = (
        staging.filter(pl.col("market_cap_category") != "unranked")
        .sort("id")
        .group_by(pl.col("market_cap_category").alias("segment"), maintain_order=True)
        .agg(
            pl.len().alias("crypto_count"),
            known_sum("market_cap").alias("total_market_cap"),
            pl.col("current_price").mean().round(8).alias("avg_price"),
            change.round(2).alias("avg_price_change_24h"),
            pl.col("price_volatility_24h").mean().round(2).alias("avg_volatility"),
            pl.col("volume_to_mcap_ratio").mean().round(4).alias("avg_liquidity_ratio"),
            known_sum("total_volume").alias("total_volume"),
            pl.col("market_cap_rank").min().alias("best_rank"),
            pl.col("market_cap_rank").max().alias("worst_rank"),
            pl.when(change > 0)
            .then(pl.lit("bullish"))
            .when(change < 0)
            .then(pl.lit("bearish"))
            .when(change == 0)
            .then(pl.lit("neutral"))
            .alias("segment_sentiment"),
            pl.col("processed_at").max().alias("analyzed_at"),
        )
    )
    return (
        frame.select(TABLE.columns)
        .cast(TABLE.polars_schema())
        .sort(pl.col("segment").replace_strict(SEGMENTS, [0, 1, 2], return_dtype=pl.Int8))
    )
