"""Invented quotes of Binance, Coinbase and Kraken in their own REST layouts, for the watched pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from cryptolake.demo.invented.coingecko import price
from cryptolake.demo.invented.curves import HOUR_S
from cryptolake.demo.recording import Json
from cryptolake.registry.exchanges import watched_pairs

_HALF_SPREAD = 0.0004
_SHIFT = {"binance": 1.0, "coinbase": 1.0011, "kraken": 0.9994}  # so that the exchanges differ
_KRAKEN_COINS = {"BTC": "XXBT", "ETH": "XETH", "XRP": "XXRP", "DOGE": "XXDG", "USD": "ZUSD"}
_KRAKEN_REACH = 720  # hourly candles it tells at most


def _binance(path: str, query: Mapping[str, str], now: datetime) -> Json:
    pairs = {_joined(pair): pair for pair in watched_pairs()["binance"]}
    if path == "/exchangeInfo":
        markets: list[Json] = [
            {
                "symbol": name,
                "status": "TRADING",
                "baseAsset": _base(pair),
                "quoteAsset": _quote(pair),
                "isSpotTradingAllowed": True,
                "permissions": ["SPOT"],
                "filters": [],
                "orderTypes": [],
            }
            for name, pair in pairs.items()
        ]
        return {"symbols": markets, "sandbox": "invented"}
    if path == "/ticker/24hr":
        tickers: list[Json] = []
        for name in json.loads(query["symbols"]):
            bid, ask, low, high = _quoted("binance", pairs[name], now)
            tickers.append(
                {
                    "symbol": name,
                    "bidPrice": bid,
                    "askPrice": ask,
                    "lastPrice": bid,
                    "lowPrice": low,
                    "highPrice": high,
                    "volume": "250",
                    "closeTime": int(now.timestamp()) * 1000,
                }
            )
        return tickers
    if path == "/klines":
        hours = _hours(int(query["startTime"]) // 1000, int(query["endTime"]) // 1000, now)
        candles = [(at, *_candle("binance", pairs[query["symbol"]], at)) for at in hours[: int(query["limit"])]]
        return [
            [at * 1000, o, h, low, c, "2.5", (at + HOUR_S) * 1000 - 1, "1", 9, "1", "1", "0"]
            for at, o, h, low, c in candles
        ]
    return None


def _coinbase(path: str, query: Mapping[str, str], now: datetime) -> Json:
    pairs = {pair.replace("/", "-"): pair for pair in watched_pairs()["coinbase"]}
    if path == "/products":
        return [
            {
                "id": name,
                "base_currency": _base(pair),
                "quote_currency": _quote(pair),
                "quote_increment": "0.0001",
                "base_increment": "0.0001",
                "status": "online",
            }
            for name, pair in pairs.items()
        ]
    _, _, name, what = (*path.split("/"), "", "", "", "")[:4]
    if name in pairs and what == "ticker":
        bid, ask, _, _ = _quoted("coinbase", pairs[name], now)
        return {"bid": bid, "ask": ask, "price": bid, "volume": "50", "time": f"{now:%Y-%m-%dT%H:%M:%S.%f}Z"}
    if name in pairs and what == "candles":
        start, end = (int(datetime.fromisoformat(query[one]).timestamp()) for one in ("start", "end"))
        found = [(at, *(float(one) for one in _candle("coinbase", pairs[name], at))) for at in _hours(start, end, now)]
        return [[at, low, high, o, c, 2.5] for at, o, high, low, c in reversed(found)]
    return None


def _kraken(path: str, query: Mapping[str, str], now: datetime) -> Json:
    pairs = {_kraken_name(pair): pair for pair in watched_pairs()["kraken"]}
    if path == "/0/public/AssetPairs":
        markets: dict[str, Json] = {
            name: {
                "altname": _joined(pair),
                "wsname": pair,
                "base": _KRAKEN_COINS.get(_base(pair), _base(pair)),
                "quote": _KRAKEN_COINS.get(_quote(pair), _quote(pair)),
                "pair_decimals": 5,
                "lot_decimals": 8,
                "fees": [[0, 0.26]],
                "fees_maker": [[0, 0.16]],
                "leverage_buy": [],
                "leverage_sell": [],
                "status": "online",
            }
            for name, pair in pairs.items()
        }
        return {"error": [], "result": markets}
    if path == "/0/public/Ticker":
        return {"error": [], "result": {name: _kraken_ticker(pairs[name], now) for name in query["pair"].split(",")}}
    if path == "/0/public/OHLC":
        name, since = query["pair"], int(float(query.get("since", "0")))
        newest = _hours(int(now.timestamp()) - _KRAKEN_REACH * HOUR_S, int(now.timestamp()), now)
        rows: list[Json] = []
        for at in newest:
            if at > since:
                o, h, low, c = _candle("kraken", pairs[name], at)
                rows.append([at, o, h, low, c, c, "2.5", 7])
        return {"error": [], "result": {name: rows, "last": newest[-1]}}
    return None


TELLERS: Mapping[str, Callable[[str, Mapping[str, str], datetime], Json]] = {
    "binance": _binance,
    "coinbase": _coinbase,
    "kraken": _kraken,
}


def _base(pair: str) -> str:
    return pair.partition("/")[0]


def _quote(pair: str) -> str:
    return pair.partition("/")[2]


def _joined(pair: str) -> str:
    return pair.replace("/", "")


def _kraken_name(pair: str) -> str:
    coin = _KRAKEN_COINS.get(_base(pair))
    return f"{coin}ZUSD" if coin and _quote(pair) == "USD" else _joined(pair)


def _kraken_ticker(pair: str, now: datetime) -> Json:
    bid, ask, low, high = _quoted("kraken", pair, now)
    return {
        "a": [ask, "1", "1.000"],
        "b": [bid, "1", "1.000"],
        "c": [bid, "0.1"],
        "v": ["10", "20"],
        "p": [bid, bid],
        "t": [10, 20],
        "l": [low, low],
        "h": [high, high],
        "o": bid,
    }


def _quoted(exchange: str, pair: str, now: datetime) -> tuple[str, str, str, str]:
    """Bid, ask, lowest and highest of the day, as text."""
    at = int(now.timestamp())
    day = [price(_base(pair), at - hours * HOUR_S) for hours in range(25)]
    middle, low, high = day[0] * _SHIFT[exchange], min(day), max(day)
    values = (middle * (1 - _HALF_SPREAD), middle * (1 + _HALF_SPREAD), low, high)
    return f"{values[0]:.5f}", f"{values[1]:.5f}", f"{values[2]:.5f}", f"{values[3]:.5f}"


def _candle(exchange: str, pair: str, at_s: int) -> tuple[str, str, str, str]:
    """Open, high, low and close of the hour that begins at `at_s`, as text."""
    shift = _SHIFT[exchange]
    first, last = (price(_base(pair), at) * shift for at in (at_s, at_s + HOUR_S))
    return f"{first:.5f}", f"{max(first, last):.5f}", f"{min(first, last):.5f}", f"{last:.5f}"


def _hours(start: int, end: int, now: datetime) -> list[int]:
    """The full hours from one instant to another (seconds since 1970, both included), none of the future.

    The clock is the exchange's own: nobody may be told an hour that has not begun.
    """
    first, until = -(-start // HOUR_S) * HOUR_S, min(end, int(now.astimezone(UTC).timestamp()))
    return list(range(first, until + 1, HOUR_S))
