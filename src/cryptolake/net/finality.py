"""What endpoints call final: whose word counts, and which block is the newest. Pure.

A header that does not hash to its hash says nothing where somebody gives one that does. What does not belong here: asking
(rpc), and who bears out the block itself (agreement).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptolake.net.answers import quantity
from cryptolake.net.envelope import Json, Reply
from cryptolake.net.stated_header import is_sealed

_STALE_S = 3600.0  # a final block older than this: the chain stands still, or the endpoint, or it is a test's


@dataclass(frozen=True, slots=True)
class FinalBlock:
    """A block that an endpoint calls final, its time (seconds since 1970, UTC), and whether its header hashes to its hash."""

    number: int
    timestamp: int = 0
    sealed: bool = False

    @classmethod
    def stated(cls, answer: Json | Reply) -> FinalBlock | None:
        """The block in an answer for the tag `finalized`; None where there is none."""
        number = quantity(answer.get("number")) if isinstance(answer, Mapping) else None
        if number is None or not isinstance(answer, Mapping):
            return None
        return cls(number, quantity(answer.get("timestamp")) or 0, is_sealed(answer))

    def sound(self, now: float) -> bool:
        """Whether nobody else need be heard: an endpoint that stands still is no chain that does."""
        return self.sealed and now - self.timestamp <= _STALE_S


def believed(told: Sequence[FinalBlock]) -> list[int]:
    """The blocks that those whose word counts call final, the newest first."""
    sealed = [one for one in told if one.sealed]
    return sorted({one.number for one in sealed or told}, reverse=True)


def newest(told: Sequence[FinalBlock]) -> int:
    """The newest block that anybody whose word counts calls final; 0 where nobody does."""
    return max(believed(told), default=0)
