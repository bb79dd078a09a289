"""`Dataset`, `Trip` and the `Source` protocol: what every vendor and the chain itself look like to the flow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw

Row = Mapping[str, object]
Reach = Literal["as_of", "window", "whole_history"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A question asked every day.

    `feeds` names the silver table its rows go to. `every` is the cadence, due `at_minute` past it (UTC).
    `reach`: `as_of` answers the state at the period's end, `window` the events inside the period, `whole_history` the
    entire series as known when asked. `needs` names the setting that holds a required secret, or None.
    """

    name: str
    feeds: str
    doc: str
    reach: Reach
    every: Literal["day", "hour"] = "day"
    at_minute: int = 5
    needs: str | None = None


@dataclass(frozen=True, slots=True)
class Trip:
    """A set of partitions that one conversation answers; the unit of work. `label` is for progress lines."""

    source: str
    label: str
    partitions: tuple[Partition, ...]


class Source(Protocol):
    """What the flow needs of a source. `fetch` is the only member that talks to the outside; `parse` is pure."""

    @property
    def name(self) -> str:
        """Stable name, also the bronze folder of a vendor and `metrics.source`."""
        ...

    @property
    def datasets(self) -> Sequence[Dataset]:
        """The questions this source answers."""
        ...

    def keys(self, dataset: str) -> Sequence[str]:
        """Every key (CSU, entity) the dataset is asked for, sorted."""
        ...

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """Group wanted partitions into conversations; every partition lands in exactly one trip. No network."""
        ...

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Hold the conversation; yield one Raw or Miss per partition once known. Raises errors by reaction."""
        ...

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Read an answer into rows of the table named by the dataset's `feeds`. Pure; raises Skip when unreadable."""
        ...
