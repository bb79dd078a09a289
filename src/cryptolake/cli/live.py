"""Live progress of a collection: a bar per chain, calls a second, retries, time left; plain lines where there is no terminal.

Goes to standard error. The time left comes from the blocks still to be scanned, not from partitions already counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cryptolake.contracts.partition import Partition
from cryptolake.flow.collect import WORKER
from cryptolake.net.rpc import Pool
from cryptolake.sources.onchain.scans import Scanned
from cryptolake.watch.health import RunHealth, endpoints_of

_LINE_EVERY_S = 10.0  # without a terminal


class Live:
    """Told of every finished partition and scanned window; shows them. Thread-safe."""

    def __init__(self, label: str, total: int, pools: Callable[[], Sequence[Pool]], bars: Progress | None) -> None:
        self._label, self._total, self._pools, self._bars = label, total, pools, bars
        self._lock = threading.Lock()
        self._done, self._failed = 0, 0
        self._chains: dict[str, tuple[TaskID | None, Scanned]] = {}
        self._started = self._said = time.monotonic()
        self._began = datetime.now(UTC)
        self._task = bars.add_task(label, total=total, note="") if bars is not None else None
        self._err = Console(stderr=True)
        self.rates_by: Callable[[], str] | None = None  # who tells the rates when other machines ask

    def partition(self, partition: Partition, state: str) -> None:
        """One partition has its final state."""
        with self._lock:
            self._done += 1
            self._failed += state == "failed"
            if self._bars is not None and self._task is not None:
                self._bars.update(self._task, completed=self._done, note=f"{partition} {state}  {self.rates()}")
            else:
                self._say(
                    f"{self._label}: {self._done}/{self._total} {partition} {state}", last=self._done == self._total
                )

    def more(self, partitions: int) -> None:
        """More work has turned up."""
        with self._lock:
            self._total += partitions
            if self._bars is not None and self._task is not None:
                self._bars.update(self._task, total=self._total)

    def health(self, workers: int) -> RunHealth:
        """The run as it stands, for those who watch from elsewhere."""
        with self._lock:
            chains = {name: (scanned.done, scanned.total) for name, (_, scanned) in self._chains.items()}
            done, failed = self._done, self._failed
        return RunHealth(
            worker=WORKER,
            what=self._label,
            started=self._began,
            at=datetime.now(UTC),
            total=self._total,
            done=done,
            failed=failed,
            workers=workers,
            chains=chains,
            endpoints=endpoints_of(self._pools()),
        )

    def scanned(self, scanned: Scanned) -> None:
        """A log window of a chain was answered."""
        with self._lock:
            task, _ = self._chains.get(scanned.chain, (None, scanned))
            if self._bars is not None:
                if task is None:
                    task = self._bars.add_task(f"  {scanned.chain}", total=scanned.total, note="")
                note = f"{scanned.done:,} of {scanned.total:,} blocks"
                self._bars.update(task, completed=scanned.done, total=scanned.total, note=note)
            else:
                done = f"{scanned.done:,} of {scanned.total:,} blocks scanned"
                self._say(f"{self._label}: {scanned.chain} {done}{self._left(scanned)}, {self.rates()}", last=False)
            self._chains[scanned.chain] = (task, scanned)

    def rates(self) -> str:
        """Requests a second and retries so far, over all chains."""
        if self.rates_by is not None:
            return self.rates_by()
        stations = [station for pool in self._pools() for station in pool.stations]
        seconds = max(1e-3, time.monotonic() - self._started)
        requests, retries = sum(one.requests for one in stations), sum(one.retries for one in stations)
        return f"{requests / seconds:,.1f} requests/s, {retries:,} retries"

    def _left(self, scanned: Scanned) -> str:
        seconds = time.monotonic() - self._started
        return f", about {(scanned.total - scanned.done) * seconds / scanned.done:,.0f} s left" if scanned.done else ""

    def _say(self, text: str, *, last: bool) -> None:
        now = time.monotonic()
        if last or now - self._said >= _LINE_EVERY_S:
            self._said = now
            self._err.print(text, markup=False, highlight=False)


@contextmanager
def live(label: str, total: int, pools: Callable[[], Sequence[Pool]]) -> Iterator[Live]:
    """Bars on a terminal, a line every ten seconds elsewhere."""
    if not Console(stderr=True).is_terminal:
        yield Live(label, total, pools, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield Live(label, total, pools, bars)
