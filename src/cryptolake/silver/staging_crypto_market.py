"""Silver table `staging_crypto_market`: the coins now. No I/O.

What does not belong here: asking the vendor (its source) and aggregates over coins (gold).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
import polars as pl

from cryptolake.contracts.coin_fields import COIN_FIELDS, VENDOR_FIELDS
from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Table
from cryptolake.silver.crypto_market_global import TABLE as GLOBAL

INPUTS = ()
TABLE = Table(
    name="staging_crypto_market",
    layer="silver",
    grain="one coin, as of the last loaded run",
    key=("id",),
    fields=COIN_FIELDS,
    doc="The coins now: cleaned vendor rows with derived columns.",
    methodology="Every derived column is null where one of its inputs is unknown or its divisor is 0; 0 always means zero. "
    "A coin seen on two pages of a run counts once, with its newest row.",
    enforced=True,
    named_indexes=(
        ("idx_market_cap_rank", "market_cap_rank"),
        ("idx_market_cap_category", "market_cap_category"),
        ("idx_processed_at", "processed_at"),
    ),
)

_HASHED = (*(f.name for f in VENDOR_FIELDS if f.name != "last_updated"), "fully_diluted_valuation")


@dataclass(frozen=True, slots=True)
class ConformedRun:
    """One run, conformed. `repeated` counts rows left out because their coin was there already (page drift)."""

    staging: pl.DataFrame
    totals: pl.DataFrame
    repeated: int


def conform(rows: Sequence[Row], totals: Sequence[Row], *, top: int, processed_at: datetime) -> ConformedRun:
    """The vendor's rows of one run as `staging_crypto_market`: one row per coin, the `top` by rank, derived columns added.

    `totals` is the run's row of the whole market, or nothing when that was not answered. Depends on the rows only.
    """
    names = [*(f.name for f in VENDOR_FIELDS), "fully_diluted_valuation"]
    schema = {name: TABLE.polars_schema()[name] for name in names}
    whole = pl.DataFrame([{**row, "processed_at": processed_at} for row in totals], schema=GLOBAL.polars_schema())
    every = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        _clean("symbol").str.to_uppercase(), _clean("name"), _clean("id")
    )
    once = (
        every.with_row_index("_order")
        .sort("last_updated", "_order", nulls_last=False)
        .unique(subset="id", keep="last", maintain_order=True)
        .sort(["market_cap_rank", "market_cap", "id"], descending=[False, True, False], nulls_last=True)
        .head(top)
        .sort("id")
        .drop("_order")
    )
    frame = once.with_columns(
        pl.lit(processed_at).cast(pl.Datetime("us", "UTC")).alias("processed_at"),
        pl.Series("record_hash", [record_hash(row) for row in once.select(_HASHED).iter_rows()], dtype=pl.Int64),
    ).with_columns(*derived(whole["total_market_cap"][0] if whole.height else None))
    staging = frame.with_columns(_trend(), _liquid()).select(TABLE.columns)
    return ConformedRun(staging, whole, every.height - every["id"].n_unique())


def record_hash(values: tuple[object, ...]) -> int:
    """A signed 64-bit digest of a row's values, the same in every process and version: SHA-256 over their JSON text."""
    return int.from_bytes(hashlib.sha256(orjson.dumps(values)).digest()[:8], "big", signed=True)


def derived(global_market_cap: float | None) -> list[pl.Expr]:
    """The derived columns that need only vendor columns; null where an input is unknown or a divisor is not positive."""
    price, cap, rank = pl.col("current_price"), pl.col("market_cap"), pl.col("market_cap_rank")
    known_cap = pl.when(cap > 0).then(cap)  # the vendor writes 0 where it knows no supply
    return [
        pl.when(rank.is_null())
        .then(pl.lit("unranked"))
        .when(rank <= 10)
        .then(pl.lit("large_cap"))
        .when(rank <= 50)
        .then(pl.lit("mid_cap"))
        .otherwise(pl.lit("small_cap"))
        .alias("market_cap_category"),
        _ratio(pl.col("high_24h") - pl.col("low_24h"), price, 100).alias("price_volatility_24h"),
        _ratio(price - pl.col("ath"), pl.col("ath"), 100).alias("distance_from_ath_pct"),
        _ratio(pl.col("total_volume"), cap, 1).alias("volume_to_mcap_ratio"),
        _ratio(known_cap, cap.sum(), 100).alias("market_dominance_pct"),
        _ratio(known_cap, pl.lit(global_market_cap, dtype=pl.Float64), 100).alias("market_dominance_global_pct"),
    ]


def _ratio(part: pl.Expr, whole: pl.Expr, factor: float) -> pl.Expr:
    """part / whole x factor; null when unknown, when the divisor is not positive or the result no finite float."""
    found = part / whole * factor
    return pl.when((whole > 0) & found.is_finite()).then(found)


def _trend() -> pl.Expr:
    change = pl.col("price_change_percentage_24h")
    return (
        pl.when(change > 10)
        .then(pl.lit("strong_gain"))
        .when(change > 0)
        .then(pl.lit("moderate_gain"))
        .when(change > -10)
        .then(pl.lit("moderate_loss"))
        .when(change.is_not_null())
        .then(pl.lit("strong_loss"))
        .alias("price_trend_category")
    )


def _liquid() -> pl.Expr:
    ratio = pl.col("volume_to_mcap_ratio")
    return (
        pl.when(ratio > 0.5)
        .then(pl.lit("high_liquidity"))
        .when(ratio > 0.1)
        .then(pl.lit("medium_liquidity"))
        .when(ratio.is_not_null())
        .then(pl.lit("low_liquidity"))
        .alias("liquidity_category")
    )


def _clean(name: str) -> pl.Expr:
    """Text without surrounding white space and without NUL, which PostgreSQL cannot store."""
    return pl.col(name).str.replace_all("\0", "", literal=True).str.strip_chars()
