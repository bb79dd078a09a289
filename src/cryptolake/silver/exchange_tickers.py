"""Silver table `exchange_tickers`: best bid and ask at one asking. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.contracts.coin_fields import number
from cryptolake.contracts.exchange_fields import EXCHANGE, SYMBOL
from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table

INPUTS = ()
TABLE = Table(
    name="exchange_tickers",
    layer="silver",
    grain="one pair on one exchange at one asking",
    key=("exchange", "symbol", "observed_at"),
    fields=(
        EXCHANGE,
        SYMBOL,
        Field("observed_at", "timestamp", "when the exchange was asked", unit="UTC"),
        Field("hour", "timestamp", "the UTC hour of the asking; exchanges are compared within it", unit="UTC"),
        number("bid", "best offer to buy", "quote", 0),
        number("ask", "best offer to sell", "quote", 0),
        number("last", "last traded price", "quote", 0),
        number("high_24h", "highest price of the last 24 hours", "quote", 0),
        number("low_24h", "lowest price of the last 24 hours", "quote", 0),
        number("volume_24h", "traded amount of the last 24 hours", "base", 0),
        Field("exchange_time", "timestamp", "the exchange's own time of the answer", unit="UTC", null=True),
    ),
    doc="Best bid and ask of the watched pairs.",
    enforced=True,
    in_lake=False,
    load="update",
)


def conform(rows: Sequence[Row]) -> pl.DataFrame:
    """The rows as `exchange_tickers`."""
    frame = pl.DataFrame(rows, schema=TABLE.polars_schema(), orient="row")
    return frame.unique(TABLE.key, keep="last", maintain_order=True).sort(TABLE.key)
