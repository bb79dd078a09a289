"""`Pace`: how far a collection is, told by the collection, shown to whoever looks. Thread-safe; decides nothing.

What does not belong here: bars and lines (cli) and the file others read (`health`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import Partition
from cryptolake.flow.claims import WORKER
from cryptolake.net.rpc import Pool
from cryptolake.sources.onchain.scans import Scanned
from cryptolake.watch.health import RunHealth, endpoints_of


class Show(Protocol):
    """Somebody who looks on. Called under the pace's lock, one call at a time."""

    def partition(self, pace: Pace, partition: Partition, state: str) -> None:
        """A partition has its final state."""
        ...

    def more(self, pace: Pace) -> None:
        """More work has turned up."""
        ...

    def scanned(self, pace: Pace, scanned: Scanned) -> None:
        """A log window of a chain was answered."""
        ...


class Pace:
    """Counts of one run: `total` partitions to answer, how many are, and how far each chain's log scan has come."""

    def __init__(self, label: str, total: int, pools: Callable[[], Sequence[Pool]], show: Show | None = None) -> None:
        self.label, self.total, self.done, self.failed = label, total, 0, 0
        self.chains: dict[str, Scanned] = {}
        self.rates_by: Callable[[], str] | None = None  # who tells the rates when other machines ask
        self._pools, self._show = pools, show
        self._lock = threading.RLock()
        self._began, self._started = datetime.now(UTC), time.monotonic()

    def partition(self, partition: Partition, state: str) -> None:
        """One partition has its final state."""
        with self._lock:
            self.done += 1
            self.failed += state == "failed"
            if self._show is not None:
                self._show.partition(self, partition, state)

    def more(self, partitions: int) -> None:
        """More work has turned up."""
        with self._lock:
            self.total += partitions
            if self._show is not None:
                self._show.more(self)

    def scanned(self, scanned: Scanned) -> None:
        """A log window of a chain was answered."""
        with self._lock:
            self.chains[scanned.chain] = scanned
            if self._show is not None:
                self._show.scanned(self, scanned)

    def health(self, workers: int) -> RunHealth:
        """The run as it stands, for those who watch from elsewhere."""
        with self._lock:
            return RunHealth(
                worker=WORKER,
                what=self.label,
                started=self._began,
                at=datetime.now(UTC),
                total=self.total,
                done=self.done,
                failed=self.failed,
                workers=workers,
                chains={name: (one.done, one.total) for name, one in self.chains.items()},
                endpoints=endpoints_of(self._pools()),
            )

    def rates(self) -> str:
        """Requests a second and retries so far, over all chains."""
        if self.rates_by is not None:
            return self.rates_by()
        stations = [station for pool in self._pools() for station in pool.stations]
        requests, retries = sum(one.requests for one in stations), sum(one.retries for one in stations)
        return f"{requests / self.seconds():,.1f} requests/s, {counted(retries, 'retry', 'retries')}"

    def seconds(self) -> float:
        """Seconds since the run began, never zero."""
        return max(1e-3, time.monotonic() - self._started)
