"""`LandedPoints`: a source that keeps the columns it read, so that an answer landed in this run is not read a second time.

The answers themselves are in bronze; what is kept here costs sixteen bytes a point.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.points import Points
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Source, Trip
from cryptolake.flow.reading import read


class LandedPoints:
    """The source given, with `points()`: everything `parse` read so far, by partition. Thread-safe."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._read: dict[Partition, Points] = {}

    @property
    def name(self) -> str:
        """The source's name."""
        return self._source.name

    @property
    def datasets(self) -> Sequence[Dataset]:
        """The source's datasets."""
        return self._source.datasets

    def keys(self, dataset: str) -> Sequence[str]:
        """The source's keys."""
        return self._source.keys(dataset)

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """The source's trips."""
        return self._source.trips(partitions)

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """The source's conversation."""
        return self._source.fetch(trip)

    def parse(self, raw: Raw) -> Points:
        """Read and remember; raises Skip as every reading does (`flow.reading`)."""
        points = Points.of(read(self._source, raw))
        with self._lock:
            self._read[raw.partition] = points
        return points

    def points(self) -> Points:
        """All that was read, in the order of partitions."""
        with self._lock:
            return Points.join(self._read[one] for one in sorted(self._read))
