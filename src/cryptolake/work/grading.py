"""What answers prove, where the ledger does not say so or says something else: their certificates count.

Those recorded before grades existed are graded once and the ledger told. No question is asked again for it. What does not
belong here: what a certificate proves (sources/onchain/grading).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from hashlib import sha256

from cryptolake.contracts import grades
from cryptolake.contracts.entry import SUSPECT, Entry
from cryptolake.contracts.grades import grade_of, weakest
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.contracts.source import Grades, Source
from cryptolake.lake.bronze import ONCHAIN, Bronze
from cryptolake.lake.read_proofs import ReadProof
from cryptolake.sources.onchain import certified, grading, grounds, history
from cryptolake.sources.onchain.grading import graded
from cryptolake.state.ledger import Ledger
from cryptolake.work.standing import ANSWERED


def graded_states(ledger: Ledger, bronze: Bronze) -> Mapping[Partition, Entry]:
    """The ledger's states, in which every answer of the chains that lies whole has its grade; new ones are recorded.

    An answer that is lost or not the recorded one stays without.
    """
    states = ledger.states()
    new = {}
    for partition, entry in states.items():
        if entry.grade is not None or entry.state not in ANSWERED or partition.dataset not in MARKET_DATASETS:
            continue
        raw = bronze.read(partition, ONCHAIN)
        if raw is not None and raw.digest == entry.digest:
            new[partition] = replace(entry, grade=graded(raw).grade)
    if not new:
        return states
    ledger.amend(new.values())
    return {**states, **new}


def certified_states(states: Mapping[Partition, Entry], bronze: Bronze) -> Mapping[Partition, Entry]:
    """The ledger's states, in which no answer of a market is proven further, or less doubted, than its own certificate says.

    Each certificate is read once (`lake.read_proofs`). Of an answer that is lost nothing is known but what the ledger says. The
    same mapping where the ledger claims too much of none.
    """
    less = {}
    for partition, entry in states.items():
        if entry.state not in ANSWERED or entry.digest is None or partition.dataset not in MARKET_DATASETS:
            continue
        if (proof := proof_of(bronze, partition, entry.digest)) is None:
            continue
        grade = None if entry.grade is None else weakest([grade_of(entry.grade), grade_of(proof.grade)])
        reason = SUSPECT if proof.doubted and entry.reason is None else entry.reason
        if (grade, reason) != (entry.grade, entry.reason):
            less[partition] = replace(entry, grade=grade, reason=reason)
    return {**states, **less} if less else states


def proof_of(bronze: Bronze, partition: Partition, digest: str, source: Source | None = None) -> ReadProof | None:
    """What lies in this very answer proves, of a market or of a price source that grades its own; None where it is lost."""
    if (known := bronze.proofs.of(digest, _reader())) is not None:
        return known
    raw = bronze.read(partition, ONCHAIN if source is None else source.name)
    if raw is None or raw.digest != digest:
        return None
    found = graded(raw)
    # Liquidations of before there were certificates prove nothing, and nobody contradicts them: `verify` calls them a gap.
    doubted = bool(found.doubts or (found.faults and b'"certificate":' in raw.payload))
    proof = ReadProof(source.grade(raw) if isinstance(source, Grades) else found.grade, doubted)
    bronze.proofs.note(digest, _reader(), proof)
    return proof


@cache
def _reader() -> str:
    """Digest of the code that tells what a certificate proves."""
    code = "\0".join(map(inspect.getsource, (certified, grades, grading, grounds, history)))
    return sha256(code.encode()).hexdigest()[:32]
