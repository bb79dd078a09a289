"""What endpoints call final: whose word counts, and which block is the newest that nobody of one's own denies. Pure.

A header that does not hash to its hash says nothing where somebody gives one that does. What does not belong here: asking
(rpc), and who bears out the block itself (agreement).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptolake.net.answers import quantity
from cryptolake.net.envelope import Json, Reply
from cryptolake.net.stated_header import is_sealed

ASSUMED = 64  # blocks behind the head that are taken not to be final where a chain has no such tag
APART_S = 2 * 86400.0  # what honest endpoints call final is never further apart: whoever is further behind stands still
_STALE_S = 3600.0  # a final block older than this: the chain stands still, or the endpoint, or it is a test's


@dataclass(frozen=True, slots=True)
class FinalBlock:
    """A block that an endpoint calls final, its time (seconds since 1970, UTC), and whether its header hashes to its hash.

    `assumed`: the endpoint does not say; it is so far behind its head.
    """

    number: int
    timestamp: int = 0
    sealed: bool = False
    assumed: bool = False

    @classmethod
    def stated(cls, answer: Json | Reply) -> FinalBlock | None:
        """The block in an answer for the tag `finalized`; None where there is none."""
        number = quantity(answer.get("number")) if isinstance(answer, Mapping) else None
        if number is None or not isinstance(answer, Mapping):
            return None
        return cls(number, quantity(answer.get("timestamp")) or 0, is_sealed(answer))

    @classmethod
    def behind(cls, head: Json | Reply) -> FinalBlock:
        """The block that is taken to be final behind this answer to eth_blockNumber."""
        return cls(max(0, (quantity(head) or 0) - ASSUMED), assumed=True)

    def sound(self, now: float, until: float | None = None) -> bool:
        """Whether nobody else need be heard: an endpoint that stands still is no chain that does.

        `until`: the time that is to be final; what is so far back that nobody honest denies it is asked of nobody else.
        """
        fresh = self.sealed and -_STALE_S <= now - self.timestamp <= _STALE_S
        return fresh and (until is None or until + APART_S <= self.timestamp)

    def lags(self, newest: FinalBlock) -> bool:
        """Whether it is so far behind another one that its endpoint stands still."""
        if self.assumed or newest.assumed:
            return newest.number - self.number > ASSUMED
        return newest.timestamp - self.timestamp > APART_S


def settled(told: Sequence[Sequence[FinalBlock]], now: float) -> int:
    """The newest block that is final by what each operator's endpoints tell, one sequence for each; 0 where nobody tells.

    One operator who says that a block is not final yet is believed, against one other; of three two decide. Whoever is so far
    behind that he stands still holds nobody up, unless most do. Who knows what is final is heard before who does not say.
    """
    every = [one for words in told for one in words]
    good = [one for one in every if one.sealed and one.timestamp <= now + _STALE_S]
    counts = good or [one for one in every if not one.assumed] or every
    if not counts:
        return 0
    newest = max(counts, key=lambda one: one.number)
    voices = [heard for words in told if (heard := [one for one in words if one in counts])]
    awake = [some for words in voices if (some := [one for one in words if not one.lags(newest)])]
    voices = awake if 2 * len(awake) >= len(voices) else voices
    lowest = sorted(min(one.number for one in words) for words in voices)
    return lowest[(len(lowest) - 1) // 2]
