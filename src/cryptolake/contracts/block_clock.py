"""How far apart a chain's blocks are, by date. It serves planning and first guesses; collection proves real blocks.

What does not belong here: asking a chain for blocks (net/blocks) and reading the rows (registry).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class BlockTime:
    """Seconds between blocks from `since` (aware UTC) on; `fixed`: exactly so many, never more nor less."""

    since: datetime
    seconds: float
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class BlockClock:
    """All block times of a chain, the earliest first; the first one holds for whatever was before it, too."""

    times: tuple[BlockTime, ...]

    @classmethod
    def steady(cls, seconds: float, *, fixed: bool = False) -> BlockClock:
        """A clock that has always been the same."""
        return cls((BlockTime(_FIRST, seconds, fixed),))

    def at(self, instant: datetime) -> BlockTime:
        """The block time in force at an instant."""
        return next((one for one in reversed(self.times) if one.since <= instant), self.times[0])

    def between(self, start: datetime, end: datetime) -> float:
        """About how many blocks lie between two instants; negative when `end` is the earlier one. Not rounded."""
        if end < start:
            return -self.between(end, start)
        found, at = 0.0, start
        for one in self._changes(start, end):
            until = min(end, one.since)
            found += (until - at).total_seconds() / self.at(at).seconds
            at = until
        return found + (end - at).total_seconds() / self.at(at).seconds

    def steady_between(self, start: datetime, end: datetime) -> bool:
        """Whether one fixed block time holds all the time between two instants, so that blocks can be counted off."""
        first, last = min(start, end), max(start, end)
        return self.at(first).fixed and not self._changes(first, last)

    def _changes(self, start: datetime, end: datetime) -> Sequence[BlockTime]:
        return [one for one in self.times[1:] if start < one.since < end]
