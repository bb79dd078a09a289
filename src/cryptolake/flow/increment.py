"""The daily increment: every day since a market's newest one, and everything that was begun and not settled. No I/O but reads.

What does not belong here: when it runs (cron, the scheduler) and collecting itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from cryptolake.contracts.partition import Boundary, Granularity, Period
from cryptolake.flow.plan import Span
from cryptolake.flow.resume import Wish
from cryptolake.state.ledger import Ledger

CATCH_UP_DAYS = 366  # a market not asked for longer than this is taken up again by hand


def due(
    keys: Sequence[str],
    *,
    datasets: Sequence[str],
    until: date,
    ledger: Ledger,
    granularity: Granularity = "day",
    boundary: Boundary = "utc",
) -> Wish:
    """What is due up to the day `until`, included.

    Per series: the days after its newest settled one, or from the oldest ever begun where none is settled (only `until`
    itself where nothing was begun), and whatever was claimed, landed or failed before and never settled, or is suspect, so that
    downtime and kills leave no hole.
    """
    begun: dict[tuple[str, str], set[Period]] = {}
    for one in ledger.unsettled():
        period = one.partition.period
        if period.granularity == granularity and period.boundary == boundary and period.day <= until:
            begun.setdefault((one.partition.dataset, one.partition.key), set()).add(period)
    wish = {}
    for key in keys:
        for dataset in datasets:
            known = (
                one.partition.period
                for one in ledger.edge(dataset, key)
                if one.partition.period.granularity == granularity and one.partition.period.boundary == boundary
            )
            newest = next(known, None)
            open_ones = begun.get((dataset, key), set())
            if newest is not None:  # the newest hour's own day may be unfinished; what is settled costs nothing again
                first = newest.day + timedelta(days=granularity == "day")
            else:
                first = min([until, *(one.day for one in open_ones)])
            first = max(first, until - timedelta(days=CATCH_UP_DAYS - 1))
            periods = {*Span(first, until, granularity, boundary).periods(), *open_ones}
            if periods:
                wish[dataset, key] = sorted(periods)
    return wish
