"""Verification: is every answer there and whole, every chain-day accounted for by block, and did anybody contradict it?

Reads every answer, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from cryptolake.contracts.entry import SETTLED, SUSPECT, Entry, said
from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition, Period
from cryptolake.lake.bronze import ONCHAIN, Bronze
from cryptolake.net.liars import Accuser, alone, resting_on
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.certificate import doubts, faults
from cryptolake.sources.onchain.grading import Graded, graded
from cryptolake.work.absences import contradicted_absences

Verdict = Literal["complete", "weak", "suspect", "gap"]


@dataclass(frozen=True, slots=True)
class Verified:
    """One market and period of a dataset, and what its proof is worth; `grade` is None where no liquidations were read.

    `problem` says why it is proven no further than it is ("": it is as far as was wished for).
    """

    partition: Partition
    verdict: Verdict
    says: tuple[str, ...] = ()
    grade: Grade | None = None
    problem: str = ""


def verify(
    wanted: Iterable[Partition],
    states: Mapping[Partition, Entry],
    bronze: Bronze,
    source: str,
    *,
    least: Grade = "one_voice",
    accused: Callable[[str], Accuser] | None = None,
    csus: Mapping[str, Csu] | None = None,
) -> list[Verified]:
    """Judge every wanted partition: its answer must be whole. Of liquidations, touching periods must also touch in blocks.

    What is complete and proven less far than `least` is weak; what the ledger calls suspect is, and what rests alone on those
    that `accused` names of a market's chain. An absence that the market's row (of `csus`) or another day contradicts is a gap.
    """
    not_absent = contradicted_absences(states, csus or {})
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
        if partition.dataset != "liquidations":  # a snapshot is of one block: there is nothing between two of them
            said_so = (entry.error or "somebody contradicted it",) if entry.reason == SUSPECT else ()
            found.append(Verified(partition, "suspect" if said_so else "complete", said_so))
            continue
        payload = orjson.loads(raw.payload)
        wrong = faults(payload)
        before = ends.get(partition.key)
        if "from_block" in payload and "to_block" in payload:  # else it has no proof, which is said already
            if (
                before is not None
                and before[0].end == partition.period.start
                and payload["from_block"] != before[1] + 1
            ):
                wrong.append(f"it begins at block {payload['from_block']}, the period before ended at {before[1]}")
            ends[partition.key] = (partition.period, payload["to_block"])
        doubted = [*doubts(payload), *_accused(payload, accused, partition.key)]
        if entry.reason == SUSPECT and not doubted:
            doubted = [entry.error or "somebody contradicted it"]
        proof = graded(raw, payload)
        weak = not proof.reaches(least)
        verdict: Verdict = "gap" if wrong else "suspect" if doubted else "weak" if weak else "complete"
        said_weak = [_weakness(proof)] if verdict == "weak" else []
        found.append(Verified(partition, verdict, (*wrong, *doubted, *said_weak), proof.grade, proof.says))
    return found


def _accused(payload: Mapping[str, object], accused: Callable[[str], Accuser] | None, csu: str) -> list[str]:
    """Why an answer is suspect that rests on proven liars alone; empty where it does not."""
    given = payload.get("certificate")
    if accused is None or not isinstance(given, Mapping):
        return []
    words = resting_on(alone(given, accused(csu)))
    return [words] if words else []


def _weakness(proof: Graded) -> str:
    """Why an answer is proven no further, in words."""
    sampled = proof.grade == "two_voices_sampled" and proof.noticed is not None
    chance = f"; one dropped log is noticed with {proof.noticed:.0%}" if sampled else ""
    return f"{proof.grade}{chance}{f': {proof.says}' if proof.says else ''}; run `cryptolake collect --grade`"


def proven_so_far(bronze: Bronze, least: Grade, partition: Partition, digest: str) -> bool:
    """Whether a settled answer is unharmed and, where it is of liquidations, proven as far as this grade or further."""
    raw = bronze.read(partition, ONCHAIN)
    if raw is None or raw.digest != digest:
        return False
    return partition.dataset != "liquidations" or graded(raw).reaches(least)
