"""Reading what was landed: an answer into its documented form and a ledger entry. No network; nothing is lost by failing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import structlog

from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import SUSPECT, Entry, State
from cryptolake.contracts.grades import at_least, grade_of
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.points import COLUMNS, Points
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Compares, Grades, Row, Source, Stamps, Weighs
from cryptolake.errors import Skip
from cryptolake.lake.bronze import Bronze, content_of
from cryptolake.lake.envelopes import KeptDoubt, LostAnswer

log = structlog.get_logger(__name__)


TIMES = ("pulled_at", "observed_at", "exchange_time")  # columns that say when something was so
AHEAD = timedelta(days=1)  # clocks differ, and a day may be named by its end
FIRST = datetime(2009, 1, 3, tzinfo=UTC)  # bitcoin's first block: an earlier time is a missing one, or of another unit


def read(source: Source, raw: Raw) -> Sequence[Row]:
    """The rows of an answer, as every step reads them: `parse`, and no row of a time that cannot be.

    Raises Skip: of `parse`, or `impossible_time` for a time before there was anything to tell of or after it was asked for.
    What is newest counts, so that one point of the future would hide every true one that comes later.
    """
    rows = _without_contradictions(source.parse(raw), raw)
    for at in _ends(rows):
        if not FIRST <= at <= raw.fetched_at + AHEAD:
            raise Skip(
                f"{source.name} {raw.partition.key}: the answer tells of {at:%Y-%m-%d %H:%M} UTC, and was asked for on "
                f"{raw.fetched_at:%Y-%m-%d}; it is kept and not loaded, run the same command again later",
                reason="impossible_time",
            )
    return rows


def _without_contradictions(rows: Sequence[Row], raw: Raw) -> Sequence[Row]:
    """The points of a series without the instants for which the answer gives several values: nobody knows which one holds.

    Raises Skip where nothing else is left: what says only what it contradicts itself is no answer, and not an empty one.
    """
    if not rows or not (isinstance(rows, Points) or COLUMNS.keys() <= rows[0].keys()):
        return rows
    frame = Points.of(rows).frame
    key = [name for name in COLUMNS.names() if name != "value"]
    odd = frame.select((pl.col("value").n_unique().over(key) > 1).alias("odd"))["odd"] if _repeats(frame, key) else None
    if odd is None or not odd.any():
        return rows
    first = frame.filter(odd).row(0, named=True)
    log.warning(
        "points left out, the answer gives several values for one instant; it is kept",
        partition=str(raw.partition),
        points=int(odd.sum()),
        first=f"{first['asset']} {first['metric_name']} {first['pulled_at']:%Y-%m-%d %H:%M}",
    )
    if odd.all():
        raise Skip(
            f"{raw.partition}: the answer gives several values for each of its instants; it is kept and not loaded, run the "
            "same command again later",
            reason="contradicts_itself",
        )
    if isinstance(rows, Points):
        return Points(frame.filter(~odd))
    return [row for row, left_out in zip(rows, odd, strict=True) if not left_out]


def _repeats(frame: pl.DataFrame, key: Sequence[str]) -> bool:
    return bool(frame.select(key).is_duplicated().any())


def _ends(rows: Sequence[Row]) -> Iterator[datetime]:
    """The first and the last of every column of times."""
    columns: Iterable[Iterable[object]]
    if isinstance(rows, Points):
        at = rows.frame["pulled_at"]
        columns = [(at.min(), at.max())]
    else:
        columns = [[row.get(name) for row in rows] for name in TIMES]
    for column in columns:
        if times := [one if one.tzinfo else one.replace(tzinfo=UTC) for one in column if isinstance(one, datetime)]:
            yield min(times)
            yield max(times)


def interpret(source: Source, raw: Raw, bronze: Bronze) -> Entry:
    """Read a landed answer and write its documented form. No network; a parse failure loses nothing."""
    try:
        rows = read(source, raw)
    except Skip as error:
        return entry(raw.partition, "failed", digest=raw.digest, block=raw.block, reason=error.reason, error=str(error))
    bronze.document(raw, rows)
    if isinstance(source, Stamps):
        bronze.keep_rows(raw, rows, reader=source.reader(raw.partition.key))
    # A source that doubts an answer has the row say so instead of passing for sound.
    why = source.weigh(raw) if isinstance(source, Weighs) else None
    why = why or contradicted(source, raw, bronze, rows)
    return entry(
        raw.partition,
        "done" if rows else "empty",
        rows=len(rows),
        digest=raw.digest,
        block=raw.block,
        reason=SUSPECT if why else None,
        error=why,
        grade=source.grade(raw) if isinstance(source, Grades) else None,
    )


def contradicted(source: Source, raw: Raw, bronze: Bronze, rows: Sequence[Row]) -> str | None:
    """Why the doubt that lies beside an answer is not settled by it; None where it is, or where there is none."""
    doubt = doubt_of(source, raw.partition, bronze)
    if not isinstance(source, Compares):
        return None
    if doubt is not None:
        if doubt.lost is not None and (why := _less_than(source, raw, rows, doubt.lost)) is not None:
            return why
        if doubt.says and (why := _unsettled(source, raw, doubt)) is not None:
            return why
    # A doubt belongs to blocks, whatever period they are told in: of a day, of its hours.
    for one in sharing(source, raw.partition):
        of_other = bronze.doubt(one, source.name)
        if of_other is None or not of_other.says:
            continue
        if (why := _unsettled(source, raw, of_other)) is not None:
            return f"{why} (of {one.period})"
    return None


def sharing(source: Source, partition: Partition) -> list[Partition]:
    """The partitions whose answers are of blocks of this one: those with its last block, where a source tells of instants."""
    ends = {one.name for one in source.datasets if one.reach == "as_of"}
    return partition.sharing(ends=partition.dataset in ends)


def _unsettled(source: Compares, raw: Raw, doubt: KeptDoubt) -> str | None:
    """Why an answer does not settle a doubt. A rival of another period counts where it says something else."""
    if doubt.rival is None:
        return None if source.decides(raw) else doubt.says
    stands = source.compare(raw, doubt.rival)
    if doubt.rival.partition != raw.partition and not stands.apart:
        return None
    return stands.doubt or (None if stands.new else stands.why or doubt.says)


def doubt_of(source: Source, partition: Partition, bronze: Bronze) -> KeptDoubt | None:
    """The doubt that lies beside a partition's answer, where the source's answers are held against those of before."""
    return bronze.doubt(partition, source.name) if isinstance(source, Compares) else None


def lost_words(lost: LostAnswer) -> str:
    """What is known of an answer that is gone."""
    rows = "" if lost.rows is None else f" and had {counted(lost.rows, 'row')}"
    return f"the answer of before, which is lost or damaged, was {grade_of(lost.grade)}{rows}"


def _less_than(source: Compares, raw: Raw, rows: Sequence[Row], lost: LostAnswer) -> str | None:
    """Why an answer does not stand for one that is gone; None where it proves as much and shows the same, or settles it."""
    grade = grade_of(source.grade(raw) if isinstance(source, Grades) else None)
    before, words = grade_of(lost.grade), lost_words(lost)
    if not at_least(grade, before):
        return f"{words}; this one is {grade}: run `cryptolake collect --grade {before.removesuffix('_root')}`"
    fewer = lost.rows is not None and len(rows) < lost.rows
    same = lost.rows in (None, len(rows)) and (lost.content is None or lost.content == content_of(raw.partition, rows))
    if same or (source.decides(raw) and not (fewer and at_least(before, "two_voices") and grade == before)):
        return None
    return f"{words}; this one has {counted(len(rows), 'row')}{'' if fewer else ' that say otherwise'}"


def read_rows(source: Source, partitions: Iterable[Partition], bronze: Bronze) -> list[Row]:
    """The rows of every kept answer that can be read. One that cannot stands as failed in the ledger since it landed."""
    found = (bronze.read(partition, source.name) for partition in partitions)
    return [row for raw in found if raw is not None for row in _readable(source, raw)]


def read_recorded(
    source: Source, answers: Iterable[tuple[Partition, str]], bronze: Bronze
) -> tuple[list[Row], list[Partition]]:
    """The rows of these answers, each with the digest it was recorded by, and those that do not lie there so any more."""
    rows: list[Row] = []
    lost = []
    for partition, digest in answers:
        raw = bronze.read(partition, source.name)
        if raw is None or raw.digest != digest:
            lost.append(partition)
        else:
            rows.extend(_readable(source, raw))
    return rows, lost


def _readable(source: Source, raw: Raw) -> Sequence[Row]:
    try:
        return read(source, raw)
    except Skip as error:
        log.warning("answer left out", partition=str(raw.partition), reason=error.reason, error=str(error))
        return ()


def entry(
    partition: Partition,
    state: State,
    *,
    rows: int | None = None,
    digest: str | None = None,
    block: int | None = None,
    reason: str | None = None,
    error: str | None = None,
    grade: str | None = None,
) -> Entry:
    """What happened to a partition just now; the run adds who and in which attempt."""
    return Entry(
        partition,
        state,
        datetime.now(UTC),
        rows=rows,
        digest=digest,
        block=block,
        reason=reason,
        error=error,
        grade=grade,
    )
