"""`fenced`: a source out of a file that was dropped in, whose faults are told as that file's, whenever they show.

What a source gives is held against what `Source` says it gives, here and at once: later nobody could tell whose it was. What
does not belong here: what a source must declare (sources.found) and what is done about a partition that failed (flow).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptolake.contracts.partition import NO_NAME, Granularity, Partition, can_name
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Asked, Counts, Dataset, Grades, Prepares, Row, Source, Stamps, Trip, Weighs
from cryptolake.errors import Skip, Stop
from cryptolake.files.foreign import fence

_POINT = frozenset(
    {"pulled_at", "source", "asset", "metric_name", "value"}
)  # the columns of contracts.points, which is heavy
BROKEN_READER = "schema_drift"  # a reader that breaks on an answer does not know its layout


def fenced(source: Source, file: str) -> Source:
    """The source, as its `file` opened it, behind a fence; it keeps whatever it offers beside `Source`."""
    found = _Counting(source, file) if isinstance(source, Counts) else FencedSource(source, file)
    if isinstance(source, Prepares):
        found.prepare = _call(source.prepare, file)  # type: ignore[attr-defined]  # offered only where the file offers it
    if isinstance(source, Stamps):
        found.reader = _call(source.reader, file)  # type: ignore[attr-defined]
    if isinstance(source, Grades):
        found.grade = _call(source.grade, file)  # type: ignore[attr-defined]
    if isinstance(source, Weighs):
        found.weigh = _call(source.weigh, file)  # type: ignore[attr-defined]
    return found


def unfenced(source: Source) -> Source:
    """The source itself, for who knows its class and asks it more than every source offers."""
    return source._source if isinstance(source, FencedSource) else source  # this file's own


class FencedSource:
    """A source whose every fault is a `Stop` or, of one answer alone, a `Skip` that names the file."""

    def __init__(self, source: Source, file: str) -> None:
        self._source, self._file = source, file
        self._name, self._datasets = source.name, tuple(source.datasets)
        self._series = {one.name for one in self._datasets if one.feeds == "metrics"}

    @property
    def name(self) -> str:
        """The source's name, as it was when it was opened."""
        return self._name

    @property
    def datasets(self) -> Sequence[Dataset]:
        """The source's datasets, as they were when it was opened."""
        return self._datasets

    def keys(self, dataset: str) -> Sequence[str]:
        """The source's keys. Raises Stop when they are no names, or one is there twice."""
        with fence(self._file, f"keys({dataset!r})"):
            found = self._source.keys(dataset)
            if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
                raise TypeError("gave no list of texts")
            if odd := [one for one in found if not can_name(one)]:
                raise ValueError(f"{odd[0]!r} {NO_NAME}")
            if len(set(found)) < len(found):
                raise ValueError("gave a key twice")
            return found

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """The source's trips. Raises Stop unless every partition lies in exactly one."""
        wanted = list(partitions)
        with fence(self._file, "trips"):
            found = list(self._source.trips(wanted))
            if not all(isinstance(one, Trip) for one in found):
                raise TypeError("gave something that is no conversation of contracts.source")
            if sorted(one for trip in found for one in trip.partitions) != sorted(wanted):
                raise ValueError("did not put every partition into exactly one conversation")
        return iter(found)

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """The source's conversation. Raises Stop for an outcome of another kind or of another trip's partition."""
        asked = set(trip.partitions)
        with fence(self._file, f"fetch of {trip.label}"):
            answers = iter(self._source.fetch(trip))
        try:
            while True:
                with fence(self._file, f"fetch of {trip.label}"):
                    try:
                        outcome = next(answers)
                    except StopIteration:
                        return
                    if not isinstance(outcome, Raw | Miss):
                        raise TypeError(f"gave a {type(outcome).__name__}, which is neither Raw nor Miss")
                    if outcome.partition not in asked:
                        raise ValueError(f"answered {outcome.partition} twice, or without being asked for it")
                    asked.discard(outcome.partition)
                    if isinstance(outcome, Raw) and outcome.source != self._name:
                        raise ValueError(f"gave an answer of source {outcome.source!r}")
                yield outcome
        finally:
            if isinstance(answers, Generator):
                answers.close()  # lets a scan keep what it has

    def parse(self, raw: Raw) -> Sequence[Row]:
        """The source's reading. Raises Skip when it breaks on this answer: others may be read, and the answer is kept."""
        where = f"parse of {raw.partition.dataset} {raw.partition.key}"
        try:
            with fence(self._file, where, "the answer is kept; correct the file and run the same command again"):
                rows: Any = self._source.parse(raw)
                return self._rows(rows, is_series=raw.partition.dataset in self._series)
        except Stop as error:
            if error.__cause__ is None:
                raise
            raise Skip(str(error), reason=BROKEN_READER) from error.__cause__

    def _rows(self, rows: Any, *, is_series: bool) -> Sequence[Row]:
        """The rows, those of `metrics` as columns. Raises TypeError or ValueError for what would be lost."""
        from cryptolake.contracts.points import Points  # heavy, and needed once an answer is read

        if not isinstance(rows, Points) and not (
            isinstance(rows, Sequence) and all(isinstance(one, Mapping) for one in rows)
        ):
            raise TypeError("gave no sequence of rows")
        if not is_series:
            found: Sequence[Row] = rows
            return found
        if not isinstance(rows, Points):
            for row in rows:
                _require_point(row)
        points = Points.of(rows)
        if empty := [one for one in points.frame.columns if points.frame[one].null_count()]:
            raise ValueError(
                f"{empty[0]} is missing, or of another type than `metrics` has; leave out what is no value"
            )
        if points.frame.height and points.frame["source"].unique().to_list() != [self._name]:
            raise ValueError(f"a row has another source than {self._name!r}")
        return points


def _require_point(row: Row) -> None:
    """Raises ValueError or TypeError for a row that columns would take for another one, or take a part of."""
    if extra := sorted(set(row) - _POINT):
        raise ValueError(
            f"a row has {extra[0]!r}, which `metrics` has not; give it a dataset of its own or leave it out"
        )
    if isinstance(row.get("value"), bool | str):
        raise TypeError(f"a row has the value {row['value']!r}; write a number")
    at = row.get("pulled_at")
    if isinstance(at, datetime) and at.tzinfo is None:
        raise ValueError(f"pulled_at {at} has no time zone; write it in UTC")
    for name in ("asset", "metric_name"):
        if isinstance(text := row.get(name), str) and (not text.strip() or not text.isprintable()):
            raise ValueError(f"{text!r} cannot be an {name.partition('_')[0]}'s name; write it in printable characters")


class _Counting(FencedSource):
    """One that counts its requests."""

    @property
    def asked(self) -> Asked:
        """The source's own count."""
        with fence(self._file, "asked"):
            found: Asked = self._source.asked  # type: ignore[attr-defined]
            if not isinstance(found, Asked):
                raise TypeError("is no Asked")
            return found


def _call(method: Callable[..., object], file: str) -> Callable[..., object]:
    """The optional method, behind the same fence."""

    def called(*arguments: Collection[str] | Granularity | Raw | str) -> object:
        with fence(file, method.__name__):
            return method(*arguments)

    return called
