"""Which blocks to look at next for the last block before an instant: pure functions of the headers seen and the chain's clock.

A header costs a call: where blocks can be counted off, two of them prove a boundary; elsewhere one guess after the other is
asked alone, each better than the one before. What does not belong here: asking (blocks).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from cryptolake.contracts.block_clock import BlockClock

_ASKEW = 4  # times as far as the nearer end: a bracket that is as lopsided as this
_NEARBY_S = 2 * 86400  # blocks no further than this keep a pace that may be expected of their neighbours
_PHASE_S = 2  # times are told in whole seconds, so a count may be out by as much
_WITHIN_S = 0.5  # of its whole second, a block is so late on average
_FEW = 8  # blocks left, from which on halving is cheaper than guessing
_WIDE = 8  # headers asked at once where guessing does not close in


class Dated(Protocol):
    """A block's number and time (seconds since 1970, UTC)."""

    @property
    def number(self) -> int: ...
    @property
    def timestamp(self) -> int: ...


H = TypeVar("H", bound=Dated)


@dataclass(frozen=True, slots=True)
class Bracket(Generic[H]):
    """The closest headers known on both sides: `low` is before the instant, `high` at it or after.

    `beyond`: a header behind the nearer end, which tells the pace of the blocks there (`telling`); None when there is none.
    """

    low: H
    high: H
    beyond: H | None = None

    @property
    def blocks(self) -> int:
        """How far apart they are; 1 proves `low`."""
        return self.high.number - self.low.number

    @property
    def seconds(self) -> int:
        """The same in time."""
        return self.high.timestamp - self.low.timestamp

    def nearest(self, at: int) -> H:
        """The end that is nearer to the instant."""
        return self.low if at - self.low.timestamp <= self.high.timestamp - at else self.high


def telling(at: int, end: H, seen: Sequence[H]) -> H | None:
    """Of all headers seen, by number: the closest one behind `end` that is far enough to tell the pace of blocks there.

    `end` is where the way to the instant begins; behind it is the other side than the instant's.
    """
    way = at - end.timestamp
    edge = end.timestamp - _ASKEW * way
    place = (
        bisect_right(seen, edge, key=lambda header: header.timestamp) - 1
        if way > 0
        else bisect_left(seen, edge, key=lambda header: header.timestamp)
    )
    if not way or not 0 <= place < len(seen):
        return None
    is_near = abs(seen[place].timestamp - end.timestamp) <= max(_NEARBY_S, _ASKEW * _ASKEW * abs(way))
    return seen[place] if is_near else None


def pilots(search: Mapping[int, Bracket[H]]) -> list[int]:
    """The instants to look for now. Of many in one wide gap the first and the last: they tell about the others."""
    groups: dict[tuple[int, int], list[int]] = {}
    for at, bracket in search.items():
        groups.setdefault((bracket.low.number, bracket.high.number), []).append(at)
    found: list[int] = []
    for instants in groups.values():
        first, last = min(instants), max(instants)
        is_wide = search[first].seconds > 2 * (last - first) + 2 * 86400
        found += {first, last} if is_wide else instants
    return sorted(found)


def closer(at: int, before: Bracket[H], now: Bracket[H]) -> bool:
    """Whether a round of headers did its part: a quarter of the blocks are left, or of the way to the nearer end."""
    gap, left = (abs(at - one.nearest(at).timestamp) for one in (before, now))
    return 4 * now.blocks <= before.blocks or 4 * left <= gap or now.blocks <= _FEW


def contradicted(at: int, before: Bracket[H], now: Bracket[H], clock: BlockClock | None) -> bool:
    """Whether blocks were counted off by a fixed clock and were not where it says: the clock is wrong."""
    if clock is None or now.blocks <= 1:
        return False
    counted = any(clock.steady_between(_time(one.timestamp), _time(at)) for one in (before.low, before.high))
    return counted and abs(now.nearest(at).timestamp - at) > _PHASE_S


def probes(at: int, bracket: Bracket[H], clock: BlockClock | None, *, misled: int) -> set[int]:
    """Blocks to look at for the instant `at`, all strictly inside the bracket, at least one.

    `misled`: how many guesses in a row came no closer. After one the clock is not believed, after two many are asked.
    """
    low, high = bracket.low.number, bracket.high.number
    guess, is_sure = _guess(at, bracket, None if misled else clock)
    around = {guess, guess + 1} if is_sure else {guess}
    if misled > 1:
        around |= {low + bracket.blocks * part // (_WIDE + 1) for part in range(1, _WIDE + 1)}
    return {min(max(number, low + 1), high - 1) for number in around}


def _guess(at: int, bracket: Bracket[H], clock: BlockClock | None) -> tuple[int, bool]:
    """The block to look at, and whether it must be the last one before the instant, so that its neighbour will prove it."""
    if clock is not None:
        # From below first: the block after an earlier boundary is the first of its second, which its time does not tell.
        for known in (bracket.low, bracket.high):
            if clock.steady_between(_time(known.timestamp), _time(at)):
                return _counted_off(at, known, clock.at(_time(at)).seconds), True
    near = bracket.nearest(at)
    per_block = bracket.seconds / bracket.blocks
    if bracket.blocks <= _FEW and per_block < 1:
        # Blocks of one second bear the same time: no clock tells them apart.
        return bracket.low.number + max(1, bracket.blocks // 2), False
    low, high = bracket.low, bracket.high
    if bracket.seconds > _ASKEW * abs(at - near.timestamp) and bracket.beyond is not None:
        # The far end says little; the blocks just behind the near one go at the pace of those just before it.
        low, high = sorted((near, bracket.beyond), key=lambda one: one.number)
    blocks = _between(near.timestamp, at - _WITHIN_S * (per_block < 1), clock)
    if clock is None or bracket.beyond is not None or bracket.seconds <= _ASKEW * abs(at - near.timestamp):
        # What headers say of the number of blocks corrects what is written of it.
        blocks *= (high.number - low.number) / max(1.0, _between(low.timestamp, high.timestamp, clock))
    # Whether the guess is the last block before the instant or the first after it, one more header proves it.
    return near.number + round(blocks), False


def _between(start: float, end: float, clock: BlockClock | None) -> float:
    """About how many blocks lie between two times; seconds where no clock says."""
    return end - start if clock is None else clock.between(_time(start), _time(end))


def _counted_off(at: int, near: Dated, seconds: float) -> int:
    """The last block before `at` where every block is exactly `seconds` after the one before."""
    if at > near.timestamp:
        steps = (at - near.timestamp) / seconds
        return near.number + (int(steps) - 1 if steps == int(steps) else int(steps))
    return near.number - int((near.timestamp - at) / seconds) - 1


def _time(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
