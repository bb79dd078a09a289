"""Our figures beside totals that others published: what is missing is asked for where an endpoint is the user's own.

What does not belong here: the totals (registry.published_totals) and what is printed (cli).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import polars as pl

from cryptolake.app import App
from cryptolake.contracts.partition import Partition, Period
from cryptolake.flow.collect import Collected
from cryptolake.flow.resume import wish_for
from cryptolake.gold.completeness import figures, is_flow, side_of
from cryptolake.registry.markets import Csu
from cryptolake.registry.published_totals import PublishedTotal
from cryptolake.work import lending
from cryptolake.work.vouched import panel_of

Verdict = Literal["same", "differs", "incomplete", "not asked"]
_ABOUT_ONE_DAY = "block"  # not summed: the one market's on the last day


@dataclass(frozen=True, slots=True)
class Compared:
    """A published total and ours; `ours` is None where a market-day of it has no figure yet (`lacking` of `needed`)."""

    total: PublishedTotal
    verdict: Verdict
    ours: float | None
    lacking: int
    needed: int

    @property
    def difference(self) -> float | None:
        """Ours - theirs, as a share of theirs."""
        return None if self.ours is None else (self.ours - self.total.value) / self.total.value


def compare(app: App, totals: Iterable[PublishedTotal]) -> list[Compared]:
    """Ours beside each total, from what ledger and silver give now. Asks nobody."""
    rows = figures(panel_of(app).panel) if any(app.ledger.counts()) else None
    return [_compared(one, rows, app) for one in totals]


def _compared(total: PublishedTotal, rows: pl.DataFrame | None, app: App) -> Compared:
    days = _days(total)
    needed = len(total.markets) * len(days)
    if rows is None:
        return Compared(total, "not asked", None, needed, needed)
    mine = rows.filter(pl.col("csu").is_in(total.markets) & pl.col("date").is_in(days))
    side = side_of(total.column)
    absent = mine.filter(pl.col(side) == "not_deployed")  # there was nothing to count
    counted = mine.filter(pl.col(total.column).is_not_null())
    known = absent.height + counted.height + _before(app, total, mine, days)
    if known < needed:
        asked = mine.filter(pl.col(side) != "not_asked").height
        return Compared(total, "incomplete" if asked else "not asked", None, needed - known, needed)
    ours = float(counted[total.column].max() if total.column == _ABOUT_ONE_DAY else counted[total.column].sum())  # type: ignore[arg-type]
    same = abs(ours - total.value) <= total.tolerance * abs(total.value)
    return Compared(total, "same" if same else "differs", ours, 0, needed)


def _before(app: App, total: PublishedTotal, mine: pl.DataFrame, days: Collection[date]) -> int:
    """Market-days that nobody need ask for: the market was deployed after them, by the registry."""
    there = set(mine.filter(pl.col(side_of(total.column)) != "not_asked").select("csu", "date").iter_rows())
    deployed = {name: app.registry.csus[name].deployed_on for name in total.markets}
    return sum(
        (name, day) not in there and on is not None and day < on for name, on in deployed.items() for day in days
    )


def questions(app: App, totals: Iterable[PublishedTotal]) -> tuple[list[Csu], list[Partition]]:
    """The markets and partitions that these totals need, none of before a market was deployed.

    Values in USD take the day's prices, which come with its snapshot; a count needs the events alone.
    """
    found: set[Partition] = set()
    for one in totals:
        flow = is_flow(one.column)
        datasets = ["liquidations"] * flow + ["tvl"] * (not flow or one.column.endswith("_usd"))
        for name in one.markets:
            on = app.registry.csus[name].deployed_on
            for day in _days(one):
                if on is None or day >= on:
                    found |= {Partition(dataset, name, Period.of_day(day)) for dataset in datasets}
    csus = [app.registry.csus[name] for name in sorted({one.key for one in found})]
    return csus, sorted(found)


def askable(app: App, totals: Sequence[PublishedTotal]) -> list[PublishedTotal]:
    """The totals whose chains all have an endpoint of the user's own: a key, or an address."""
    settings, chains = app.settings, app.registry.chains

    def own(name: str) -> bool:
        return bool(settings.rpc.get(name) or (settings.alchemy_keys and chains[name].alchemy_subdomain))

    return [one for one in totals if all(own(app.registry.csus[name].chain) for name in one.markets)]


def ask(app: App, totals: Sequence[PublishedTotal]) -> Collected:
    """Collect, refine and build what these totals need; publishes nothing."""
    csus, partitions = questions(app, totals)
    collected = lending.collect(app, csus, wish_for(partitions), what="truth check")
    lending.refine(app, partitions)
    lending.build(app)
    return collected


def _days(total: PublishedTotal) -> list[date]:
    return [total.first + timedelta(days=number) for number in range((total.last - total.first).days + 1)]
