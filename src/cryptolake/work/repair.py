"""Making ledger and bronze agree again: what was landed is known, what is damaged is asked again, dead claims are dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptolake.app import App
from cryptolake.contracts.entry import SETTLED, Entry
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.contracts.source import Source
from cryptolake.errors import BadInput, CryptolakeError, Stop
from cryptolake.flow.claims import WORKER, release_dead
from cryptolake.flow.reading import entry, interpret
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.set_aside import move_damaged
from cryptolake.sources.onchain.families import families
from cryptolake.state.checkpoints import Claimed, read_checkpoint
from cryptolake.state.ledger import Ledger
from cryptolake.work.absences import doubt_absences
from cryptolake.work.grading import graded_states
from cryptolake.work.liars import judge_earlier_days
from cryptolake.work.market_days import EVERYTHING, MarketDays
from cryptolake.work.price_sources import price_sources


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair found: newest entries corrected, claims of dead workers dropped, answers adopted, damaged, or read anew.

    `read_anew` are answers that the present reader finds another number of rows in, or cannot read any more.
    """

    corrected: int
    claims_dropped: int
    adopted: int
    damaged: tuple[Partition, ...]
    read_anew: tuple[Partition, ...] = ()


def repair_ledger(app: App) -> tuple[Repaired, Path | None]:
    """Make the ledger sound and agree with bronze; also where an unreadable ledger file was put (None: it was sound)."""
    aside = _readable(app)

    def known(name: str) -> bool:
        return name in app.registry.csus and app.registry.csus[name].family in families()

    source = app.onchain(list(app.registry.csus.values()))
    repaired = repair(app.ledger, app.bronze, source, known=known, prices=price_sources(app).values())
    doubt_absences(app.ledger, app.registry.csus)
    judge_earlier_days(app)  # answers that were read before the one that proves a liar
    return repaired, aside


def _readable(app: App) -> Path | None:
    """Put a ledger file that SQLite cannot read aside; where it lies then, None when the ledger is sound."""
    path, refusal = app.folder.ledger, None
    try:
        if app.ledger.fault() is None:
            return None
    except Stop as error:
        if not path.exists():
            raise
        refusal = error
    app.forget_ledger()
    aside = move_damaged(path)
    if aside is None and refusal is not None:
        raise refusal
    return aside


def import_checkpoints(
    app: App, files: Iterable[Path], dataset: str | None = None, only: MarketDays = EVERYTHING
) -> tuple[Imported, list[str]]:
    """Take over checkpoint files of either documented shape; also the markets in them that the registry does not know.

    `dataset` is that of a file whose name does not say it; what is not of `only` is left out and counted. Raises BadInput
    naming what is wrong with a file.
    """
    claims, strangers, left_out = [], set(), 0
    for path in files:
        for claim in read_checkpoint(path, dataset):
            try:
                name = app.registry.csu(claim.partition.key).name
            except BadInput:
                strangers.add(claim.partition.key)
                continue
            named = replace(claim, partition=replace(claim.partition, key=name))
            if only.holds(named.partition):
                claims.append(named)
            else:
                left_out += 1
    csus = [app.registry.csus[name] for name in sorted({claim.partition.key for claim in claims})]
    found = import_claims(claims, app.ledger, app.bronze, app.onchain(csus))
    return replace(found, left_out=left_out), sorted(strangers)


