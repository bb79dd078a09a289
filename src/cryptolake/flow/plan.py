"""What is wanted, what is missing and what asking for it would cost. No network, no writing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cryptolake.contracts.entry import SETTLED, Entry
from cryptolake.contracts.partition import Boundary, Granularity, Partition, Period, days, hours
from cryptolake.contracts.source import Source
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu

# Rounds of a snapshot program plus block lookups: what one chain-day of TVL with prices costs in HTTP requests.
_REQUESTS_PER_SNAPSHOT = 6


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
class Cost:
    """Expected requests for one chain and JSON-RPC method; `market_periods` is what they answer."""

    chain: str
    method: str
    requests: int
    market_periods: int


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
    intact: Callable[[Partition], bool] = lambda _: True,
) -> Plan:
    """Compare the wanted partitions with the ledger.

    A settled partition is skipped only when `intact` confirms that its bronze still has the recorded digest; with
    `resume=False` everything is asked again. Failed partitions are always missing: they are retried.
    """
    partitions = tuple(sorted(set(wanted)))
    missing, settled, failed = [], 0, 0
    for partition in partitions:
        entry = states.get(partition)
        if entry is not None and entry.state == "failed":
            failed += 1
        is_settled = entry is not None and entry.state in SETTLED and (entry.digest is None or intact(partition))
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


def costs(
    missing: Iterable[Partition], csus: Mapping[str, Csu], chains: Mapping[str, Chain], *, log_span: int = 2000
) -> list[Cost]:
    """Expected JSON-RPC requests per chain and method when each chain is asked once for all its markets.

    `log_span` is the assumed number of blocks per eth_getLogs call. Blocks per period come from the registry's block
    time, which is a planning figure only: collection finds the real blocks.
    """
    snapshots: dict[str, list[Period]] = {}
    scans: dict[str, list[Period]] = {}
    for partition in missing:
        if partition.key not in csus:
            continue
        asked = snapshots if partition.dataset == "tvl" else scans
        asked.setdefault(csus[partition.key].chain, []).append(partition.period)
    found = []
    for chain in sorted({*snapshots, *scans}):
        if periods := snapshots.get(chain):
            found.append(Cost(chain, "eth_call", len(set(periods)) * _REQUESTS_PER_SNAPSHOT, len(periods)))
        if periods := scans.get(chain):
            seconds = sum((period.end - period.start).total_seconds() for period in set(periods))
            blocks = seconds / (chains[chain].block_time_s or 12.0)
            found.append(Cost(chain, "eth_getLogs", math.ceil(blocks / log_span), len(periods)))
    return found


def set_aside(csus: Iterable[Csu], families: Iterable[str], span: Span) -> dict[str, str]:
    """Selected markets that will give no numbers, and why: `unsupported_family`, or `not_deployed` by the last day."""
    known = set(families)
    found = {}
    for csu in csus:
        if csu.family not in known:
            found[csu.name] = "unsupported_family"
        elif csu.deployed_on is not None and csu.deployed_on > span.last:
            found[csu.name] = "not_deployed"
    return found
