"""The three exchanges on one loopback server, in their own REST layouts. Prices are invented; hours may be left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.loopback import Answer, serving, target

HOUR = 3600
IDS = {"BTC/USD": ("BTC-USD", "XXBTZUSD"), "BTC/USDT": ("BTC-USDT", "XBTUSDT"), "ETH/USDT": ("ETH-USDT", "ETHUSDT")}
QUOTES = {"binance": (60000.0, 60010.0), "coinbase": (60020.0, 60030.0), "kraken": (59990.0, 60005.0)}


def price(opened_at: int) -> float:
    """The invented price at an hour."""
    return 60000.0 + (opened_at // HOUR) % 1000


@dataclass
class Venues:
    """What the exchanges tell. `silent` are hours (epoch seconds) without a trade; `replies` are told first."""

    url: str = ""
    silent: set[int] = field(default_factory=set)
    replies: list[tuple[int, bytes]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    now: int = int(datetime(2026, 11, 21, 7, 30, tzinfo=UTC).timestamp())
    symbols: tuple[str, ...] = ("BTC/USD", "BTC/USDT", "ETH/USDT")

    def hours(self, start: int, end: int) -> list[int]:
        """The hours from `start` to `end` (epoch seconds, both included) in which there was a trade."""
        first = -(-start // HOUR) * HOUR
        return [at for at in range(first, min(end, self.now) + 1, HOUR) if at not in self.silent]

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        self.asked.append(path)
        routes = {
            "/binance/exchangeInfo": self._binance_markets,
            "/binance/ticker/24hr": self._binance_tickers,
            "/binance/klines": self._binance_candles,
            "/coinbase/products": self._coinbase_markets,
            "/kraken/0/public/AssetPairs": self._kraken_markets,
            "/kraken/0/public/Ticker": self._kraken_tickers,
            "/kraken/0/public/OHLC": self._kraken_candles,
        }
        if self.replies and not path.endswith(("exchangeInfo", "products", "AssetPairs")):
            return self.replies.pop(0)
        if path in routes:
            return 200, json.dumps(routes[path](query)).encode()
        if path.startswith("/coinbase/products/") and path.endswith("/ticker"):
            bid, ask = QUOTES["coinbase"]
            body = {
                "bid": str(bid),
                "ask": str(ask),
                "price": str(bid),
                "volume": "5",
                "time": "2026-11-21T07:29:59.5Z",
            }
            return 200, json.dumps(body).encode()
        if path.startswith("/coinbase/products/") and path.endswith("/candles"):
            return 200, json.dumps(self._coinbase_candles(query)).encode()
        return 404, b"{}"

    def _binance_markets(self, _query: dict[str, str]) -> Any:
        return {
            "symbols": [
                {
                    "symbol": one.replace("/", ""),
                    "status": "TRADING",
                    "baseAsset": one.split("/")[0],
                    "quoteAsset": one.split("/")[1],
                    "isSpotTradingAllowed": True,
                    "permissions": ["SPOT"],
                    "filters": [],
                    "orderTypes": [],
                }
                for one in self.symbols
                if one.endswith("USDT")
            ]
        }

    def _binance_tickers(self, query: dict[str, str]) -> Any:
        bid, ask = QUOTES["binance"]
        wanted = json.loads(query["symbols"]) if "symbols" in query else [query["symbol"]]
        found = [
            {
                "symbol": one,
                "bidPrice": str(bid),
                "askPrice": str(ask),
                "lastPrice": str(bid),
                "closeTime": self.now * 1000,
            }
            for one in wanted
        ]
        return found if "symbols" in query else found[0]

    def _binance_candles(self, query: dict[str, str]) -> Any:
        start, end = int(query["startTime"]) // 1000, int(query.get("endTime", 10**15)) // 1000
        rows = self.hours(start, end)[: int(query["limit"])]
        return [
            [
                at * 1000,
                str(price(at)),
                "61000",
                "59000",
                str(price(at) + 0.5),
                "2.5",
                at * 1000 + 3599999,
                "1",
                9,
                "1",
                "1",
                "0",
            ]
            for at in rows
        ]

    def _coinbase_markets(self, _query: dict[str, str]) -> Any:
        return [
            {
                "id": IDS[one][0],
                "base_currency": one.split("/")[0],
                "quote_currency": one.split("/")[1],
                "quote_increment": "0.01",
                "base_increment": "0.0001",
                "status": "online",
            }
            for one in self.symbols
        ]

    def _coinbase_candles(self, query: dict[str, str]) -> Any:
        start, end = (int(datetime.fromisoformat(query[name]).timestamp()) for name in ("start", "end"))
        rows = self.hours(start, end)
        return [[at, 59000, 61000, price(at), price(at) + 0.5, 2.5] for at in reversed(rows)]

    def _kraken_markets(self, _query: dict[str, str]) -> Any:
        result = {
            IDS[one][1]: {
                "altname": one.replace("/", ""),
                "wsname": one,
                "base": "XXBT" if one.startswith("BTC") else "XETH",
                "quote": "ZUSD" if one.endswith("USD") else "USDT",
                "pair_decimals": 1,
                "lot_decimals": 8,
                "fees": [[0, 0.26]],
                "fees_maker": [[0, 0.16]],
                "leverage_buy": [],
                "leverage_sell": [],
                "status": "online",
            }
            for one in self.symbols
        }
        return {"error": [], "result": result}

    def _kraken_tickers(self, query: dict[str, str]) -> Any:
        bid, ask = QUOTES["kraken"]
        one = {
            "a": [str(ask), "1", "1.000"],
            "b": [str(bid), "1", "1.000"],
            "c": [str(bid), "0.1"],
            "v": ["1", "2"],
            "p": ["1", "2"],
            "t": [1, 2],
            "l": ["59000", "59000"],
            "h": ["61000", "61000"],
            "o": "60000",
        }
        return {"error": [], "result": dict.fromkeys(query["pair"].split(","), one)}

    def _kraken_candles(self, query: dict[str, str]) -> Any:
        newest = self.hours(self.now - 720 * HOUR, self.now)
        rows = [at for at in newest if at > int(float(query.get("since", 0)))]
        pair = query["pair"]
        return {
            "error": [],
            "result": {
                pair: [[at, str(price(at)), "61000", "59000", str(price(at) + 0.5), "60000", "2.5", 7] for at in rows],
                "last": rows[-1] if rows else 0,
            },
        }


@contextmanager
def serve() -> Iterator[Venues]:
    """The exchanges on a free port."""
    venues = Venues()

    def answer(asked: str, _headers: Mapping[str, str]) -> Answer:
        status, body = venues.answer(*target(asked))
        return status, {"Content-Type": "application/json"}, body

    with serving(answer) as venues.url:
        yield venues
