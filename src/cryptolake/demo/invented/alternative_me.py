"""An invented Fear & Greed index in alternative.me's layout."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from cryptolake.demo.invented.curves import level, midnights
from cryptolake.demo.recording import Json

_WORDS = ((25, "Extreme Fear"), (46, "Fear"), (55, "Neutral"), (76, "Greed"), (101, "Extreme Greed"))


def answer(path: str, query: Mapping[str, str], now: datetime) -> Json:
    """`/fng/`: the newest `limit` days, all of them for 0; numbers as text, newest first."""
    if path != "/fng/":
        return None
    limit = int(query.get("limit", "1"))
    points: list[Json] = []
    for at in reversed(midnights(now)[-limit:]):
        value = round(level("fear_greed", at, 50))
        word = next(word for below, word in _WORDS if value < below)
        points.append({"value": str(value), "value_classification": word, "timestamp": str(at)})
    return {"name": "Fear and Greed Index (invented)", "data": points, "metadata": {"error": None}}
