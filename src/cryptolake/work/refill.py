"""A vendor's fresh start: what it may replace, and what it could not do. Nothing is deleted before the vendor has answered.

The rows of a day give way only to the vendor's own new word about that day; all others stay. What does not belong here:
asking (`vendor`), the swap itself (`warehouse.refill`), and the fresh start of a whole data folder (`cryptolake.work.fresh`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.source import Dataset, Source
from cryptolake.errors import BadInput
from cryptolake.publish.refill import Refilled, Scope
from cryptolake.publish.warehouse import Warehouse
from cryptolake.registry.metrics import metrics as registered
from cryptolake.registry.metrics import without_history
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.watch.freshness import assets_of

_LATE_DAYS = 8  # the vendor's history may lag behind its live values by so much before a day counts as not given again
_NAMED = 3  # how many series a line names


@dataclass(frozen=True, slots=True)
class Fresh:
    """A fresh start: the PostgreSQL schema that what is replaced goes to, and metrics without history to be given up."""

    schema: str
    drop: tuple[str, ...] = ()


def check_drop(source: str, drop: Collection[str]) -> None:
    """Raises BadInput for a name that is no metric without history: all others are replaced, never given up."""
    precious = without_history(source)
    if unknown := sorted(set(drop) - set(precious)):
        listed = ", ".join(precious) or "none"
        raise BadInput(f"{unknown[0]} is no metric without history; those of {source}: {listed}")


def prospect(source: Source, keys: Collection[str], drop: Collection[str], warehouse: Warehouse) -> int:
    """How many stored rows a fresh start of these entities may replace, if the vendor gives them all again."""
    stays = [name for name in without_history(source.name) if name not in set(drop)]
    (rows,) = warehouse.query(
        f"SELECT count(*) FROM {METRICS.name} WHERE source = %s AND asset = ANY(%s) AND NOT metric_name = ANY(%s)",
        (source.name, assets_of(keys), stays),
    ).row(0)
    return int(rows)


def refill(
    fresh: Fresh, source: str, keys: Collection[str], frame: pl.DataFrame, warehouse: Warehouse, asked_at: datetime
) -> Refilled:
    """Load a backfill's points in the place of what is stored; the rows replaced lie in `fresh.schema` then."""
    check_drop(source, fresh.drop)
    scope: Scope = {"source": [source], "asset": assets_of(keys)}
    drop = {**scope, "metric_name": list(fresh.drop)} if fresh.drop else None
    until = asked_at.replace(tzinfo=None) - timedelta(days=_LATE_DAYS)
    return warehouse.refill(METRICS, frame, schema=fresh.schema, scope=scope, drop=drop, until=until)


def not_done(
    source: Source,
    chosen: Sequence[Dataset],
    states: Mapping[Partition, Entry],
    frame: pl.DataFrame,
    kept: Mapping[tuple[str, ...], int],
) -> tuple[str, ...]:
    """One line for everything a fresh start was asked to replace and could not; empty when all of it is replaced.

    `states` are what became of the partitions now asked, `kept` counts rows by (source, asset, metric). With all datasets
    chosen every metric that has a history is expected, else every dataset must have given something.
    """
    lines = []
    refused = sorted({one.partition.dataset for one in states.values() if one.reason == "entitlement"})
    if refused:
        lines.append(f"refused for want of a paid key: {', '.join(refused)}; those rows stay as they were")
    expected = set(frame["metric_name"].unique())
    if {one.name for one in source.datasets if one.feeds == "metrics" and one.history} <= {one.name for one in chosen}:
        expected |= {one.name for one in registered().values() if one.source == source.name and one.history}
        silent = [] if frame.height else ["nothing at all"]
    else:
        answered = {one.partition.dataset for one in states.values() if one.state == "done"}
        silent = sorted({one.name for one in chosen} - answered - set(refused))
    if silent:
        lines.append(f"the vendor gave no points ({', '.join(silent)}); those rows stay as they were, ask again later")
    expected -= set(without_history(source.name))
    short = Counter({f"{metric} {asset}": rows for (_, asset, metric), rows in kept.items() if metric in expected})
    if short:
        named = ", ".join(f"{one} ({rows:,})" for one, rows in short.most_common(_NAMED))
        more = f" and {counted(len(short) - _NAMED, 'more series', 'more series')}" if len(short) > _NAMED else ""
        lines.append(f"{counted(short.total(), 'row was', 'rows were')} not given again and kept: {named}{more}")
    return tuple(lines)
