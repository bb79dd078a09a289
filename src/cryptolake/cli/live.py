"""Live progress of a collection: a bar per chain, calls a second, retries, time left; plain lines where there is no terminal.

Goes to standard error. The time left comes from the blocks still to be scanned, not from partitions already counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryptolake.cli.show import telling_waits
from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import said
from cryptolake.contracts.partition import Partition

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cryptolake.sources.onchain.scans import Scanned
    from cryptolake.watch.pace import Pace

_LINE_EVERY_S = 10.0  # without a terminal


class Bars:
    """A bar for the run and one for each chain whose logs are scanned."""

    def __init__(self, bars: Progress) -> None:
        from rich.progress import TaskID

        self._bars = bars
        self._pace: Pace | None = None
        self._run = TaskID(0)
        self._chains: dict[str, TaskID] = {}

    def partition(self, pace: Pace, partition: Partition, state: str) -> None:
        """Move the run's bar."""
        self._bars.update(self._task(pace), completed=pace.done, note=f"{partition} {said(state)}  {pace.rates()}")

    def more(self, pace: Pace) -> None:
        """Lengthen the run's bar."""
        self._bars.update(self._task(pace), total=pace.total)

    def scanned(self, pace: Pace, scanned: Scanned) -> None:
        """Move the chain's bar."""
        self._task(pace)
        if scanned.chain not in self._chains:
            self._chains[scanned.chain] = self._bars.add_task(f"  {scanned.chain}", total=scanned.total, note="")
        note = f"{scanned.done:,} of {counted(scanned.total, 'block')}"
        self._bars.update(self._chains[scanned.chain], completed=scanned.done, total=scanned.total, note=note)

    def _task(self, pace: Pace) -> TaskID:
        if self._pace is not pace:  # a month of several: its bars take the place of those before
            for task in [*self._bars.task_ids]:
                self._bars.remove_task(task)
            self._pace, self._chains = pace, {}
            self._run = self._bars.add_task(pace.label, total=pace.total, note="")
        return self._run


class Lines:
    """A line every ten seconds, and one at the end; when nothing came for a while, what is waited for."""

    def __init__(self) -> None:
        from rich.console import Console

        self.heard: Callable[[], None] = lambda: None
        self._said = time.monotonic()
        self._err = Console(stderr=True)

    def partition(self, pace: Pace, partition: Partition, state: str) -> None:
        """Say how many are answered."""
        line = f"{pace.label}: {pace.done}/{pace.total} {partition} {said(state)}"
        self._say(line, last=pace.done == pace.total)

    def more(self, pace: Pace) -> None:
        """Nothing to say: the next line shows the new total."""

    def scanned(self, pace: Pace, scanned: Scanned) -> None:
        """Say how far the chain's scan is."""
        left = f", about {(scanned.total - scanned.done) * pace.seconds() / scanned.done:,.0f} s left"
        done = f"{scanned.done:,} of {counted(scanned.total, 'block')} scanned{left if scanned.done else ''}"
        self._say(f"{pace.label}: {scanned.chain} {done}, {pace.rates()}", last=False)

    def waits(self, waits: str) -> None:
        """Say what is waited for."""
        self._err.print(f"waiting for {waits}", markup=False, highlight=False, soft_wrap=True)

    def _say(self, text: str, *, last: bool) -> None:
        self.heard()
        now = time.monotonic()
        if last or now - self._said >= _LINE_EVERY_S:
            self._said = now
            self._err.print(text, markup=False, highlight=False)


@contextmanager
def live() -> Iterator[Bars | Lines]:
    """Bars on a terminal, a line every ten seconds elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    if not Console(stderr=True).is_terminal:
        lines = Lines()
        with telling_waits(lines.waits) as lines.heard:
            yield lines
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
        yield Bars(bars)
