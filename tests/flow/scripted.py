"""A source whose conversations are scripted: what each partition answers, attempt by attempt. No network."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Trip

Answer = Raw | Miss | Exception


def day(number: int, key: str = "a", dataset: str = "tvl") -> Partition:
    """A partition of December 2024 and after."""
    return Partition(dataset, key, Period.of_day(date(2024, 12, 1) + timedelta(days=number)))


def raw(partition: Partition) -> Raw:
    """An answer."""
    now = datetime(2025, 1, 1, tzinfo=UTC)
    return Raw(partition, "onchain", now, now, str(partition).encode())


@dataclass
class Scripted:
    """`script[partition]` lists the answers in order; a partition without one (left) is simply answered."""

    script: Mapping[Partition, Sequence[Answer]] = field(default_factory=dict)
    per_trip: int = 1
    told: Callable[[Partition], None] = lambda _partition: None

    name = "onchain"
    datasets: Sequence[Dataset] = (Dataset("tvl", "tvl", "", "as_of"), Dataset("liquidations", "", "", "window"))

    def __post_init__(self) -> None:
        self.asked: Counter[Partition] = Counter()
        self.order: list[Partition] = []
        self._lock = threading.Lock()

    def keys(self, dataset: str) -> Sequence[str]:
        """Three."""
        return ["a", "b", "c"]

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """In order, some at a time."""
        waiting = sorted(partitions)
        for start in range(0, len(waiting), self.per_trip):
            yield Trip(self.name, str(start), tuple(waiting[start : start + self.per_trip]))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """By the script."""
        for partition in trip.partitions:
            with self._lock:
                self.asked[partition] += 1
                self.order.append(partition)
                answers = list(self.script.get(partition, ()))[self.asked[partition] - 1 :]
            self.told(partition)
            answer = answers[0] if answers else raw(partition)
            if isinstance(answer, Exception):
                raise answer
            yield answer

    def parse(self, raw: Raw) -> Sequence[Row]:
        """One row."""
        return [{"csu": raw.partition.key}]
