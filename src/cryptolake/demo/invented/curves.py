"""Curves for invented numbers: the same name and instant give the same number on every machine, near a given level."""

from __future__ import annotations

import math
import zlib
from datetime import datetime, timedelta

DAY_S, HOUR_S = 86_400, 3_600
HISTORY_DAYS = 90  # how far every invented history reaches back


def level(name: str, at_s: int, around: float) -> float:
    """A positive number that wanders slowly around `around`. `at_s`: seconds since 1970."""
    phase = zlib.crc32(name.encode()) / 2**32 * math.tau
    slow, quick = math.sin(at_s / DAY_S / 9 + phase), math.sin(at_s / DAY_S * 2.3 + 5 * phase)
    return round(around * (1 + 0.2 * slow + 0.03 * quick), 8 if around < 1 else 2)


def midnights(now: datetime) -> list[int]:
    """Every midnight (UTC, seconds since 1970) of the history, today's last."""
    last = int(now.timestamp()) // DAY_S * DAY_S
    return list(range(last - (HISTORY_DAYS - 1) * DAY_S, last + 1, DAY_S))


def days(first: datetime, last: datetime, now: datetime) -> list[int]:
    """The midnights of the history from one day to another, both included."""
    low, high = int(first.timestamp()), int((last + timedelta(days=1)).timestamp())
    return [at for at in midnights(now) if low <= at < high]
