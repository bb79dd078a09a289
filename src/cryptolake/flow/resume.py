"""What is left of a wish: compared with the ledger as text, so that a million settled partitions cost about a second.

What does not belong here: what it would cost (estimate) and asking (collect). Whether the answers of settled partitions are
still whole is checked by content, at once for few of them, beside the collection for many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.source import Source
from cryptolake.flow.plan import Span
from cryptolake.state.ledger import Ledger

AT_ONCE = 5_000  # settled answers that are checked before the first question; a second or two

Series = tuple[str, str]  # dataset and key
Wish = Mapping[Series, Sequence[Period]]
Intact = Callable[[Partition, str], bool]


@dataclass(frozen=True, slots=True)
class Left:
    """How many partitions were wished for, those to ask, how many are settled, and per series which of its periods are."""

    wanted: int
    missing: list[Partition]
    settled_count: int
    settled: Mapping[Series, Sequence[Period]]
    ledger: Ledger

    def answers(self) -> Iterator[tuple[Partition, str]]:
        """The settled partitions that have an answer, with its digest."""
        for (dataset, key), periods in self.settled.items():
            digests = self.ledger.settled(dataset, key)
            for period in periods:
                if (digest := digests.get(str(period))) is not None:
                    yield Partition(dataset, key, period), digest


def wish_of(source: Source, datasets: Sequence[str], keys: Iterable[str], span: Span) -> Wish:
    """Every period of the span for every chosen key that the source knows."""
    chosen, periods = set(keys), span.periods()
    return {
        (dataset.name, key): periods
        for dataset in source.datasets
        if dataset.name in datasets
        for key in source.keys(dataset.name)
        if key in chosen
    }


def wish_for(partitions: Iterable[Partition]) -> Wish:
    """The same for partitions named one by one."""
    found: dict[Series, list[Period]] = {}
    for partition in partitions:
        found.setdefault((partition.dataset, partition.key), []).append(partition.period)
    return found


def partitions_of(wish: Wish) -> list[Partition]:
    """Every partition of a wish, one by one."""
    return [Partition(dataset, key, period) for (dataset, key), periods in wish.items() for period in periods]


def compare(wish: Wish, ledger: Ledger, *, resume: bool = True, only_failed: bool = False) -> Left:
    """Split a wish into what to ask and what is settled. Without `resume` everything is to be asked.

    `only_failed` leaves out what was never asked: what remains failed before, was cut short or is suspect.
    """
    texts: dict[int, list[str]] = {}
    tried = {str(entry.partition) for entry in ledger.unsettled()} if only_failed else set()
    missing: list[Partition] = []
    settled: dict[Series, Sequence[Period]] = {}
    wanted = count = 0
    for (dataset, key), periods in wish.items():
        names = texts.setdefault(id(periods), [])
        if not names:
            names += [str(period) for period in periods]
        known = ledger.settled_periods(dataset, key) if resume or only_failed else set()
        wanted += len(names)
        if known.issuperset(names):
            settled[dataset, key] = periods
            count += len(names)
            continue
        kept = settled[dataset, key] = [period for period, name in zip(periods, names, strict=True) if name in known]
        count += len(kept)
        missing += [
            Partition(dataset, key, period)
            for period, name in zip(periods, names, strict=True)
            if name not in known and (not only_failed or f"{dataset}/{key}/{name}" in tried)
        ]
    return Left(wanted, missing, count, settled, ledger)


def damaged(left: Left, intact: Intact, stopping: Event | None = None) -> list[Partition]:
    """The settled partitions whose answer is gone or no longer the recorded one; ends early when asked to stop."""
    found = []
    for partition, digest in left.answers():
        if stopping is not None and stopping.is_set():
            break
        if not intact(partition, digest):
            found.append(partition)
    return found
