"""Silver table `liquidations`: one row per event, scaled and valued at the day's snapshot price. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table
from cryptolake.silver.tvl import scaled, usd_price

LIQUIDATIONS = Table(
    name="liquidations",
    layer="silver",
    grain="one liquidation event",
    key=("chain", "tx", "log_index"),
    fields=(
        Field("date", "date", "day of the event, by the day boundary of the run"),
        Field("csu", "text", "market"),
        Field("chain", "text", "chain of the market"),
        Field("block", "int64", "block of the event", minimum=0),
        Field("block_hash", "text", "hash of that block"),
        Field("block_time", "timestamp", "timestamp of that block", unit="UTC"),
        Field("tx", "text", "transaction hash"),
        Field("log_index", "int64", "position of the event in its block", minimum=0),
        Field("liquidator", "text", "who repaid"),
        Field("borrower", "text", "whose position; null where the event does not say", null=True),
        Field("collateral_asset", "text", "token seized"),
        Field("collateral_symbol", "text", "its symbol"),
        Field("collateral_amount", "float64", "seized, with bonus and protocol fee", unit="tokens", minimum=0),
        Field("collateral_usd", "float64", "seized x price", unit="USD", null=True, minimum=0),
        Field("debt_asset", "text", "token repaid"),
        Field("debt_symbol", "text", "its symbol"),
        Field("debt_amount", "float64", "repaid", unit="tokens", minimum=0),
        Field("debt_usd", "float64", "repaid x price", unit="USD", null=True, minimum=0),
        Field("price_basis", "text", "instant of the price used", allowed=("snapshot",)),
        Field("collateral_amount_raw", "integer_text", "seized, unscaled", unit="token units"),
        Field("debt_amount_raw", "integer_text", "repaid, unscaled", unit="token units"),
        Field("extra", "text", "what else the protocol's event says, as JSON"),
    ),
    doc="Every liquidation of every market.",
    methodology="USD values use the protocol oracle's price at the day's snapshot block (`price_basis = snapshot`), not at "
    "the event's own block. An event counts once by (chain, tx, log_index), whatever it is joined with.",
    publish_as="silver/liquidations/{csu}.parquet",
)


def conform(rows: Sequence[Row]) -> pl.DataFrame:
    """Rows of the on-chain `liquidations` dataset as silver rows: sorted by key, one per key (the last given wins)."""
    out: dict[tuple[str, str, int], dict[str, object]] = {}
    for row in rows:
        new: dict[str, object] = {
            name: row[name]
            for name in (
                "date",
                "csu",
                "chain",
                "block",
                "block_hash",
                "tx",
                "log_index",
                "liquidator",
                "borrower",
                "extra",
            )
        }
        new |= {"block_time": datetime.fromtimestamp(int(str(row["timestamp"])), UTC), "price_basis": "snapshot"}
        for side in ("collateral", "debt"):
            amount = scaled(row[f"{side}_amount_raw"], int(str(row[f"{side}_decimals"])))
            price = usd_price(row, f"{side}_")
            new |= {
                f"{side}_asset": row[f"{side}_asset"],
                f"{side}_symbol": row[f"{side}_symbol"],
                f"{side}_amount": amount,
                f"{side}_usd": None if price is None else amount * price,
                f"{side}_amount_raw": str(row[f"{side}_amount_raw"]),
            }
        out[(str(row["chain"]), str(row["tx"]), int(str(row["log_index"])))] = new
    return pl.DataFrame([out[key] for key in sorted(out)], schema=LIQUIDATIONS.polars_schema())
