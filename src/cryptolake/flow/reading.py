"""Reading what was landed: an answer into its documented form and a ledger entry. No network; nothing is lost by failing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from cryptolake.contracts.entry import Entry, State
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row, Source, Stamps
from cryptolake.errors import Skip
from cryptolake.lake.bronze import Bronze

log = structlog.get_logger(__name__)


def interpret(source: Source, raw: Raw, bronze: Bronze) -> Entry:
    """Read a landed answer and write its documented form. No network; a parse failure loses nothing."""
    try:
        rows = source.parse(raw)
    except Skip as error:
        return entry(raw.partition, "failed", digest=raw.digest, block=raw.block, reason=error.reason, error=str(error))
    bronze.document(raw, rows)
    if isinstance(source, Stamps):
        bronze.keep_rows(raw, rows, reader=source.reader(raw.partition.key))
    # A source marks an answer it has reason to doubt; the row says so instead of passing for sound.
    return entry(
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


def entry(
    partition: Partition,
    state: State,
    *,
    rows: int | None = None,
    digest: str | None = None,
    block: int | None = None,
    reason: str | None = None,
    error: str | None = None,
) -> Entry:
    """What happened to a partition just now; the run adds who and in which attempt."""
    return Entry(partition, state, datetime.now(UTC), rows=rows, digest=digest, block=block, reason=reason, error=error)
