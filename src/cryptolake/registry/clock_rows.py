"""Reads a chain's block times and days out of its row. What does not belong here: what they mean (contracts/block_clock)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

from cryptolake.contracts.block_clock import BlockClock, BlockTime


def read_clock(rows: object, today: object, fault: Callable[[str], None]) -> BlockClock | None:
    """The block times by date out of a chain's row, else today's for ever; None when `fault` was told of one.

    A row without `from` holds from the chain's first block on.
    """
    times = []
    for row in rows if isinstance(rows, list) else ():
        seconds = row.get("seconds") if isinstance(row, dict) else None
        if not isinstance(seconds, int | float) or not 0 < seconds < 3600:
            fault(
                "every row of block_time_history has `seconds` between 0 and 3600, and `from` where an earlier one ends"
            )
            return None
        since = _instant(row.get("from", row.get("from_date", "1970-01-01")))
        if since is None:
            fault(f"block_time_history: from {row.get('from')!r} must be an instant, e.g. '2025-04-29T05:05:00Z'")
            return None
        times.append(BlockTime(since, float(seconds), bool(row.get("fixed", False))))
    if times:
        return BlockClock(tuple(sorted(times, key=lambda one: one.since)))
    return BlockClock.steady(float(today)) if isinstance(today, int | float) and 0 < today < 3600 else None


def _instant(value: object) -> datetime | None:
    """An instant in UTC written as a day or a time, quoted or not; None when it is none."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def read_day(value: object) -> date | None:
    """A day written as a day or a time, quoted or not; None when it is none."""
    found = _instant(value)
    return None if found is None else found.date()
