"""Invented series in Artemis' layout: any metric of any asset, for the days asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from cryptolake.demo.invented.curves import days, level
from cryptolake.demo.recording import Json

_DATA = re.compile(r"/data/api/([A-Z0-9_]+)/")
# What a metric is about, by a word in its name; everything else is an amount of dollars.
_AROUND = {"PRICE": 100.0, "RATIO": 40.0, "FEE": 250_000.0, "DAU": 90_000.0, "USERS": 8_000.0, "TXNS": 1_200_000.0}
_OTHER = 5e9


def answer(path: str, query: Mapping[str, str], now: datetime) -> Json:
    """`/data/api/{metric}/`: a list of days for each of `symbols`."""
    found = _DATA.fullmatch(path)
    if found is None:
        return None
    metric = found[1]
    first, last = (datetime.fromisoformat(query[name]).replace(tzinfo=UTC) for name in ("startDate", "endDate"))
    around = next((value for word, value in _AROUND.items() if word in metric), _OTHER)
    symbols: dict[str, Json] = {}
    for symbol in query["symbols"].split(","):
        points: list[Json] = [
            {"date": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}", "val": level(f"{symbol} {metric}", at, around)}
            for at in days(first, last, now)
        ]
        symbols[symbol] = {metric: points}
    return {"data": {"symbols": symbols}, "sandbox": "invented"}
