"""Backwards, month by month and chain by chain, until the day wanted, the first deployment or the end of the archive.

What does not belong here: collecting itself. A month is an ordinary wish, so that a stopped extension goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Boundary, Granularity, Period
from cryptolake.flow.plan import Span
from cryptolake.flow.resume import Series, Wish, wish_for
from cryptolake.registry.markets import Csu
from cryptolake.state.ledger import Ledger

Ask = Callable[[Wish], bool]  # collects a wish; False when it was asked to stop


@dataclass(frozen=True, slots=True)
class Walk:
    """One chain's way back: the oldest day asked for so far, and why it ended (None: still walking)."""

    chain: str
    csus: tuple[Csu, ...]
    reached: date | None = None
    months: int = 0
    ended: str | None = None


def start_of(ledger: Ledger, csus: Sequence[Csu], datasets: Sequence[str], granularity: Granularity) -> date | None:
    """The day from which these markets together go back: the latest of their first settled days; None without any.

    From there on back no market has everything, so that none is left behind where another was extended before.
    """
    found = []
    for csu in csus:
        for dataset in datasets:
            edge = ledger.edge(dataset, csu.name, newest=False)
            if (
                first := next((one for one in edge if one.partition.period.granularity == granularity), None)
            ) is not None:
                found.append(first.partition.period.day)
    return max(found, default=None)


def begun(ledger: Ledger, csus: Sequence[Csu], datasets: Sequence[str], until: date) -> Wish:
    """What was begun for these markets since `until` and never settled or is suspect: a month cut short has holes anywhere."""
    names = {csu.name for csu in csus}
    return wish_for(
        one.partition
        for one in ledger.unsettled()
        if one.partition.key in names and one.partition.dataset in datasets and one.partition.period.day >= until
    )


def month_before(day: date, until: date) -> tuple[date, date]:
    """The calendar month that holds the day before `day`, cut at `until` and at that day; both ends included."""
    last = day - timedelta(days=1)
    return max(until, last.replace(day=1)), last


def extend(
    csus: Sequence[Csu],
    *,
    until: date,
    newest: date,
    ledger: Ledger,
    datasets: Sequence[str],
    ask: Ask,
    granularity: Granularity = "day",
    boundary: Boundary = "utc",
    told: Callable[[Walk], None] = lambda _walk: None,
) -> list[Walk]:
    """Walk every chain of these markets back from where it starts (or from `newest`, included) to `until`.

    A market is asked for no month before it was deployed. A chain's walk ends with its reason when all its markets are
    behind, when the endpoints keep nothing that old, or when a month gives no answer at all.
    """
    chains: dict[str, list[Csu]] = {}
    for csu in csus:
        chains.setdefault(csu.chain, []).append(csu)
    walks = {
        name: Walk(name, tuple(some), start_of(ledger, some, datasets, granularity))
        for name, some in sorted(chains.items())
    }
    if (cut_short := begun(ledger, csus, datasets, until)) and not ask(cut_short):
        return [replace(walk, ended="stopped as asked") for walk in walks.values()]
    while any(walk.ended is None for walk in walks.values()):
        wish: dict[Series, Sequence[Period]] = {}
        asked: dict[str, tuple[date, date]] = {}
        for name, walk in walks.items():
            if walk.ended is not None:
                continue
            first, last = month_before(walk.reached or newest + timedelta(days=1), until)
            if last < until:
                walks[name] = replace(walk, ended=f"reached {until}")
                continue
            living = [csu for csu in walk.csus if csu.deployed_on is None or csu.deployed_on <= last]
            if not living:
                born = min(csu.deployed_on for csu in walk.csus if csu.deployed_on is not None)
                walks[name] = replace(walk, ended=f"its first market was deployed on {born}")
                continue
            periods = Span(first, last, granularity, boundary).periods()
            wish.update({(dataset, csu.name): periods for csu in living for dataset in datasets})
            asked[name] = (first, last)
        if wish and not ask(wish):
            return [replace(walk, ended=walk.ended or "stopped as asked") for walk in walks.values()]
        for name, (first, last) in asked.items():
            walk = walks[name]
            ended = _end(ledger, wish, walk, first, last)
            # A month without any answer is asked, not reached: the next run begins with it again.
            walks[name] = (
                replace(walk, reached=first, months=walk.months + 1) if ended is None else replace(walk, ended=ended)
            )
            told(walks[name])
    return list(walks.values())


def _end(ledger: Ledger, wish: Mapping[Series, object], walk: Walk, first: date, last: date) -> str | None:
    """Why the walk ends after this month; None when it goes on."""
    names = {csu.name for csu in walk.csus}
    entries = [
        one
        for dataset, key in wish
        if key in names
        for one in ledger.series(dataset, key, first.isoformat(), last.isoformat())
    ]
    if any(one.state in {"done", "empty"} for one in entries):
        return None
    failed = [one for one in entries if one.state == "failed"]
    month = f"{first:%Y-%m}"
    if failed and all(one.reason in {"no_archive", "log_history"} for one in failed):
        return f"the endpoints keep nothing as old as {month}; set an archive endpoint and run again"
    if failed:
        return f"{month} gave no answer: {_most_frequent(failed)}; run again"
    if entries and all(one.state == "gone" for one in entries):
        return f"in {month} no market was there: {_most_frequent(entries)}"
    return f"{month} is being collected by another run; run again later"


def _most_frequent(entries: Sequence[Entry]) -> str:
    reasons = [one.reason or "unknown" for one in entries]
    return max(sorted(set(reasons)), key=reasons.count)
