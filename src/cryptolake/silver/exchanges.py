"""Silver tables of the exchanges: hourly `exchange_candles` without gaps and `exchange_tickers`. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.contracts.coin_fields import number
from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table

_EXCHANGE = Field("exchange", "text", "exchange: binance, coinbase, kraken")
_SYMBOL = Field("symbol", "text", "pair as BASE/QUOTE; BTC/USD and BTC/USDT are different pairs")

CANDLES = Table(
    name="exchange_candles",
    layer="silver",
    grain="one hour of one pair on one exchange",
    key=("exchange", "symbol", "opened_at"),
    fields=(
        _EXCHANGE,
        _SYMBOL,
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
)

TICKERS = Table(
    name="exchange_tickers",
    layer="silver",
    grain="one pair on one exchange at one asking",
    key=("exchange", "symbol", "observed_at"),
    fields=(
        _EXCHANGE,
        _SYMBOL,
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
)


def conform_candles(rows: Sequence[Row]) -> pl.DataFrame:
    """The rows as `exchange_candles`; the last row of a repeated hour wins."""
    frame = pl.DataFrame(rows, schema=CANDLES.polars_schema(), orient="row")
    return frame.unique(CANDLES.key, keep="last", maintain_order=True).sort(CANDLES.key)


def conform_tickers(rows: Sequence[Row]) -> pl.DataFrame:
    """The rows as `exchange_tickers`."""
    frame = pl.DataFrame(rows, schema=TICKERS.polars_schema(), orient="row")
    return frame.unique(TICKERS.key, keep="last", maintain_order=True).sort(TICKERS.key)
