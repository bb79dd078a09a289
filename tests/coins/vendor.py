"""A CoinGecko of our own on the loopback: a ranking that moves between pages, and every way of not answering.

The coins are invented from a fixed seed in the vendor's documented layout, with the extremes that were recorded.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.loopback import Answer, serving, target

ASKED_AT = datetime(2026, 11, 21, 7, 23, 37, tzinfo=UTC)
TOTALS = {
    "data": {
        "active_cryptocurrencies": 17111,
        "markets": 1297,
        "total_market_cap": {"usd": 2.5e12, "eur": 2.3e12},
        "total_volume": {"usd": 1.9e11},
        "market_cap_percentage": {"btc": 61.5},
        "market_cap_change_percentage_24h_usd": -9.99,
        "updated_at": int(ASKED_AT.timestamp()) - 60,
    }
}


def coin(rank: int | None, **changes: object) -> dict[str, Any]:
    """An invented coin in the vendor's layout; the same rank gives the same coin."""
    source = random.Random(rank or 0)
    price = source.uniform(0.001, 10) * 3e4 / ((rank or 9999) ** 1.1)
    cap = 1.2e12 / ((rank or 9999) ** 1.2)
    change = round(source.gauss(0, 6), 5)
    made: dict[str, Any] = {
        "id": f"coin-{rank}",
        "symbol": f"c{rank}",
        "name": f" Coin {rank} ",
        "image": f"https://example.invalid/{rank}.png",
        "current_price": price,
        "market_cap": round(cap),
        "market_cap_rank": rank,
        "fully_diluted_valuation": round(cap * 1.1),
        "total_volume": cap * source.uniform(0.001, 0.7),
        "high_24h": price * 1.03,
        "low_24h": price * 0.98,
        "price_change_24h": price * change / 100,
        "price_change_percentage_24h": change,
        "market_cap_change_24h": cap * change / 100,
        "market_cap_change_percentage_24h": change,
        "circulating_supply": cap / price,
        "total_supply": cap / price * 1.05 if source.random() > 0.04 else None,
        "max_supply": cap / price * 1.1 if source.random() > 0.4 else None,
        "ath": price * 2.5,
        "ath_change_percentage": -60.0,
        "ath_date": "2021-11-10T14:24:11.849Z",
        "atl": price / 50,
        "atl_change_percentage": 4900.0,
        "atl_date": "2013-07-06T00:00:00.000Z",
        "roi": None,
        "last_updated": (ASKED_AT - timedelta(seconds=source.randrange(30, 300))).isoformat(),
    }
    return made | changes


def coins_of(count: int) -> list[dict[str, Any]]:
    """`count` coins by rank, with the recorded extremes (a price of 1.206e-09, a percentage of 1.577e+37) among them."""
    coins = [coin(rank) for rank in range(1, count + 1)]
    if count > 3:
        coins[2]["atl_change_percentage"] = 1.5770767167073295e37
        coins[3]["current_price"] = 1.206e-09
        coins[3]["high_24h"], coins[3]["low_24h"] = 1.212e-09, 1.192e-09
    return coins


@dataclass
class Vendor:
    """What the fake vendor holds. `coins` is the ranking now; `before` runs before each answer and may change anything.

    `replies` are answered first, one per question: (status, headers, body).
    """

    url: str = ""
    coins: list[dict[str, Any]] = field(default_factory=list)
    totals: object = field(default_factory=lambda: TOTALS)
    charts: dict[str, object] = field(default_factory=dict)
    plan: object = field(default_factory=lambda: {"rate_limit_request_per_minute": 1000})
    replies: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    before: Callable[[str, dict[str, str]], None] = lambda _path, _query: None
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)

    def answer(self, path: str, query: dict[str, str], headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """One answer."""
        self.asked.append((path, query, headers))
        self.before(path, query)
        if self.replies:
            return self.replies.pop(0)
        body: object
        if path == "/coins/markets":
            size, page = int(query["per_page"]), int(query["page"])
            chosen = [one for one in self.coins if "ids" not in query or one["id"] in query["ids"].split(",")]
            body = chosen[(page - 1) * size : page * size]
        elif path == "/global":
            body = self.totals
        elif path == "/key":
            body = self.plan
        else:
            name = path.split("/")[2]
            if name not in self.charts:
                return 404, {}, b'{"error":"coin not found"}'
            body = self.charts[name]
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


@contextmanager
def serve() -> Iterator[Vendor]:
    """The vendor on a free port."""
    vendor = Vendor()

    def answer(asked: str, headers: Mapping[str, str]) -> Answer:
        return vendor.answer(*target(asked), dict(headers))

    with serving(answer) as vendor.url:
        yield vendor
