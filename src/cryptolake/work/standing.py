"""Which answers stand for a market's day, by the ledger: the day's own answer, or its hours' where they make a whole day.

Refining and building ask the same function, so that no way through the steps can differ from another. Pure. What does not
belong here: whether silver holds those answers (evidence).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from cryptolake.contracts.entry import SUSPECT, Entry
from cryptolake.contracts.grades import EVIDENCE, Grade, grade_of, weakest
from cryptolake.contracts.partition import DAYS_OF, MARKET_DATASETS, Boundary, Partition, Period
from cryptolake.errors import Stop
from cryptolake.silver.refined import DAMAGED

ANSWERED = ("done", "empty")
_PENDING = "pending"
_HOUR = timedelta(hours=1)

MarketDay = tuple[str, str, date]  # dataset, market, day


@dataclass(frozen=True, slots=True)
class Standing:
    """A day's state (a ledger state, or `pending` where hours are missing), its reason, and the entries that answer it.

    `entries` is empty unless the day is done or empty. `lost` says of a failed day that it was answered: the answer is kept
    and cannot be read, or it was found damaged.
    """

    state: str
    reason: str | None
    entries: tuple[Entry, ...] = ()
    lost: bool = False

    @property
    def grade(self) -> Grade | None:
        """How far all of its answers are proven: the weakest of theirs; None where there is no answer."""
        return weakest(grade_of(entry.grade) for entry in self.entries) if self.entries else None

    @property
    def rows(self) -> int | None:
        """How many rows the ledger counted in the answers; None where it did not."""
        counts = [entry.rows for entry in self.entries]
        return None if None in counts else sum(count for count in counts if count is not None)


def market_day(partition: Partition) -> MarketDay:
    """The day of a market that a partition, day or hour, belongs to."""
    return partition.dataset, partition.key, partition.period.day


def answers_of(entries: Iterable[Entry]) -> Iterator[tuple[Partition, str]]:
    """The answers that these entries say they rest on: partition and digest."""
    return ((entry.partition, entry.digest) for entry in entries if entry.digest is not None)


def standing(states: Mapping[Partition, Entry], among: Iterable[MarketDay] | None = None) -> dict[MarketDay, Standing]:
    """What the ledger knows of every market's day, or of those `among`. A day that nobody asked for is left out.

    Where a day was asked both whole and by the hour, what is answered counts: of two answers the one that is proven further,
    of equals the one that is in doubt, else the hours'. Where they tell of numbers of events that differ, what stands is
    suspect. Raises Stop where days of two boundaries lie together: one date would be two spans of time.
    """
    wanted = None if among is None else set(among)
    groups: dict[MarketDay, list[Entry]] = {}
    boundaries: set[Boundary] = set()
    for partition, entry in states.items():
        if partition.dataset in MARKET_DATASETS:
            day = market_day(partition)
            if partition.period.granularity == "day":
                boundaries.add(partition.period.boundary)
            if wanted is None or day in wanted:
                groups.setdefault(day, []).append(entry)
    if len(boundaries) > 1:
        raise Stop(
            f"this data folder holds {' and '.join(DAYS_OF[one] for one in sorted(boundaries))} of markets; collect the "
            "days of one boundary into another --data, for one date cannot be both"
        )
    return {day: _standing(day[0], found) for day, found in groups.items()}


def _standing(dataset: str, entries: Sequence[Entry]) -> Standing:
    if len(entries) == 1 and entries[0].partition.period.granularity == "day":
        return _single(entries[0])
    entries = sorted(entries, key=lambda entry: str(entry.partition.period))
    hours = [entry for entry in entries if entry.partition.period.granularity == "hour"]
    found = [_single(entry) for entry in entries if entry.partition.period.granularity == "day"]
    if hours:
        found.append(_of_hours(dataset, hours))
    best = max(enumerate(found), key=lambda one: (*_rank(one[1]), one[0]))[1]
    told = {one.rows for one in found if one.state in ANSWERED and one.rows is not None}
    return replace(best, reason=SUSPECT) if dataset == "liquidations" and len(told) > 1 else best


def _rank(one: Standing) -> tuple[int, int, bool]:
    """How far an answer goes before another of the same day."""
    answered = 2 if one.state in ANSWERED else 1 if one.state == "gone" else 0
    return answered, EVIDENCE.index(one.grade) if one.grade is not None else -1, one.reason == SUSPECT


def _single(entry: Entry) -> Standing:
    lost = entry.state == "failed" and (entry.digest is not None or entry.reason == DAMAGED)
    return Standing(entry.state, entry.reason, (entry,) if entry.state in ANSWERED else (), lost)


def _of_hours(dataset: str, entries: Sequence[Entry]) -> Standing:
    """The state at a day's end is its last hour's; its events are those of all its hours, and no part of them is a sum."""
    period = entries[0].partition.period
    day = Period.of_day(period.day, period.boundary)  # 23, 24 or 25 hours
    by_start = {entry.partition.period.start: entry for entry in entries}
    starts = [day.start + number * _HOUR for number in range((day.end - day.start) // _HOUR)]
    if dataset == "tvl":
        starts = starts[-1:]
    known = [by_start[start] for start in starts if start in by_start]
    for entry in known:
        if entry.state == "failed":
            return _single(entry)
    if len(known) < len(starts):
        return Standing(_PENDING, "hours_missing")
    for entry in known:
        if entry.state in {"claimed", "landed"}:
            return Standing(entry.state, entry.reason)
        if entry.state == "gone" and entry.reason != "not_deployed":  # it can never be answered: nor can the day
            return Standing("gone", entry.reason)
    answered = tuple(entry for entry in known if entry.state in ANSWERED)
    if not answered:
        return Standing("gone", "not_deployed")
    doubts = sorted({entry.reason for entry in answered if entry.reason}, key=lambda reason: reason != SUSPECT)
    state = "done" if any(entry.state == "done" for entry in answered) else "empty"
    return Standing(state, doubts[0] if doubts else None, answered)
