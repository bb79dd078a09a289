"""Silver table `exchange_candles`: hourly candles without gaps. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.contracts.coin_fields import number
from cryptolake.contracts.exchange_fields import EXCHANGE, SYMBOL
from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table

INPUTS = ()
TABLE = Table(
    name="exchange_candles",
    layer="silver",
    grain="one hour of one pair on one exchange",
    key=("exchange", "symbol", "opened_at"),
    fields=(
        EXCHANGE,
        SYMBOL,
        Field("opened_at", "timestamp", "start of the hour", unit="UTC"),
        Field("date", "date", "UTC day of the hour"),
        number("open", "first price; null while no earlier price is known", "quote", 0),
        number("high", "highest price", "quote", 0),
        number("low", "lowest price", "quote", 0),
        number("close", "last price", "quote", 0),
        number("volume", "traded amount", "base", 0),
        Field("filled", "bool", "the exchange told no candle for this hour: prices repeat the last close, volume is 0"),
    ),
    doc="Hourly candles of the watched pairs, every hour of every collected day.",
    methodology="Only finished days are collected. Exchanges leave out hours without a trade; those rows are marked `filled`. "
    "A day of which the exchange tells nothing at all is not filled but reported as missing.",
    enforced=True,
    load="update",
)


def conform(rows: Sequence[Row]) -> pl.DataFrame:
    """The rows as `exchange_candles`; the last row of a repeated hour wins."""
    frame = pl.DataFrame(rows, schema=TABLE.polars_schema(), orient="row")
    return frame.unique(TABLE.key, keep="last", maintain_order=True).sort(TABLE.key)
