"""`Dataset`, `Trip` and the `Source` protocol: what every vendor and the chain itself look like to the flow.

What does not belong here: what a vendor declares of itself (`contracts.vendor`) and how tables look (`contracts.table`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import NO_NAME, Granularity, Partition, can_name
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.wellformed import require_types

if TYPE_CHECKING:  # heavy, and most sources have no table of their own
    import polars as pl

    from cryptolake.contracts.table import Table

Row = Mapping[str, object]
Reach = Literal["as_of", "window", "whole_history"]
_MINUTES = {"day": 24 * 60, "hour": 60}


@dataclass(frozen=True, slots=True)
class Dataset:
    """A question asked every day.

    `feeds` names the silver table its rows go to, or one of the source's own. `every` is the cadence, due `at_minute` past
    it (UTC). `reach`: `as_of` answers the state at the period's end, `window` the events inside the period, `whole_history`
    the entire series as known when asked. `needs` names the required key of the vendor's, or None; `granted` is False where
    it is not set, and then nothing is asked. `live` and `history` say which of the two operations
    (`pull`, `backfill`) the vendor can answer.
    """

    name: str
    feeds: str
    doc: str
    reach: Reach
    every: Literal["day", "hour"] = "day"
    at_minute: int = 5
    needs: str | None = None
    granted: bool = True
    live: bool = True
    history: bool = True

    def __post_init__(self) -> None:
        require_types(self)
        if not can_name(self.name):
            raise ValueError(f"dataset: {self.name!r} {NO_NAME}")
        if not 0 <= self.at_minute < _MINUTES[self.every]:
            latest = _MINUTES[self.every] - 1
            raise ValueError(
                f"dataset {self.name}: at_minute={self.at_minute} is not 0 to {latest}, minutes past the {self.every}"
            )


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A table of a source's own: its contract, and the pure function from rows of `parse` to a frame of the contract."""

    table: Table
    conform: Callable[[Sequence[Row]], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Trip:
    """A set of partitions that one conversation answers; the unit of work. `label` is for progress lines.

    `asked` names who is asked, where a source asks several who may fail apart (a chain): their trips take turns.
    """

    source: str
    label: str
    partitions: tuple[Partition, ...]
    asked: str = ""

    def __post_init__(self) -> None:
        require_types(self)


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


@runtime_checkable
class Prepares(Protocol):
    """A source that asks a few bulk questions once per operation, before its keys are final."""

    def prepare(self, datasets: Collection[str], granularity: Granularity) -> None:
        """Ask them in parallel and forget those of the last operation; `hour` for a pull, `day` for a backfill."""
        ...


@runtime_checkable
class Hears(Protocol):
    """A source that tells while it asks whether anybody answers."""

    def silent(self, asked: str) -> bool:
        """Whether those named by a trip's `asked` have answered nothing for some seconds, though they are being asked."""
        ...


@runtime_checkable
class Stamps(Protocol):
    """A source whose readings are kept beside the answers, so that an answer is read once, when it lands."""

    def reader(self, key: str) -> str:
        """Digest of the code that reads the key's answers: what other code read is read again."""
        ...


@runtime_checkable
class Grades(Protocol):
    """A source whose answers tell how far they are proven."""

    def grade(self, raw: Raw) -> Grade:
        """How far an answer is proven, by what lies in it. Pure."""
        ...


@runtime_checkable
class Weighs(Protocol):
    """A source whose answers prove something of who gave them, so that another answer may be believed no longer."""

    def weigh(self, raw: Raw) -> str | None:
        """Remember what a landed answer proves of who answers; why it is suspect by all that is proven, None: it is not."""
        ...


@dataclass(frozen=True, slots=True)
class Stands:
    """Which of two answers to the same question stands: the `new` one or the one that was kept.

    `doubt` is why that one is suspect for what the other says ("": it is not), `why` why the other one does not count. `apart`:
    they say different things, whoever is right.
    """

    new: bool
    doubt: str = ""
    why: str = ""
    apart: bool = False


@runtime_checkable
class Compares(Protocol):
    """A source whose answers are held against what was answered before: nothing that is proven gives way to less."""

    def compare(self, new: Raw, kept: Raw) -> Stands:
        """Which of two answers stands, of one partition or of two that share blocks: only these are compared. Pure."""
        ...

    def decides(self, raw: Raw) -> bool:
        """Whether an answer is borne out so far that what two contradicted each other about is settled by it. Pure."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operation cost so far: requests sent, and how many of them were refused with 429."""

    requests: int = 0
    rate_limited: int = 0


@runtime_checkable
class Counts(Protocol):
    """A source that counts its requests."""

    @property
    def asked(self) -> Asked:
        """Requests since the source was opened."""
        ...
