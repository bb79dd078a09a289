"""Landing an answer where one lies already: which of the two stands is decided first, and neither is thrown away.

The one road by which anything that was answered is replaced. What does not belong here: what makes an answer stand (sources),
and asking (collect).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from cryptolake.contracts.entry import SUSPECT, Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Compares, Source, Weighs
from cryptolake.errors import Skip
from cryptolake.flow.reading import entry, interpret, read, sharing
from cryptolake.lake.bronze import ONCHAIN, Bronze
from cryptolake.lake.envelopes import KeptDoubt, LostAnswer

log = structlog.get_logger(__name__)
ANSWERED = ("done", "empty")


def land(source: Source, new: Raw, bronze: Bronze, landed: Callable[[Entry], None] = lambda _entry: None) -> Entry:
    """Keep an answer, in the place of the one that is there or beside it; the entry of the one that stands.

    `landed` is told of the new one once it lies in its place, before it is read.
    """
    kept = bronze.read(new.partition, source.name) if isinstance(source, Compares) else None
    if kept is None or not isinstance(source, Compares) or kept.digest == new.digest:
        return _take(source, new, bronze, landed)
    try:
        read(source, kept)
    except Skip:  # what the present reader cannot read may show what contradicts the new one all the same
        stands = source.compare(new, kept)
        if says := stands.doubt or ("" if stands.new else stands.why):
            bronze.keep_doubt(new.partition, source.name, KeptDoubt(says, kept))
        return _take(source, new, bronze, landed)
    try:
        read(source, new)
    except Skip as error:
        bronze.lay_beside(new)
        return _stays(source, kept, bronze, str(error))
    if isinstance(source, Weighs):
        source.weigh(new)  # whom it proves a liar counts at once
    stands = source.compare(new, kept)
    if stands.doubt:  # before anything moves: killed in between, it is known all the same
        bronze.keep_doubt(new.partition, source.name, KeptDoubt(stands.doubt, kept if stands.new else new))
    if stands.new:
        return _take(source, new, bronze, landed)
    if not stands.doubt:
        bronze.lay_beside(new)
    log.warning("an answer does not replace the one of before", partition=str(new.partition), why=stands.why)
    return _stays(source, kept, bronze, "" if stands.doubt else stands.why)


def set_apart(source: Source, new: Entry, bronze: Bronze) -> Iterator[Entry]:
    """The entries of whichever of a landed answer and of those that share blocks with it (a day and its hours) are doubted for
    each other: both, where nobody can decide, else the one that is contradicted by what is proven.
    """
    if not isinstance(source, Compares) or new.state not in ANSWERED:
        return
    others = [kept for one in sharing(source, new.partition) if (kept := bronze.read(one, source.name)) is not None]
    raw, doubted = bronze.read(new.partition, source.name) if others else None, set[Partition]()
    if raw is None:
        return
    for one, rival in (pair for kept in others for pair in ((raw, kept), (kept, raw))):
        stands = source.compare(one, rival)
        if not stands.apart or (stands.new and not stands.doubt):
            continue
        if bronze.doubt(one.partition, source.name) is None:
            bronze.keep_doubt(one.partition, source.name, KeptDoubt(stands.doubt or stands.why, rival))
        doubted.add(one.partition)
    for partition in sorted(doubted):
        if (found := bronze.read(partition, source.name)) is not None:
            yield interpret(source, found, bronze)


def dispute(source: Source, miss: Miss, bronze: Bronze) -> None:
    """Remember that two who were asked say different things, so that one of them alone settles nothing later."""
    if isinstance(source, Compares) and bronze.doubt(miss.partition, source.name) is None:
        bronze.keep_doubt(miss.partition, source.name, KeptDoubt(miss.message))


def remember_lost(source: Source, known: Entry, bronze: Bronze) -> None:
    """Where the answer that the ledger knows is gone or damaged, remember what is known of it: no less takes its place unseen.

    Before anybody is asked, so that neither a failure nor a run that is killed forgets it.
    """
    partition = known.partition
    if known.digest is None or not isinstance(source, Compares) or (known.rows is None and known.grade is None):
        return
    if bronze.holds(partition, source.name, known.digest):
        return
    before = bronze.doubt(partition, source.name) or KeptDoubt("")
    content = bronze.documented_content(partition) if source.name == ONCHAIN else None
    lost = LostAnswer(known.rows, known.grade, content)
    bronze.keep_doubt(partition, source.name, replace(before, lost=before.lost or lost))


def still_stands(before: Entry, why: str) -> Entry:
    """The entry of an answer that stays, with what became of asking again beside it."""
    told = f"asked again on {datetime.now(UTC):%Y-%m-%d}, and the answer of before stands: {why}"
    said = (before.error or "").partition("; asked again on ")[0] if before.reason == SUSPECT else ""
    return replace(before, at=datetime.now(UTC), error=f"{said}; {told}" if said else told)


def _take(source: Source, raw: Raw, bronze: Bronze, landed: Callable[[Entry], None]) -> Entry:
    digest = bronze.land(raw)
    landed(entry(raw.partition, "landed", digest=digest, block=raw.block))
    found = interpret(source, raw, bronze)
    if isinstance(source, Compares) and found.state in ANSWERED and found.reason is None:
        bronze.forget_doubt(raw.partition, source.name)
    return found


def _stays(source: Source, kept: Raw, bronze: Bronze, why: str) -> Entry:
    found = interpret(source, kept, bronze)
    return still_stands(found, why) if why and found.reason is None else found
