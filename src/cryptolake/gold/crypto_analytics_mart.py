"""Gold table `crypto_analytics_mart`: the fifty largest coins, one wide row each. No I/O."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from cryptolake.contracts.coin_fields import COIN_FIELDS
from cryptolake.contracts.table import Table

TOP_RANK = 50

_COLUMNS = (
    "id",
    "symbol",
    "name",
    "current_price",
    "market_cap",
    "market_cap_rank",
    "market_dominance_pct",
    "total_volume",
    "price_change_percentage_24h",
    "price_trend_category",
    "market_cap_category",
    "price_volatility_24h",
    "distance_from_ath_pct",
    "volume_to_mcap_ratio",
    "liquidity_category",
    "circulating_supply",
    "max_supply",
    "ath",
    "ath_date",
    "last_updated",
    "processed_at",
    "market_dominance_global_pct",
)
_FIELDS = {field.name: field for field in COIN_FIELDS}

INPUTS = ("staging_crypto_market",)
TABLE = Table(
    name="crypto_analytics_mart",
    layer="gold",
    grain=f"one coin of rank {TOP_RANK} or better",
    key=("id",),
    fields=tuple(
        replace(_FIELDS[name], null=False) if name in {"market_cap", "market_cap_rank"} else _FIELDS[name]
        for name in _COLUMNS
    ),
    doc="The largest coins with everything a dashboard asks, so that no query needs a join.",
    methodology="`market_dominance_pct` is the share of all loaded coins, `market_dominance_global_pct` of the whole market.",
    publish_as="gold/crypto_analytics_mart.parquet",
    enforced=True,
    named_indexes=(
        ("idx_mart_rank", "market_cap_rank"),
        ("idx_mart_price_trend", "price_trend_category"),
        ("idx_mart_liquidity", "liquidity_category"),
        ("idx_mart_dominance", "market_dominance_pct DESC"),
    ),
)


def build(staging: pl.DataFrame) -> pl.DataFrame:
    """The rows of rank 50 or better with a market capitalisation, by rank (ties by id)."""
    chosen = staging.filter((pl.col("market_cap_rank") <= TOP_RANK) & pl.col("market_cap").is_not_null())
    return chosen.select(_COLUMNS).sort("market_cap_rank", "id")
