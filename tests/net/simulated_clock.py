"""Block times of made-up chains: the registry's block times by date, with days and blocks as uneven as on real ones.

No real data: how uneven a kind of chain is was set by hand (`UNEVEN`), after what is known of the kinds.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from cryptolake.contracts.block_clock import BlockClock

DAY = 86400
# Chain: (how much a day's number of blocks differs from the mean, seconds of a slot that every block sits on; 0: none).
UNEVEN = {
    "ethereum": (0.002, 12),
    "gnosis": (0.004, 5),
    "binance": (0.0005, 3),
    "polygon": (0.01, 2),
    "avalanche": (0.05, 0),
    "arbitrum": (0.02, 0),
}
OTHERS = (0.02, 0)


def lot(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    digest = hashlib.sha256(":".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


@dataclass(frozen=True)
class SimulatedClock:
    """Number to time and back, from `start` (its block 0) to `end`; both midnights, aware UTC."""

    name: str
    clock: BlockClock
    start: datetime
    end: datetime

    @cached_property
    def _fixed(self) -> bool:
        return all(one.fixed for one in self.clock.times if one.since < self.end)

    @cached_property
    def firsts(self) -> list[int]:
        """The first block of every day."""
        uneven, _ = UNEVEN.get(self.name, OTHERS)
        first, found = 0.0, []
        for day in range((self.end - self.start).days + 1):
            found.append(round(first))
            at = datetime.fromtimestamp(self.start.timestamp() + day * DAY, UTC)
            steady = self.clock.steady_between(at, datetime.fromtimestamp(at.timestamp() + DAY, UTC))
            factor = 1.0 if steady else 1 + uneven * (2 * lot(self.name, day) - 1)
            first += DAY / self.clock.at(at).seconds * factor
        return found

    @property
    def head(self) -> int:
        """The newest block."""
        return self.firsts[-1] - 1

    def __call__(self, number: int) -> int:
        """The time of a block, whole seconds since 1970."""
        day = min(bisect_right(self.firsts, number), len(self.firsts) - 1) - 1
        count = self.firsts[day + 1] - self.firsts[day]
        within = number - self.firsts[day]
        at = datetime.fromtimestamp(self.start.timestamp() + day * DAY, UTC)
        if self.clock.at(at).fixed:
            return int(at.timestamp() + within * DAY / count)
        _, slot = UNEVEN.get(self.name, OTHERS)
        seconds = (within + lot(self.name, "block", number)) * DAY / count
        return int(at.timestamp()) + (int(seconds // slot) * slot if slot else int(seconds))
