"""`RemoteSource`: a source whose conversations are held by the workers of a cluster. Planning and landing stay here.

To the flow it is a source like any other, so claims, retries, bronze and ledger work as on one machine. What does not belong
here: how a cluster is opened, and what a worker does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from cryptolake.cluster.worker_list import WorkerList
from cryptolake.contracts.grades import Grade, is_borne_out
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Compares, Dataset, Grades, Row, Source, Stamps, Stands, Trip, Weighs
from cryptolake.errors import CryptolakeError
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.blocks import Header

if TYPE_CHECKING:  # the engine is an extra; this module is also read where it is not installed
    from cryptolake.cluster.fleet import Fleet

Bounds = Mapping[int, Header]  # the last block before an instant (seconds since 1970, UTC)
Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class RemoteAnswers:
    """What a worker brings back from a trip: its answers, the error that ended it, and who it was (`host:pid`).

    `requests` is how many HTTP requests that worker has sent so far. `discovered` are files of events that name markets'
    parts which have grown, by name.
    """

    outcomes: tuple[Raw | Miss, ...]
    error: CryptolakeError | None
    worker: str
    seconds: float
    requests: int
    discovered: Files


# Both run on a worker and are sent there by name.
Answer = Callable[[Trip, Bounds, Files], RemoteAnswers]
FindBounds = Callable[[str, Sequence[int]], Bounds]


@dataclass(frozen=True, slots=True)
class CarriedFiles:
    """What a trip takes along so that no worker asks for what another found out.

    `chain_of` names the chain a partition is asked of (None: nothing is asked for it), `files` the discovered files of a
    chain, and `keep` stores such files.
    """

    chain_of: Callable[[Partition], str | None]
    boundaries: FileBlockCache
    files: Callable[[str], Files]
    keep: Callable[[Files], None]


class Asking(Source, Stamps, Grades, Weighs, Compares, Protocol):
    """What is asked through a cluster: a source that says by which code its answers are read, and weighs them."""


class RemoteSource:
    """`inner`, asked by the workers of `fleet`. Thread-safe."""

    def __init__(
        self,
        inner: Asking,
        fleet: Fleet,
        *,
        answer: Answer,
        find: FindBounds,
        carried: CarriedFiles,
        listed: WorkerList,
    ) -> None:
        self._inner, self._fleet, self._answer, self._find = inner, fleet, answer, find
        self._carried, self._listed = carried, listed
        self._lock = threading.Lock()
        self._instants: dict[str, set[int]] = {}
        self._finding: dict[str, threading.Lock] = {}

    @property
    def name(self) -> str:
        """As the inner source."""
        return self._inner.name

    @property
    def datasets(self) -> Sequence[Dataset]:
        """As the inner source."""
        return self._inner.datasets

    def keys(self, dataset: str) -> Sequence[str]:
        """As the inner source."""
        return self._inner.keys(dataset)

    def parse(self, raw: Raw) -> Sequence[Row]:
        """As the inner source."""
        return self._inner.parse(raw)

    def reader(self, key: str) -> str:
        """As the inner source: answers are read here, when they land."""
        return self._inner.reader(key)

    def weigh(self, raw: Raw) -> str | None:
        """As the inner source: whoever is proven a liar by a worker's answer is known here."""
        return self._inner.weigh(raw)

    def grade(self, raw: Raw) -> Grade:
        """As the inner source."""
        return self._inner.grade(raw)

    def compare(self, new: Raw, kept: Raw) -> Stands:
        """As the inner source."""
        return self._inner.compare(new, kept)

    def decides(self, raw: Raw) -> bool:
        """As the inner source."""
        return self._inner.decides(raw)

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """As the inner source. The boundaries that all of them need are remembered, to be found together."""
        asked = list(partitions)
        with self._lock:
            for partition in asked:
                chain = self._carried.chain_of(partition)
                if chain is not None:
                    self._instants.setdefault(chain, set()).update(_instants(partition))
        return self._inner.trips(asked)

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """One task of the cluster; asked again on another worker when its worker dies. Raises by reaction.

        Raises SchedulerGone, which ends a run, when the cluster itself is lost.
        """
        chains = sorted({chain for one in trip.partitions if (chain := self._carried.chain_of(one)) is not None})
        files: dict[str, bytes] = {}
        for chain in chains:
            self._find_together(chain)
            files |= self._carried.files(chain)
        answered = self._fleet.ask(trip.label, self._answer, trip, self._known(trip), files)
        self._carried.keep(answered.discovered)
        self._listed.answered(
            answered.worker,
            partitions=len(answered.outcomes),
            failed=answered.error is not None,
            seconds=answered.seconds,
            requests=answered.requests,
        )
        yield from answered.outcomes
        if answered.error is not None:
            raise answered.error

    def _find_together(self, chain: str) -> None:
        """The first trip of a chain has the boundaries of all of them found, by one worker."""
        with self._lock:
            first = self._finding.setdefault(chain, threading.Lock())
        with first:
            with self._lock:
                wanted = self._instants.pop(chain, set())
            kept = {at: self._carried.boundaries.get(chain, at) for at in wanted}
            # What only one voice said is found again by whoever can ask a second one.
            unknown = sorted(at for at, header in kept.items() if header is None or not is_borne_out(header.grade))
            if unknown:
                self._carried.boundaries.put(chain, self._fleet.ask(f"boundaries {chain}", self._find, chain, unknown))

    def _known(self, trip: Trip) -> dict[int, Header]:
        found = {}
        for partition in trip.partitions:
            chain = self._carried.chain_of(partition)
            for at in _instants(partition) if chain is not None else ():
                if chain is not None and (header := self._carried.boundaries.get(chain, at)) is not None:
                    found[at] = header
        return found


def _instants(partition: Partition) -> tuple[int, int]:
    bounds: tuple[datetime, datetime] = partition.period.start, partition.period.end
    return int(bounds[0].timestamp()), int(bounds[1].timestamp())
