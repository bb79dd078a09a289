"""Verification: is every answer there and whole, every chain-day accounted for by block, and did anybody contradict it?

Reads every answer, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from cryptolake.contracts.entry import SETTLED, SUSPECT, Entry, said
from cryptolake.contracts.grades import Grade, at_least, grade_of, weakest
from cryptolake.contracts.partition import Partition, Period
from cryptolake.lake.bronze import ONCHAIN, Bronze
from cryptolake.net.liars import Accuser, alone, resting_on
from cryptolake.net.voices import grade_of_absence
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.grading import Graded, graded
from cryptolake.sources.onchain.presence import doubted_absence
from cryptolake.work.absences import absence_reaches, contradicted_absences
from cryptolake.work.attainable import highest_of
from cryptolake.work.overlaps import overlapping
from cryptolake.work.price_evidence import DOUBTED_WORDS, LOST_WORDS, PRICES_WEAKER, PriceProof, prices_behind
from cryptolake.work.standing import MarketDay
from cryptolake.work.workload import EVENTS

Verdict = Literal["complete", "weak", "suspect", "gap"]


@dataclass(frozen=True, slots=True)
class Verified:
    """One market and period of a dataset, and what its proof is worth; `grade` is None where no answer was read.

    `problem` says why it is proven no further than it is ("": it is as far as was wished for); `alike` names operators that
    erred in the same way about a block of it, and are probably one. `by_prices` says whether the prices of the day are wanting,
    `by_prices_alone` that the answer itself is not.
    """

    partition: Partition
    verdict: Verdict
    says: tuple[str, ...] = ()
    grade: Grade | None = None
    problem: str = ""
    alike: tuple[str, ...] = ()
    by_prices: bool = False
    by_prices_alone: bool = False


def verify(
    wanted: Iterable[Partition],
    states: Mapping[Partition, Entry],
    bronze: Bronze,
    source: str,
    *,
    least: Grade = "one_voice",
    accused: Callable[[str], Accuser] | None = None,
    csus: Mapping[str, Csu] | None = None,
    priced: Mapping[MarketDay, PriceProof] | None = None,
) -> list[Verified]:
    """Judge every wanted partition: its answer must be whole. Of liquidations, touching periods must also touch in blocks.

    What is complete and proven less far than `least`, or than the ledger says, is weak; what the ledger calls suspect is, and
    what rests alone on those that `accused` names of a market's chain. An absence that the market's row (of `csus`) or another
    day contradicts is a gap. What the prices (`priced`) of a day are worth counts like the answer itself.
    """
    not_absent, differing = contradicted_absences(states, csus or {}), overlapping(states, bronze)
    found = []
    ends: dict[str, tuple[Period, int]] = {}
    for partition in sorted(set(wanted), key=lambda one: (one.dataset, one.key, one.period)):
        entry = states.get(partition)
        if entry is None or entry.state not in SETTLED:
            why = (
                "never collected"
                if entry is None
                else f"{said(entry.state)}: {entry.error or entry.reason or ''}".strip(": ")
            )
            found.append(Verified(partition, "gap", (f"{why}; run `cryptolake collect` with the same selection",)))
            continue
        if partition in not_absent:
            words = f"{not_absent[partition]}; run `cryptolake ledger repair`, then `cryptolake collect`"
            found.append(Verified(partition, "gap", (words,)))
            continue
        if entry.state == "gone" and entry.reason == "not_deployed":
            found.append(_absence(partition, entry, least))
            continue
        if entry.state == "gone":
            found.append(Verified(partition, "complete", (entry.reason or said(entry.state),)))
            continue
        raw = bronze.read(partition, source)
        if raw is None or raw.digest != entry.digest:
            found.append(
                Verified(
                    partition,
                    "gap",
                    ("its answer is missing or damaged; run `cryptolake collect` with the same selection",),
                )
            )
            continue
        payload = orjson.loads(raw.payload)
        proof = graded(raw, payload)
        wrong = list(proof.faults)
        before = ends.get(partition.key)
        # A snapshot is of one block: there is nothing between two of them.
        if partition.dataset == EVENTS and "from_block" in payload and "to_block" in payload:
            if (
                before is not None
                and before[0].end == partition.period.start
                and payload["from_block"] != before[1] + 1
            ):
                wrong.append(f"it begins at block {payload['from_block']}, the period before ended at {before[1]}")
            ends[partition.key] = (partition.period, payload["to_block"])
        doubted = [*proof.doubts, *([] if wrong else _accused(payload, accused, partition, proof))]
        doubted += [] if wrong or entry.reason == SUSPECT else differing(raw)
        if entry.reason == SUSPECT and not doubted:
            doubted = [entry.error or "somebody contradicted it"]
        enough = highest_of(partition.dataset, least)
        weak = [] if proof.reaches(enough) else [_weakness(proof, enough)]
        if entry.grade is not None and not at_least(proof.grade, grade_of(entry.grade)):
            weak.append(
                f"the ledger says {entry.grade}, the answer proves {proof.grade}; run `cryptolake ledger repair`"
            )
        own = bool(wrong or doubted or weak)
        prices = prices_behind(priced or {}, entry)
        wrong += [LOST_WORDS] if prices.lost else []
        doubted += [DOUBTED_WORDS] if prices.doubted else []
        grade, says = proof.grade, proof.says
        if prices.grade is not None and not at_least(prices.grade, grade):
            grade, says = prices.grade, PRICES_WEAKER
            weak += [] if at_least(grade, enough) else [f"{grade}: {says}; {_asking_for(enough)}"]
        verdict: Verdict = "gap" if wrong else "suspect" if doubted else "weak" if weak else "complete"
        if verdict != "weak":
            weak = []
        told = (*wrong, *doubted, *weak)
        by_prices = bool(told) and (prices.lost or prices.doubted or says == PRICES_WEAKER)
        found.append(Verified(partition, verdict, told, grade, says, proof.alike, by_prices, by_prices and not own))
    return found


def _absence(partition: Partition, entry: Entry, least: Grade) -> Verified:
    """What the proof of an absence is worth, by who said it."""
    words = entry.error or ""
    grade, enough = grade_of_absence(words), weakest([highest_of(partition.dataset, least), "two_voices"])
    if doubted_absence(words):
        return Verified(partition, "suspect", (words,), grade)
    if not absence_reaches(words, least):
        return Verified(partition, "weak", (f"{grade}: {words}; {_asking_for(enough)}",), grade, words)
    return Verified(partition, "complete", ("not_deployed",), grade)


def _accused(
    payload: Mapping[str, object], accused: Callable[[str], Accuser] | None, partition: Partition, proof: Graded
) -> list[str]:
    """Why liquidations are suspect that rest on proven liars alone; empty where they do not."""
    given = payload.get("certificate")
    if accused is None or partition.dataset != EVENTS or not isinstance(given, Mapping):
        return []
    words = resting_on(alone(given, accused(partition.key), by_roots=proof.by_roots))
    return [words] if words else []


def _asking_for(grade: Grade) -> str:
    """The command that has a day proven that far, in the command line's own words."""
    return f"run `cryptolake collect --grade {grade.removesuffix('_root')}` with the same selection"


def _weakness(proof: Graded, enough: Grade) -> str:
    """Why an answer is proven no further than it is, and less than is wanted, in words."""
    sampled = proof.grade == "two_voices_sampled" and proof.noticed is not None
    chance = f"; one dropped log is noticed with {proof.noticed:.0%}" if sampled else ""
    return f"{proof.grade}{chance}{f': {proof.says}' if proof.says else ''}; {_asking_for(enough)}"


def worth_asking(found: Iterable[Verified], most: Callable[[Partition], Grade]) -> list[Verified]:
    """What is wanting, but for what is only weak and proven as far as can be had (`most`) already."""
    return [
        one
        for one in found
        if one.verdict != "complete"
        and not (one.verdict == "weak" and one.grade is not None and at_least(one.grade, most(one.partition)))
    ]


def proven_so_far(bronze: Bronze, least: Callable[[Partition], Grade], partition: Partition, digest: str) -> bool:
    """Whether a settled answer is unharmed and proven as far as is wished for it or further."""
    raw = bronze.read(partition, ONCHAIN)
    return raw is not None and raw.digest == digest and graded(raw).reaches(least(partition))
