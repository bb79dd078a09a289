"""How far a kept answer is proven and what speaks against it, by what lies in it: one reading for whoever asks.

Ledger, tables, verification, opened cells and `why` ask here. A word in a certificate is believed only as far as its own
windows, second windows and operators bear it out; what stands beside the answer, outside of its digest, is never believed.
Answers that were made before there were grades, or before snapshots had certificates, are graded by what they prove.

What does not belong here: making certificates (certificate), what one says of its blocks (certified), and asking again what
is proven less far than is wished for (work).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from cryptolake.contracts import grades
from cryptolake.contracts.grades import Grade, at_least, grade_of, weakest
from cryptolake.contracts.raw import Raw
from cryptolake.registry.endpoints import operator_named
from cryptolake.registry.providers import UNTOLD, Operator
from cryptolake.sources.onchain.adopted import taken_over
from cryptolake.sources.onchain.certified import (
    asked_twice,
    contradictions,
    erring_alike,
    headers_grade,
    holes,
    parts_grade,
    proven_by_roots,
    speaks_for_another_block,
    two_voices,
    without_blocks,
)
from cryptolake.sources.onchain.grounds import grounds_of, least, missing, most

_LIQUIDATIONS = "liquidations"
UNPROVEN = ("grade", "doubt", "problem", "second", "asked_again")
"""Words that the provenance of earlier answers holds of its proof, outside of their digest: nobody shows or believes them."""

_COMPARED = ("same", "different")  # verdicts of a piece that a second endpoint did answer
_LACKS = "it does not hold who bore out all that it rests on; collect it again with --grade"
_UNREADABLE = "its certificate cannot be read; collect it again with --no-resume"


@dataclass(frozen=True, slots=True)
class Graded:
    """A grade, the probability that one log which the first voice dropped was noticed (None: nothing is said of that), and
    why the answer is proven no further ("" where nobody wished for more, or nothing more was found out).

    `faults` are the holes of its proof and `doubts` the contradictions in it, in words; both empty where it is sound. `alike`
    are voices that erred in the same way, and are probably one; `by_roots` is whether receipts prove its logs, whatever else it
    rests on. `most` is the highest grade there is for such an answer, whoever is asked.
    """

    grade: Grade
    noticed: float | None = None
    says: str = ""
    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    by_roots: bool = False
    most: Grade = "receipts_root"

    def reaches(self, wanted: Grade) -> bool:
        """Whether it is proven as far as is wished for, or as far as anything can prove it."""
        return at_least(self.grade, weakest([wanted, self.most]))


def graded(raw: Raw, payload: Mapping[str, Any] | None = None) -> Graded:
    """How far an answer of the chain is proven; `payload` is its content, for a caller that has read it already."""
    try:
        content = orjson.loads(raw.payload) if payload is None else payload
    except orjson.JSONDecodeError:
        return Graded("one_voice", says="its content cannot be read", faults=("its content cannot be read",))
    given = content.get("certificate") if isinstance(content, Mapping) else None
    if (told := taken_over(content)) is not None:
        return Graded(grades.UNPROVEN, says=told, doubts=(told,))
    try:
        if raw.partition.dataset != _LIQUIDATIONS:
            return _snapshot(content, given)
        if not isinstance(given, Mapping):
            words = "it was collected without a certificate"
            return Graded("one_voice", says=words, faults=(f"{words}; collect it again with --no-resume",))
        return _events(content, given)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return Graded("one_voice", says="its certificate cannot be read", faults=(_UNREADABLE,))


def _events(content: Mapping[str, Any], given: Mapping[str, Any]) -> Graded:
    """What a certificate of liquidations proves: the least of all that it rests on, by what it holds and by its own word."""
    faults, doubts = tuple(holes(content, given)), tuple(contradictions(given))
    by_roots, none = proven_by_roots(content, given), without_blocks(content, given)
    if "grade" not in given:
        found = _by_opinions(given)
    elif by_roots:
        found = Graded("receipts_root", 1.0)
    elif given.get("unread"):  # whose logs they are that nobody could compare is anybody's guess
        found = Graded("one_voice", 0.0)
    else:
        share = 1.0 if none else asked_twice(given)  # of none all were asked of whoever there is
        found = Graded("two_voices" if share == 1.0 else "two_voices_sampled" if share else "one_voice", share)
    logs, headers = found.grade, headers_grade(content, given)
    grounds, voices = grounds_of(given), given.get("voices") or {}
    asked = [str(one) for one in content.get("filters") or ()]
    valued = len({(str(to), str(data)) for stored in content.get("context") or () for to, data, *_ in stored})
    resting = (
        logs if none else "one_voice" if asked and missing(grounds, valued) else least(logs, grounds, voices, asked)
    )
    grade = headers if headers == "one_voice" else resting
    says = found.says if grade == logs else _LACKS if not given.get("problem") else ""
    told = replace(found, grade=grade, says=says)
    if "grade" in given:
        told = _no_further_than_said(told, given)
    alike = erring_alike(given)
    highest = "two_voices" if none else most(grounds, asked)
    return replace(told, faults=faults, doubts=doubts, alike=alike, by_roots=by_roots, most=highest)


def _no_further_than_said(earned: Graded, given: Mapping[str, Any]) -> Graded:
    """The grade that both the certificate's word and what it holds bear out."""
    word, noticed = given["grade"], given.get("noticed")
    problem = str(given.get("problem") or given.get("sampled_because") or "")
    said = grade_of(word if isinstance(word, str) else None)
    chance = None if not isinstance(noticed, float) else min(noticed, round(earned.noticed or 0.0, 6))
    if not at_least(earned.grade, said):
        problem = problem or earned.says or f"what it holds does not bear out {said}"
    return Graded(weakest([said, earned.grade]), chance, problem)


