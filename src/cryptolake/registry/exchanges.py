"""The exchanges (their name in ccxt, how far candles reach) and the pairs watched on them. Facts only; asks nothing."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange. `ccxt_id` names its public REST interface there.

    `bulk_tickers`: one question brings bid and ask of many pairs. `reach_hours`: only so many hourly candles exist for asking
    (None: all of them).
    """

    name: str
    ccxt_id: str
    bulk_tickers: bool
    reach_hours: int | None


# Coinbase's bulk answer (spark lines) has no bid and ask, so its pairs are asked one by one. Kraken tells the newest 720
# candles whatever `since` says.
EXCHANGES: dict[str, Exchange] = {
    one.name: one
    for one in (
        Exchange("binance", "binance", bulk_tickers=True, reach_hours=None),
        Exchange("coinbase", "coinbaseexchange", bulk_tickers=False, reach_hours=None),
        Exchange("kraken", "kraken", bulk_tickers=True, reach_hours=720),
    )
}


@lru_cache(maxsize=1)
def watched_pairs() -> dict[str, tuple[str, ...]]:
    """The watched pairs (`BTC/USDT`) of every exchange, sorted, from `data/exchange_pairs.csv`."""
    text = (files("cryptolake.registry") / "data" / "exchange_pairs.csv").read_text("utf-8")
    rows = [(row["exchange"], row["symbol"]) for row in csv.DictReader(text.splitlines())]
    return {name: tuple(sorted(symbol for exchange, symbol in rows if exchange == name)) for name in EXCHANGES}
