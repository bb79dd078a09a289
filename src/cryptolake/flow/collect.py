"""Collecting: the only step that talks to the outside. Land the answer first, interpret it second, record both.

What does not belong here: which partitions to ask for (plan) and what becomes of them (journey).
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from cryptolake.contracts.entry import Entry, State
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Row, Source, Trip
from cryptolake.errors import CryptolakeError, Retry, Skip, Stop
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.ledger import Ledger

log = structlog.get_logger(__name__)

WORKER = f"{socket.gethostname()}:{os.getpid()}"
Progress = Callable[[Partition, str], None]


@dataclass(slots=True)
class Collected:
    """What a collection did: partitions by final state, and the entries of those that failed."""

    done: int = 0
    empty: int = 0
    gone: int = 0
    failed: int = 0
    elsewhere: int = 0  # claimed by another run that is still at work
    failures: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Count one final entry."""
        match entry.state:
            case "done":
                self.done += 1
            case "empty":
                self.empty += 1
            case "gone":
                self.gone += 1
            case _:
                self.failed += 1
                self.failures.append(entry)


def collect(
    source: Source,
    partitions: Iterable[Partition],
    *,
    bronze: Bronze,
    ledger: Ledger,
    workers: int = 5,
    lease_s: float = 3600.0,
    progress: Progress = lambda _partition, _state: None,
    stopping: threading.Event | None = None,
) -> Collected:
    """Answer every partition of one source, trip by trip on `workers` threads.

    Killed at any moment, a second call finishes the rest: an answer that was landed but not read is read again without
    asking. A failing trip marks only its own partitions failed. Raises Stop when nothing can be stored (disk full).
    """
    stopping = stopping or threading.Event()
    asked = sorted(set(partitions))
    for holder in ledger.holders():
        if _has_died(holder):
            ledger.release(holder)
    mine = ledger.claim(asked, WORKER, lease_s)
    result = Collected(elsewhere=len(asked) - len(mine))
    lock = threading.Lock()

    def settle(entry: Entry) -> None:
        ledger.append(entry)
        with lock:
            result.add(entry)
        progress(entry.partition, entry.state)

    def travel(trip: Trip) -> None:
        if not stopping.is_set():
            _travel(source, trip, bronze, ledger, settle)

    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="trip") as threads:
        futures: list[Future[None]] = [threads.submit(travel, trip) for trip in source.trips(sorted(mine))]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stopping.set()
            raise
        finally:
            if stopping.is_set():
                threads.shutdown(wait=True, cancel_futures=True)
            ledger.release(WORKER)
    return result


def _has_died(worker: str) -> bool:
    """Whether a worker of this machine no longer runs, so that a killed run's claims need not wait for their lease."""
    host, _, pid = worker.rpartition(":")
    if host != socket.gethostname() or sys.platform == "win32":  # there signal 0 would end the process
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _travel(source: Source, trip: Trip, bronze: Bronze, ledger: Ledger, settle: Callable[[Entry], None]) -> None:
    """Hold one conversation; every partition of the trip ends in exactly one final entry.

    Errors of the source fail what is still open; errors of the lake (disk full) pass through and end the run.
    """
    still_open = dict.fromkeys(trip.partitions)
    reason, message = "unanswered", f"{source.name} did not answer this partition; run the same command again"
    answers = source.fetch(trip)
    while True:
        try:
            outcome = next(answers)
        except StopIteration:
            break
        except CryptolakeError as error:
            reason, message = _reason(error), str(error)
            break
        if isinstance(outcome, Miss):
            entry = _entry(outcome.partition, outcome.state, reason=outcome.reason, error=outcome.message)
        else:
            ledger.append(_entry(outcome.partition, "landed", digest=bronze.land(outcome), block=outcome.block))
            entry = interpret(source, outcome, bronze)
        settle(entry)
        still_open.pop(outcome.partition, None)
    for partition in still_open:
        log.warning("partition failed", partition=str(partition), reason=reason, error=message)
        settle(_entry(partition, "failed", reason=reason, error=message))


def _reason(error: CryptolakeError) -> str:
    """The stable code under which a failed conversation is filed."""
    match error:
        case Skip():
            return error.reason
        case Retry():
            return "unreachable"
        case Stop():
            return "stopped"
        case _:
            return "too_big"


def interpret(source: Source, raw: Raw, bronze: Bronze) -> Entry:
    """Read a landed answer and write its documented form. No network; a parse failure loses nothing."""
    try:
        rows = source.parse(raw)
    except Skip as error:
        return _entry(
            raw.partition, "failed", digest=raw.digest, block=raw.block, reason=error.reason, error=str(error)
        )
    bronze.document(raw, rows)
    # A source marks an answer it has reason to doubt; the row says so instead of passing for sound.
    return _entry(
        raw.partition,
        "done" if rows else "empty",
        rows=len(rows),
        digest=raw.digest,
        block=raw.block,
        reason=raw.provenance.get("doubt"),
    )


def read_rows(source: Source, partitions: Iterable[Partition], bronze: Bronze) -> list[Row]:
    """The rows of every kept answer that can be read. One that cannot stands as failed in the ledger since it landed."""
    rows: list[Row] = []
    for partition in partitions:
        raw = bronze.read(partition, source.name)
        if raw is None:
            continue
        try:
            rows.extend(source.parse(raw))
        except Skip as error:
            log.warning("answer left out", partition=str(partition), reason=error.reason, error=str(error))
    return rows


def _entry(
    partition: Partition,
    state: State,
    *,
    rows: int | None = None,
    digest: str | None = None,
    block: int | None = None,
    reason: str | None = None,
    error: str | None = None,
) -> Entry:
    return Entry(
        partition, state, datetime.now(UTC), WORKER, rows=rows, digest=digest, block=block, reason=reason, error=error
    )
