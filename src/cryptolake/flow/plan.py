"""What is wanted and what is missing of it. No network, no writing. What asking would cost is the estimate's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Boundary, Granularity, Partition, Period, days, hours
from cryptolake.contracts.source import Source
from cryptolake.registry.markets import Csu


@dataclass(frozen=True, slots=True)
class Span:
    """The days wanted, both ends included, cut into periods of one granularity by one day boundary."""

    first: date
    last: date
    granularity: Granularity = "day"
    boundary: Boundary = "utc"

    def periods(self) -> list[Period]:
        """Every period of the span, in order."""
        if self.granularity == "hour":
            return list(hours(self.first, self.last))
        return list(days(self.first, self.last, self.boundary))


@dataclass(frozen=True, slots=True)
class Plan:
    """The partitions of a selection, split by what the ledger knows of them."""

    wanted: tuple[Partition, ...]
    missing: tuple[Partition, ...]
    settled: int
    failed_before: int


def make_plan(
    wanted: Iterable[Partition],
    states: Mapping[Partition, Entry],
    *,
    resume: bool = True,
    intact: Callable[[Partition, str | None], bool] = lambda _partition, _digest: True,
) -> Plan:
    """Compare the wanted partitions with the ledger.

    A settled partition is skipped only when `intact` confirms that its bronze still has the recorded digest; with
    `resume=False` everything is asked again. Failed and suspect partitions are always missing: they are asked again.
    """
    partitions = tuple(sorted(set(wanted)))
    missing, settled, failed = [], 0, 0
    for partition in partitions:
        entry = states.get(partition)
        if entry is not None and entry.state == "failed":
            failed += 1
        is_settled = entry is not None and entry.settled and (entry.digest is None or intact(partition, entry.digest))
        if resume and is_settled:
            settled += 1
        else:
            missing.append(partition)
    return Plan(partitions, tuple(missing), settled, failed)


def wanted(source: Source, datasets: Sequence[str], keys: Iterable[str], span: Span) -> list[Partition]:
    """Every partition of the named datasets of `source` for the keys it knows among `keys`, over the span."""
    chosen = set(keys)
    periods = span.periods()
    return [
        Partition(dataset.name, key, period)
        for dataset in source.datasets
        if dataset.name in datasets
        for key in source.keys(dataset.name)
        if key in chosen
        for period in periods
    ]


def without_numbers(csus: Iterable[Csu], families: Iterable[str], span: Span) -> dict[str, str]:
    """Selected markets that will give no numbers, and why: `unsupported_family`, or `not_deployed` by the last day."""
    known = set(families)
    found = {}
    for csu in csus:
        if csu.family not in known:
            found[csu.name] = "unsupported_family"
        elif csu.deployed_on is not None and csu.deployed_on > span.last:
            found[csu.name] = "not_deployed"
    return found
