"""Which conversation comes first: the one whose markets hold most. Reads stored tables only."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cryptolake.contracts.source import Trip
from cryptolake.flow.collect import Order
from cryptolake.registry.loader import Registry

# Before anything was collected nobody knows what a market holds: then the protocols that the research plan names first
# come first, then the markets that a named set lists. Read as USD these are less than any market that was ever seen.
_UNSEEN = {"aave": 0.03, "compound": 0.02}
_LISTED = 0.01


def last_known_usd(panel: pl.DataFrame) -> dict[str, float]:
    """What every market held on the newest day of the panel that has a price, in USD; the others are left out."""
    priced = panel.filter(pl.col("total_tvl_usd").is_not_null())
    newest = priced.filter(pl.col("date") == pl.col("date").max().over("csu"))
    return dict(newest.select("csu", "total_tvl_usd").iter_rows())


def largest_first(registry: Registry, known_usd: Mapping[str, float]) -> Order:
    """An order for trips: what all markets of a trip hold together."""

    def holds(name: str) -> float:
        csu = registry.csus.get(name)
        if name in known_usd or csu is None:
            return known_usd.get(name, 0.0)
        return _UNSEEN.get(csu.protocol, _LISTED * bool(registry.sets_with(name)))

    def order(trip: Trip) -> float:
        return sum(holds(name) for name in {partition.key for partition in trip.partitions})

    return order
