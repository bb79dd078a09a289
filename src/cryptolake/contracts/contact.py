"""`Assumption`: one thing that the code assumes of a provider, as its file declares it, and what came of asking. No I/O.

Also what every source can be asked without declaring anything: whether its own readers read what it answers today. What does
not belong here: who is asked and how often (work), and where the report goes (cli).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import Granularity, Partition, Period
from cryptolake.contracts.raw import Miss
from cryptolake.contracts.source import Dataset, Prepares, Row, Source

Verdict = Literal["as assumed", "different", "refused", "not reachable", "not asked"]

_REFUSED = frozenset({"refused", "key_refused", "entitlement", "blocked", "rate_limited"})
_UNREACHABLE = frozenset({"unreachable", "too_slow", "rpc"})
# Whom every vendor that knows such things tells of: what a vendor has no data of would say nothing of its shapes.
_WELL_KNOWN = ("ethereum", "uniswap", "aave", "tether", "bitcoin", "btc", "eth")
_SETTLED = timedelta(days=2)  # a day that ended so long ago is told by everybody


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a check; `says` is what is different and where, or why there is no answer, on one line."""

    verdict: Verdict
    says: str = ""


@dataclass(frozen=True, slots=True)
class Assumption:
    """`name` tells it from the provider's others; `assumes` is what the code takes for granted, in words.

    `ask` finds out with a few calls. It may raise the errors by reaction, which become verdicts.
    """

    name: str
    assumes: str
    ask: Callable[[], Said]


def readable(source: Source, now: datetime, holds: Callable[[Row], bool] | None = None) -> Iterator[Assumption]:
    """A check for every dataset: one key is asked for once, and the answer has to be read into rows by the source.

    `now` is aware UTC. `holds`: at least one of the rows must meet this as well.
    """
    prepared: set[Granularity] = set()
    for dataset in source.datasets:
        assumes = f"an answer that is read into rows of `{dataset.feeds}`"
        yield Assumption(dataset.name, assumes, lambda one=dataset: _read(source, one, now, prepared, holds))  # type: ignore[misc]


def told(source: Source, partition: Partition, holds: Callable[[Row], bool] | None = None) -> Said:
    """What comes of asking for one partition and reading the answer. Raises what `fetch` and `parse` raise."""
    for trip in source.trips([partition]):
        for one in source.fetch(trip):
            if isinstance(one, Miss):
                return missed(one)
            rows = source.parse(one)
            if holds is not None and not any(holds(row) for row in rows):
                return Said("different", f"{partition}: none of {counted(len(rows), 'row')} is as it should be")
            if rows or len(one.payload) > 0:
                return Said("as assumed", f"{partition}: {counted(len(rows), 'row')}")
    return Said("different", f"{partition}: nothing came")


def missed(miss: Miss) -> Said:
    """The verdict that a source's refusal stands for."""
    if miss.reason in _UNREACHABLE:
        return Said("not reachable", miss.message)
    return Said("refused" if miss.reason in _REFUSED else "different", f"{miss.message} ({miss.reason})")


def _read(
    source: Source, dataset: Dataset, now: datetime, prepared: set[Granularity], holds: Callable[[Row], bool] | None
) -> Said:
    if not dataset.granted:
        return Said("not asked", f"set {dataset.needs or 'its key'}")
    period = _period(dataset, now)
    if isinstance(source, Prepares) and period.granularity not in prepared:
        prepared.add(period.granularity)
        source.prepare([one.name for one in source.datasets if one.granted], period.granularity)
    keys = source.keys(dataset.name)
    if not keys:
        return Said("not asked", "it has no fixed keys; its own commands ask for it")
    key = next((one for one in _WELL_KNOWN if one in keys), keys[0])
    return told(source, Partition(dataset.name, key, period), holds)


def _period(dataset: Dataset, now: datetime) -> Period:
    """What is asked for: a settled day of a window, the whole history as of today, or the present hour."""
    if dataset.reach == "window":
        return Period.of_day((now - _SETTLED).date())
    return Period.of_day(now.date()) if dataset.history else Period.of_hour(now)
