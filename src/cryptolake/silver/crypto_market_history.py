"""Silver table `crypto_market_history`: every loaded run of coins. No I/O."""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.coin_fields import COIN_FIELDS
from cryptolake.contracts.table import Table

_COLUMNS = (
    "id",
    "processed_at",
    "symbol",
    "current_price",
    "market_cap",
    "market_cap_rank",
    "fully_diluted_valuation",
    "total_volume",
    "price_change_percentage_24h",
    "circulating_supply",
    "total_supply",
    "max_supply",
    "market_dominance_global_pct",
    "last_updated",
    "record_hash",
)
_BY_NAME = {field.name: field for field in COIN_FIELDS}

INPUTS = ("staging_crypto_market",)
TABLE = Table(
    name="crypto_market_history",
    layer="silver",
    grain="one coin in one run",
    key=("id", "processed_at"),
    fields=tuple(_BY_NAME[name] for name in _COLUMNS),
    doc="Every loaded run of coins, partitioned by month.",
    methodology="Loading a run again changes nothing. Equal `record_hash` of one coin in two runs: the vendor's columns were "
    "the same.",
    enforced=True,
    named_indexes=(("idx_market_history_processed_at", "processed_at"),),
    monthly="processed_at",
    in_lake=False,
    load="update",
)


def build(staging: pl.DataFrame) -> pl.DataFrame:
    """The rows a run adds."""
    return staging.select(_COLUMNS)
