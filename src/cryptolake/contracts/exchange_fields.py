"""The columns that name an exchange and a pair, defined once for the tables that share them. No table lives here."""

from __future__ import annotations

from cryptolake.contracts.table import Field

EXCHANGE = Field("exchange", "text", "exchange: binance, coinbase, kraken")
SYMBOL = Field("symbol", "text", "pair as BASE/QUOTE; BTC/USD and BTC/USDT are different pairs")