def repair(
    ledger: Ledger,
    bronze: Bronze,
    source: Source,
    *,
    known: Callable[[str], bool],
    prices: Iterable[Source] = (),
) -> Repaired:
    """Check everything against everything; needs no network. `known` tells which markets can be read.

    Answers of price sources are looked for too: what is gone of them counts no more.

    A settled partition whose answer is gone or not the recorded one becomes `failed` with reason `damaged`, so that the
    next run asks it again. A whole answer that the ledger does not know is read and recorded, and so is one in which the
    present reader finds something else than the ledger counted; one that it cannot read any more becomes `failed`.
    """
    corrected = ledger.rebuild_latest()
    dropped = release_dead(ledger)
    on_disk = set(bronze.answers())
    told_by = {dataset.name: one.name for one in prices for dataset in one.datasets}
    everything = graded_states(ledger, bronze)
    states = {partition: one for partition, one in everything.items() if partition.dataset in MARKET_DATASETS}
    damaged = [
        partition
        for partition, one in everything.items()
        if (partition in states or partition.dataset in told_by)
        and one.state in SETTLED
        and one.digest is not None
        and not bronze.intact(partition, one.digest, told_by.get(partition.dataset, source.name))
    ]
    ledger.append_many(
        replace(
            entry(
                partition,
                "failed",
                reason="damaged",
                error="its answer is missing or damaged; run `cryptolake "
                f"{'prices collect' if partition.dataset in told_by else 'collect --retry-failed'}`",
            ),
            worker=WORKER,
            attempt=everything[partition].attempt,
            # What it proved is known still, and nothing less takes its place unseen.
            rows=everything[partition].rows,
            digest=everything[partition].digest,
            grade=everything[partition].grade,
        )
        for partition in damaged
    )
    lost = set(damaged)
    read_anew = [
        partition
        for partition, one in sorted(states.items())
        if one.state in {"done", "empty"}
        and known(partition.key)
        and partition not in lost
        and _read_anew(one, ledger, bronze, source)
    ]
    unknown = [one for one in on_disk if known(one.key) and (one not in states or states[one].state not in SETTLED)]
    adopted = sum(adopt(partition, ledger, bronze, source) for partition in sorted(unknown))
    return Repaired(corrected, dropped, adopted, tuple(sorted(damaged)), tuple(read_anew))


def _read_anew(before: Entry, ledger: Ledger, bronze: Bronze, source: Source) -> bool:
    """Read a settled answer again and record the reading if it is another; whether it is."""
    raw = bronze.read(before.partition, source.name)
    if raw is None:
        return False
    read = interpret(source, raw, bronze)
    found = replace(read, grade=read.grade or before.grade)  # what cannot be graded now may have been
    if (found.state, found.rows, found.reason, found.grade) == (before.state, before.rows, before.reason, before.grade):
        return False
    ledger.append(replace(found, worker=WORKER, attempt=before.attempt))
    return True


def adopt(partition: Partition, ledger: Ledger, bronze: Bronze, source: Source) -> bool:
    """Read and record an answer the ledger does not know; False when there is no whole one that can be read."""
    raw = bronze.read(partition, source.name)
    if raw is None:
        return False
    try:
        found = interpret(source, raw, bronze)
    except CryptolakeError:
        return False
    if found.state not in SETTLED:
        return False
    before = ledger.state(partition)
    ledger.append(replace(found, worker=WORKER, attempt=before.attempt if before else 1))
    return True


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: already known, adopted with their answers, without an answer here, and failures noted.

    `left_out` are those that were not of the selection.
    """

    known: int
    adopted: int
    unanswered: int
    failures: int
    left_out: int = 0


def import_claims(claims: Iterable[Claimed], ledger: Ledger, bronze: Bronze, source: Source) -> Imported:
    """Take over what a checkpoint says, as far as it can be proven.

    A completed day counts only with its whole answer in bronze: without it the day stays to be asked. Failures are noted
    with reason `imported` where nothing better is known.
    """
    known = adopted = unanswered = failures = 0
    noted: list[Entry] = []
    for claim in claims:
        before = ledger.state(claim.partition)
        if before is not None and before.state in SETTLED:
            known += 1
        elif claim.completed and adopt(claim.partition, ledger, bronze, source):
            adopted += 1
        elif claim.completed:
            unanswered += 1
        elif before is None:
            failures += 1
            now = datetime.now(UTC)
            noted.append(Entry(claim.partition, "failed", now, WORKER, reason="imported", error=claim.error))
        else:
            known += 1
    ledger.append_many(noted)
    return Imported(known, adopted, unanswered, failures)
