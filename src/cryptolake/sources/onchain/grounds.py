"""What an answer of liquidations rests on besides its logs: who was asked for logs, and what the events are valued with.

Both are state, read from contracts; a certificate keeps by whom they were read and by whom again, and the grade is reckoned
from that. No I/O. What does not belong here: reading state (state) and the proof of the logs themselves (net/examination).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cryptolake.contracts.grades import Grade, weakest
from cryptolake.sources.onchain.kept_voices import bear_out
from cryptolake.sources.onchain.second_voice import Borne

What = Literal["emitters", "values"]
"""The contracts whose logs are asked for; symbols, decimals, prices and rates of the events' tokens."""

_ENDS = 2  # a scan's first and last block: a contract that was replaced on the way stands in one list only


@dataclass(frozen=True, slots=True)
class Ground:
    """What was read at a block, by whom, and by whom again how many of its calls.

    `named` are the contracts whose logs are asked for as the market's row names them: of the others the chain does;
    `contradicted` who read something else while nobody can decide ("": nobody).
    """

    what: What
    block: int
    first: tuple[str, ...]
    second: tuple[str, ...]
    again: int
    calls: int
    named: tuple[str, ...] = ()
    problem: str = ""
    contradicted: str = ""

    @classmethod
    def of(cls, what: What, block: int, borne: Borne) -> Ground:
        """What was read and borne out so."""
        first, second = ((one,) if one else () for one in (borne.first, borne.second))
        names = tuple(name for one in first for name in one.split(", "))
        return cls(what, block, names, second, borne.again, borne.calls, (), borne.problem, borne.contradicted)

    def grade(self, voices: Mapping[str, str]) -> Grade:
        """How far it is proven; `voices` says who every endpoint is (net.voices). An unknown one may be any other."""
        if not (self.calls or self.first or self.second):
            return "receipts_root"  # nobody was asked anything, so that nothing rests on an answer
        said, again = ([voices.get(name, "") for name in names] for names in (self.first, self.second))
        if not (said and again and 0 < self.again <= self.calls and all(bear_out(a, b) for a in said for b in again)):
            return "one_voice"
        return "two_voices" if self.again == self.calls else "two_voices_sampled"

    def allows(self, voices: Mapping[str, str], asked: Collection[str]) -> Grade:
        """The highest grade that an answer may have which rests on it; `asked` are the contracts whose logs were asked for.

        That two operators agree is the most that state can be proven. It lowers no proof by receipts, which rests on two
        operators as well, but where it decides of whom the receipts were searched: both could leave out the same contract.
        """
        grade = self.grade(voices)
        return "receipts_root" if grade == "two_voices" and not self.lists(asked) else grade

    def lists(self, asked: Collection[str]) -> bool:
        """Whether the chain, and not the market's row, names some of the contracts whose logs were `asked` for."""
        return self.what == "emitters" and not set(asked) <= set(self.named)

    def to_json(self) -> dict[str, object]:
        """As a certificate keeps it."""
        return {
            "what": self.what,
            "block": self.block,
            "first": list(self.first),
            "second": list(self.second),
            "again": self.again,
            "calls": self.calls,
            "named": list(self.named),
            "problem": self.problem,
            "contradicted": self.contradicted,
        }


def grounds_of(certificate: Mapping[str, Any]) -> list[Ground]:
    """The grounds that a certificate names."""
    return [
        Ground(
            one["what"],
            int(one["block"]),
            tuple(map(str, one["first"])),
            tuple(map(str, one["second"])),
            int(one["again"]),
            int(one["calls"]),
            tuple(map(str, one.get("named") or ())),
            str(one["problem"]),
            str(one.get("contradicted") or ""),
        )
        for one in certificate.get("grounds") or ()
    ]


def missing(grounds: Sequence[Ground], calls: int) -> bool:
    """Whether grounds lack something that the answer rests on: who named the contracts at the beginning and at the end of its
    scan, or who read all that its events are valued with, so many `calls`.
    """
    named = sum(one.what == "emitters" for one in grounds) >= _ENDS
    valued = not calls or any(one.what == "values" and one.calls >= calls for one in grounds)
    return not (named and valued)


def least(logs: Grade, grounds: Iterable[Ground], voices: Mapping[str, str], asked: Collection[str]) -> Grade:
    """The grade of an answer whose logs are proven so far: the least of all that it rests on."""
    return weakest([logs, *(one.allows(voices, asked) for one in grounds)])


def most(grounds: Iterable[Ground], asked: Collection[str]) -> Grade:
    """The highest grade that an answer could have that rests on such things, whoever was asked."""
    return "two_voices" if any(one.lists(asked) and one.calls for one in grounds) else "receipts_root"


def shortcoming(logs: Grade, grounds: Iterable[Ground], voices: Mapping[str, str], asked: Collection[str]) -> str:
    """Why an answer is proven less far than its logs, in words; "" where it is not."""
    wording = {"emitters": "which contracts are asked", "values": "what the events are valued with"}
    said = [
        f"{wording[one.what]} at block {one.block} is borne out as {one.grade(voices)}"
        + (f": {one.problem}" if one.problem else "")
        for one in grounds
        if weakest([logs, one.allows(voices, asked)]) != logs
    ]
    return "; ".join(dict.fromkeys(said))
