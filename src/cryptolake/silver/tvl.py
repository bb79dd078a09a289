"""Silver table `tvl`: one row per market, day and asset, scaled once and valued. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table

TVL = Table(
    name="tvl",
    layer="silver",
    grain="one asset of one market at the end of one day",
    key=("csu", "date", "asset"),
    fields=(
        Field("date", "date", "day of the snapshot, by the day boundary of the run"),
        Field("block", "int64", "snapshot block: the last one before the day's end", minimum=0),
        Field("block_hash", "text", "hash of that block"),
        Field("block_time", "timestamp", "timestamp of that block", unit="UTC"),
        Field("csu", "text", "market"),
        Field("chain", "text", "chain of the market"),
        Field("asset", "text", "token address, EIP-55"),
        Field("symbol", "text", "token symbol as the token says it"),
        Field("decimals", "int32", "decimal places of the token", minimum=0, maximum=255),
        Field("supplied", "float64", "deposits that lenders can claim, with interest", unit="tokens", minimum=0),
        Field("borrowed", "float64", "outstanding debt, with interest", unit="tokens", minimum=0),
        Field("cash", "float64", "underlying held and not lent", unit="tokens", minimum=0),
        Field("collateral", "float64", "pledged tokens that are not lent out", unit="tokens", minimum=0),
        Field("price", "float64", "price of one token at the snapshot block", unit="USD", null=True, minimum=0),
        Field("price_source", "text", "where the price comes from; null when there is none", null=True),
        Field("supplied_usd", "float64", "supplied x price", unit="USD", null=True, minimum=0),
        Field("borrowed_usd", "float64", "borrowed x price", unit="USD", null=True, minimum=0),
        Field("cash_usd", "float64", "cash x price", unit="USD", null=True, minimum=0),
        Field("collateral_usd", "float64", "collateral x price", unit="USD", null=True, minimum=0),
        Field("supplied_raw", "integer_text", "supplied, unscaled", unit="token units"),
        Field("borrowed_raw", "integer_text", "borrowed, unscaled", unit="token units"),
        Field("cash_raw", "integer_text", "cash, unscaled", unit="token units"),
        Field("collateral_raw", "integer_text", "collateral, unscaled", unit="token units"),
    ),
    doc="What every lending market held and owed at the end of every day.",
    methodology="Amounts are scaled once by the token's own decimals. The price is the protocol's own oracle at the same "
    "block; where its quote is not USD, or it has no price, `price` and every USD column are null, never zero.",
    publish_as="silver/tvl/{csu}.parquet",
)

_AMOUNTS = {
    "supplied": "total_supplied_raw",
    "borrowed": "total_borrowed_raw",
    "cash": "cash_raw",
    "collateral": "collateral_raw",
}


def scaled(raw: object, decimals: int) -> float:
    """An unscaled integer (any size, decimal text or int) as a float; exact to the float's own precision."""
    return float(int(str(raw)) / 10**decimals)


def usd_price(row: Row, prefix: str) -> float | None:
    """The oracle price in USD of the row's `{prefix}price_*`; None when it has none or is quoted in something else."""
    raw, unit = row[f"{prefix}price_raw"], row[f"{prefix}price_unit"]
    if raw is None or unit is None or row[f"{prefix}price_quote"] != "usd":
        return None
    return int(str(raw)) / int(str(unit))


def conform(rows: Sequence[Row]) -> pl.DataFrame:
    """Rows of the on-chain `tvl` dataset as silver rows: sorted by key, one per key (the last given wins)."""
    out: dict[tuple[str, str, str], dict[str, object]] = {}
    for row in rows:
        decimals = int(str(row["decimals"]))
        price = usd_price(row, "")
        new: dict[str, object] = {
            "date": row["date"],
            "block": row["block"],
            "block_hash": row["block_hash"],
            "block_time": datetime.fromtimestamp(int(str(row["timestamp"])), UTC),
            "csu": row["csu"],
            "chain": row["chain"],
            "asset": row["asset"],
            "symbol": row["symbol"],
            "decimals": decimals,
            "price": price,
            "price_source": None if price is None else row["price_source"],
        }
        for name, field in _AMOUNTS.items():
            amount = scaled(row[field], decimals)
            new |= {
                name: amount,
                f"{name}_usd": None if price is None else amount * price,
                f"{name}_raw": str(row[field]),
            }
        out[(str(row["csu"]), str(row["date"]), str(row["asset"]))] = new
    return pl.DataFrame([out[key] for key in sorted(out)], schema=TVL.polars_schema())
