"""What an answer of liquidations rests on besides its logs: who was asked for logs, and what the events are valued with.

Both are state, read from contracts; a certificate keeps by whom they were read and by whom again, and the grade is reckoned
from that. No I/O. What does not belong here: reading state (state) and the proof of the logs themselves (net/examination).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cryptolake.contracts.grades import Grade, weakest
from cryptolake.net.voices import voice_told
from cryptolake.sources.onchain.second_voice import Borne

What = Literal["emitters", "values"]
"""The contracts whose logs are asked for; symbols, decimals, prices and rates of the events' tokens."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What was read at a block, by whom, and by whom again how many of its calls.

    `listed` is whether the chain, and not the market's row, names the contracts whose logs are asked for; `contradicted` who
    read something else while nobody can decide ("": nobody).
    """

    what: What
    block: int
    first: tuple[str, ...]
    second: tuple[str, ...]
    again: int
    calls: int
    listed: bool = False
    problem: str = ""
    contradicted: str = ""

    @classmethod
    def of(cls, what: What, block: int, borne: Borne, *, listed: bool = False) -> Ground:
        """What was read and borne out so."""
        first, second = ((one,) if one else () for one in (borne.first, borne.second))
        names = tuple(name for one in first for name in one.split(", "))
        return cls(what, block, names, second, borne.again, borne.calls, listed, borne.problem, borne.contradicted)

    def grade(self, voices: Mapping[str, str]) -> Grade:
        """How far it is proven; `voices` says who every endpoint is (net.voices). An unknown one may be any other."""
        if not self.calls:
            return "receipts_root"  # nothing was asked, so that nothing rests on an answer
        said = {voice_told(voices.get(name, "")) for name in self.first}
        again = {voice_told(voices.get(name, "")) for name in self.second}
        if not again or "" in said | again or said & again:
            return "one_voice"
        return "two_voices" if self.again >= self.calls else "two_voices_sampled"

    def allows(self, voices: Mapping[str, str]) -> Grade:
        """The highest grade that an answer may have which rests on it.

        That two operators agree is the most that state can be proven. It lowers no proof by receipts, which rests on two
        operators as well, but where it decides of whom the receipts were searched: both could leave out the same contract.
        """
        grade = self.grade(voices)
        return "receipts_root" if grade == "two_voices" and not self.listed else grade

    def to_json(self) -> dict[str, object]:
        """As a certificate keeps it."""
        return {
            "what": self.what,
            "block": self.block,
            "first": list(self.first),
            "second": list(self.second),
            "again": self.again,
            "calls": self.calls,
            "listed": self.listed,
            "problem": self.problem,
            "contradicted": self.contradicted,
        }


def grounds_of(certificate: Mapping[str, Any]) -> list[Ground] | None:
    """The grounds that a certificate names; None where it was made before any were kept."""
    given = certificate.get("grounds")
    if not isinstance(given, Sequence):
        return None
    return [
        Ground(
            one["what"],
            int(one["block"]),
            tuple(map(str, one["first"])),
            tuple(map(str, one["second"])),
            int(one["again"]),
            int(one["calls"]),
            bool(one["listed"]),
            str(one["problem"]),
            str(one.get("contradicted") or ""),
        )
        for one in given
    ]


def least(logs: Grade, grounds: Iterable[Ground], voices: Mapping[str, str]) -> Grade:
    """The grade of an answer whose logs are proven so far: the least of all that it rests on."""
    return weakest([logs, *(one.allows(voices) for one in grounds)])


def most(grounds: Iterable[Ground]) -> Grade:
    """The highest grade that an answer could have that rests on such things, whoever was asked."""
    return "two_voices" if any(one.listed and one.calls for one in grounds) else "receipts_root"


def shortcoming(logs: Grade, grounds: Iterable[Ground], voices: Mapping[str, str]) -> str:
    """Why an answer is proven less far than its logs, in words; "" where it is not."""
    wording = {"emitters": "which contracts are asked", "values": "what the events are valued with"}
    said = [
        f"{wording[one.what]} at block {one.block} is borne out as {one.grade(voices)}"
        + (f": {one.problem}" if one.problem else "")
        for one in grounds
        if weakest([logs, one.allows(voices)]) != logs
    ]
    return "; ".join(dict.fromkeys(said))
