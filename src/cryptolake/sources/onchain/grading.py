"""How far a kept answer is proven, by what lies in it: one reading for ledger, tables, verification and opened cells.

Answers that were made before grades are graded by what their certificates prove. What does not belong here: making
certificates (certificate), and asking again what is proven less far than is wished for (work).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from cryptolake.contracts.grades import Grade, at_least, grade_of, weakest
from cryptolake.contracts.raw import Raw
from cryptolake.registry.endpoints import operator_named
from cryptolake.registry.providers import Operator
from cryptolake.sources.onchain.grounds import grounds_of, least, most

_LIQUIDATIONS = "liquidations"
_COMPARED = ("same", "different")  # verdicts of a piece that a second endpoint did answer


@dataclass(frozen=True, slots=True)
class Graded:
    """A grade, the probability that one log which the first voice dropped was noticed (None: nothing is said of that), and
    why the answer is proven no further ("" where nobody wished for more, or nothing more was found out).

    `most` is the highest grade there is for such an answer, whoever is asked.
    """

    grade: Grade
    noticed: float | None = None
    says: str = ""
    most: Grade = "receipts_root"

    def reaches(self, wanted: Grade) -> bool:
        """Whether it is proven as far as is wished for, or as far as anything can prove it."""
        return at_least(self.grade, weakest([wanted, self.most]))


def graded(raw: Raw, payload: Mapping[str, Any] | None = None) -> Graded:
    """How far an answer of the chain is proven; `payload` is its content, for a caller that has read it already."""
    if raw.partition.dataset != _LIQUIDATIONS:
        given = raw.provenance.get("grade")
        return (
            Graded("one_voice", says="no second operator had to bear it out then")
            if given is None
            else Graded(grade_of(given))
        )
    try:
        content = orjson.loads(raw.payload) if payload is None else payload
    except orjson.JSONDecodeError:
        return Graded("one_voice", says="its content cannot be read")
    given = content.get("certificate") if isinstance(content, Mapping) else None
    if not isinstance(given, Mapping):
        return Graded("one_voice", says="it was collected without a certificate")
    if "grade" not in given:
        return _grounded(_by_opinions(given), content, given)
    noticed = given.get("noticed")
    found = Graded(
        grade_of(str(given["grade"])),
        noticed if isinstance(noticed, float) else None,
        str(given.get("problem") or ""),
    )
    return _grounded(found, content, given)


def _grounded(found: Graded, content: Mapping[str, Any], given: Mapping[str, Any]) -> Graded:
    """The same, but no further than what was read from contracts for it is borne out."""
    grounds = grounds_of(given)
    if grounds is not None:
        voices = given.get("voices")
        least_of_all = least(found.grade, grounds, voices if isinstance(voices, Mapping) else {})
        return replace(found, grade=least_of_all, most=most(grounds))
    if found.grade == "one_voice" or not (content.get("context") or len(content.get("filters", ())) > 1):
        return found
    return replace(found, grade="one_voice", says="contracts were read for it, and by one operator alone then")


def _by_opinions(given: Mapping[str, Any]) -> Graded:
    """What a certificate proves that was made before grades: pieces of windows were compared with another endpoint.

    It names endpoints, not operators. A comparison counts where both names tell whose they are and these are two.
    """
    blocks = int(given["to_block"]) - int(given["from_block"]) + 1
    compared = [one for one in given.get("opinions", ()) if one["verdict"] in _COMPARED]
    if not compared or blocks < 1:
        return Graded("one_voice", 0.0, "no other endpoint was asked then")
    by_two = [one for one in compared if _two_operators(str(one["first"]), str(one["second"]))]
    if not by_two:
        return Graded(
            "one_voice", 0.0, "whose the endpoints were that compared it is not known: they count as one voice"
        )
    share = min(1.0, sum(int(one["end"]) - int(one["start"]) for one in by_two) / blocks)
    return Graded("two_voices" if share == 1.0 else "two_voices_sampled", share)


def _two_operators(first: str, second: str) -> bool:
    one, other = operator_named(first), operator_named(second)
    return one is not None and other is not None and not _names(one) & _names(other)


def _names(operator: Operator) -> set[str]:
    return {name for name in (operator.name, operator.upstream) if name}
