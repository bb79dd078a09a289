"""Invented coins in CoinGecko's layout: the well-known coins with invented numbers, then invented coins.

A coin's history is recorded, not invented; see `recordings/coingecko`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from cryptolake.demo.invented.curves import DAY_S, HOUR_S, level
from cryptolake.demo.recording import Json

COINS = 1_200
_UNRANKED = 20  # the last coins, whose supply nobody knows
_LARGEST_CAP = 1.2e12
# Prices in dollars; the invented exchanges quote them too.
PRICES = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0, "XRP": 0.5, "ADA": 0.4, "DOGE": 0.1}
_NAMED = (
    ("bitcoin", "BTC", "Bitcoin"),
    ("ethereum", "ETH", "Ethereum"),
    ("solana", "SOL", "Solana"),
    ("ripple", "XRP", "XRP"),
    ("cardano", "ADA", "Cardano"),
    ("dogecoin", "DOGE", "Dogecoin"),
)


def price(symbol: str, at_s: int) -> float:
    """What a named coin costs at an instant, in dollars."""
    return level(symbol, at_s, PRICES[symbol])


def answer(path: str, query: Mapping[str, str], now: datetime) -> Json:
    """`/coins/markets` (by page, or the coins in `ids`), `/global`, and `/key` for those who have one."""
    if path == "/key":
        return {"plan": "sandbox", "sandbox": "invented"}
    if path == "/global":
        return _totals(now)
    if path != "/coins/markets":
        return None
    if "ids" in query:
        wanted = query["ids"].split(",")
        return [one for rank in range(1, len(_NAMED) + 1) if (one := _coin(rank, now))["id"] in wanted]
    size, page = int(query["per_page"]), int(query["page"])
    return [_coin(rank, now) for rank in range((page - 1) * size + 1, min(page * size, COINS) + 1)]


def _cap(rank: int) -> float:
    return round(_LARGEST_CAP / math.pow(rank, 1.3), 2)


def _coin(rank: int, now: datetime) -> dict[str, Json]:
    at = int(now.timestamp()) // 60 * 60
    identity, symbol, name = _NAMED[rank - 1] if rank <= len(_NAMED) else (f"invented-{rank}", f"INV{rank}", "Coin")
    around = PRICES.get(symbol, 250.0 / rank)
    costs, before = level(symbol, at, around), level(symbol, at - DAY_S, around)
    day = [level(symbol, at - hours * HOUR_S, around) for hours in range(25)]
    supply = round(_cap(rank) / around, 2) if rank <= COINS - _UNRANKED else 0.0
    cap = round(supply * costs, 2)
    return {
        "id": identity,
        "symbol": symbol.lower(),
        "name": f"{name} (invented)" if rank <= len(_NAMED) else f"Invented coin {rank}",
        "image": None,
        "current_price": costs,
        "market_cap": cap,
        "market_cap_rank": rank if supply else None,
        "fully_diluted_valuation": round(cap * 1.1, 2),
        "total_volume": round(cap * (0.02 + 0.6 * (rank % 11) / 11 * (rank % 3 == 0)), 2),
        "high_24h": max(day),
        "low_24h": min(day),
        "price_change_24h": round(costs - before, 8),
        "price_change_percentage_24h": round((costs / before - 1) * 100 * (1 + rank % 4), 5),
        "market_cap_change_24h": round(supply * (costs - before), 2),
        "market_cap_change_percentage_24h": round((costs / before - 1) * 100, 5),
        "circulating_supply": supply,
        "total_supply": round(supply * 1.1, 2) if supply else None,
        "max_supply": round(supply * 1.2, 2) if supply and rank % 2 else None,
        "ath": round(around * 1.5, 8),
        "ath_change_percentage": round((costs / around / 1.5 - 1) * 100, 5),
        "ath_date": "2025-01-15T00:00:00.000Z",
        "atl": round(around * 0.1, 8),
        "atl_change_percentage": round((costs / around / 0.1 - 1) * 100, 5),
        "atl_date": "2021-01-15T00:00:00.000Z",
        "roi": None,
        "last_updated": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}.000Z",
    }


def _totals(now: datetime) -> Json:
    total = round(sum(_cap(rank) for rank in range(1, COINS + 1)) * 1.05, 2)
    return {
        "data": {
            "active_cryptocurrencies": COINS,
            "markets": 3,
            "total_market_cap": {"usd": total},
            "total_volume": {"usd": round(total * 0.05, 2)},
            "market_cap_percentage": {"btc": round(_cap(1) / total * 100, 6)},
            "market_cap_change_percentage_24h_usd": 0.5,
            "updated_at": int(now.timestamp()),
        },
        "sandbox": "invented",
    }