def _snapshot(content: object, given: object) -> Graded:
    """What the certificate of a snapshot proves; without one (as snapshots were kept before) nobody is known to bear it out."""
    if not isinstance(content, Mapping) or not isinstance(given, Mapping):
        return Graded("one_voice", says="no second operator had to bear it out then")
    faults = tuple(speaks_for_another_block(content, given))
    read = read_grade(content)
    grade = weakest([read, headers_grade(content, given), parts := parts_grade(content, given)])
    found = _no_further_than_said(Graded(grade, says=_LACKS if grade != read else ""), given)
    why = str((given.get("parts") or {}).get("problem") or "")
    if why and (not found.says or found.says == _LACKS) and parts == grade:
        found = replace(found, says=f"the events that name its parts: {why}")
    # One that is only asked besides, and reads something else while nobody can decide, fails nothing and is not kept silent.
    doubts = dict.fromkeys(str(one) for one in (given.get("contradicted"), content.get("contradicted")) if one)
    if not doubts and given.get("verdict", "complete") != "complete":
        doubts = {"its certificate does not call it complete, and does not say who contradicted it": None}
    return replace(found, faults=faults, doubts=tuple(doubts), alike=erring_alike(given))


def read_grade(content: Mapping[str, Any]) -> Grade:
    """How far what was read at a block is borne out, by the certificate beside it; of the block itself it says nothing."""
    given = content["certificate"]
    again, calls = int(given["asked_again"]), int(given["calls"])
    asked = {(str(to), str(data)) for stored in content.get("rounds", ()) for to, data, *_ in stored}
    borne = two_voices(given) and 0 < again <= calls and len(asked) <= calls
    return "one_voice" if not borne else "two_voices" if again == calls else "two_voices_sampled"


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
    known = one is not None and other is not None and UNTOLD not in (one.upstream, other.upstream)
    return known and one is not None and other is not None and not _names(one) & _names(other)


def _names(operator: Operator) -> set[str]:
    return {name for name in (operator.name, operator.upstream) if name}
