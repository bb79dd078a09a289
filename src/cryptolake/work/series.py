"""A vendor's pull (live) and backfill (history): ask, keep, conform, load into `metrics`, log the operation in `pulls`.

What does not belong here: how a vendor is asked (its source), what a conflict means in SQL (the warehouse) and what is
worth an alert (`vendor_health`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl
import structlog

from cryptolake.contracts.entry import SETTLED
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.points import Points
from cryptolake.contracts.source import Asked, Counts, Dataset, Prepares, Source
from cryptolake.errors import BadInput, CryptolakeError, Skip
from cryptolake.flow.collect import Collected, Progress, collect
from cryptolake.publish.refill import Refilled
from cryptolake.publish.stores import Stores
from cryptolake.publish.warehouse import Loaded, Warehouse
from cryptolake.silver import metrics, revisions
from cryptolake.watch.freshness import disappeared, lost_days
from cryptolake.work.landed_points import LandedPoints
from cryptolake.work.pulls import Operation as Operation
from cryptolake.work.pulls import Pull, record, status_of
from cryptolake.work.refill import Fresh, not_done, refill

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pulled:
    """One operation: how many points the vendor gave, and what the load made of them.

    `needs_key` names the datasets that were not asked or were refused for want of a paid key: no failure (and not counted
    as one in `collected`), but no data.
    `alerts` are lines about series that disappeared and days that can never be filled. Of a fresh start, `set_aside` rows
    were replaced or dropped and lie in its schema; `not_done` are lines about what stays because it was not given again.
    """

    source: str
    operation: Operation
    status: str
    records: int
    inserted: int
    updated: int
    unchanged: int
    collected: Collected
    needs_key: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    asked: Asked = field(default_factory=Asked)
    duration_s: float = 0.0
    set_aside: int = 0
    not_done: tuple[str, ...] = ()
    table: str = metrics.TABLE.name


def pull_or_backfill(
    operation: Operation,
    source: Source,
    stores: Stores,
    *,
    keys: Sequence[str] | None,
    datasets: Sequence[str],
    workers: int = 5,
    resume: bool = True,
    restate: bool = False,
    fresh: Fresh | None = None,
    progress: Progress = lambda _partition, _state: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Pulled:
    """Ask a vendor for its series and load them into `metrics`.

    A pull keeps the newest value, truncated to midnight UTC, and updates what it finds. A backfill keeps the vendor's own
    timestamps and never changes a stored value, unless `restate` says to take over what the vendor changed. A `fresh` one
    asks everything again and puts what comes in the place of what is stored for the same days; it ends as an error when
    anything chosen was not given again. All keep every answer in bronze first, one per hour for pulls and one per day for
    backfills, and write one row to `pulls`, also when something failed. Raises BadInput when nothing can be asked for want
    of a key.
    """
    with stores.warehouse() as warehouse:
        started, asked_at = time.monotonic(), now()
        before = source.asked if isinstance(source, Counts) else Asked()
        try:
            chosen, lacking = granted(operation, source, datasets, keys)
            landed = LandedPoints(source)
            period = Period.of_hour(asked_at) if operation == "pull" else Period.of_day(asked_at.date())
            if isinstance(source, Prepares):
                source.prepare([one.name for one in chosen if _wanted(source, [one], keys, period)], period.granularity)
            wanted = _wanted(source, chosen, keys, period)
            kept = _kept(wanted, landed, stores) if resume and operation == "backfill" and fresh is None else set()
            missing = [one for one in wanted if one not in kept]
            collected = collect(
                landed, missing, bronze=stores.bronze, ledger=stores.ledger, workers=workers, progress=progress
            )
            stores.bronze.settle()  # durable before anything is loaded that was made of it
            points = landed.points()
            conform = metrics.conform_live if operation == "pull" else metrics.conform_backfill
            frame = conform(points, asked_at)
            alerts = _alerts(operation, source, wanted, points, frame, warehouse, asked_at)
            loaded: Loaded | Refilled
            not_replaced: tuple[str, ...] = ()
            if fresh is None:
                loaded = _load(operation, source.name, frame, warehouse, restate=restate, at=asked_at)
            else:
                loaded = refill(fresh, source.name, {one.key for one in wanted}, frame, warehouse, asked_at)
                said = {one: entry for one, entry in stores.ledger.of(wanted).items() if one not in collected.in_vain}
                said |= {one.partition: one for one in collected.failures}
                not_replaced = not_done(source, chosen, said, frame, loaded.kept)
            if operation == "pull":
                for dataset in sorted({one.dataset for one in wanted}):
                    stores.bronze.pack(source.name, dataset, period)
        except CryptolakeError as error:
            spent = time.monotonic() - started
            failed = Pull(
                source.name, operation, asked_at, "error", 0, spent, requests_since(source, before), error=str(error)
            )
            record(warehouse, failed)
            raise
        refused = without_refused(collected)
        failures = collected.failures
        status = status_of(bool(failures or not_replaced), frame.height)
        asked, spent = requests_since(source, before), time.monotonic() - started
        first = failures[0].error if failures else next(iter(not_replaced), None)
        row = Pull(source.name, operation, asked_at, status, frame.height, spent, asked, alerts, first)
        record(warehouse, row)
        return pulled(row, loaded, collected, needs_key={*lacking, *refused}, not_done=not_replaced)


def pulled(
    row: Pull,
    loaded: Loaded | Refilled,
    collected: Collected,
    *,
    table: str = metrics.TABLE.name,
    needs_key: Iterable[str] = (),
    not_done: tuple[str, ...] = (),
) -> Pulled:
    """What an operation did, as its row in `pulls` says, with what the load changed."""
    return Pulled(
        row.source,
        row.operation,
        row.status,
        row.records,
        loaded.inserted,
        loaded.updated,
        loaded.unchanged,
        collected,
        needs_key=tuple(sorted(needs_key)),
        alerts=tuple(row.alerts),
        asked=row.asked or Asked(),
        duration_s=row.duration_s,
        set_aside=loaded.set_aside if isinstance(loaded, Refilled) else 0,
        not_done=not_done,
        table=table,
    )


def granted(
    operation: Operation, source: Source, datasets: Sequence[str], keys: Sequence[str] | None
) -> tuple[list[Dataset], list[str]]:
    """The datasets that can be asked, and the names of those that lack a key. Raises BadInput when all of them lack one."""
    chosen = [one for one in source.datasets if one.name in datasets and one.feeds == "metrics"]
    chosen = [one for one in chosen if (one.live if operation == "pull" else one.history)]
    if keys is not None:
        chosen = [one for one in chosen if set(source.keys(one.name)) & set(keys)]
    granted = [one for one in chosen if one.granted]
    lacking = [one for one in chosen if not one.granted]
    if lacking and not granted:
        secrets = " and ".join(sorted({one.needs or "a key" for one in lacking}))
        raise BadInput(f"{source.name}: nothing of this can be asked without a key; set {secrets} and run again")
    return granted, [one.name for one in lacking]


def _wanted(source: Source, chosen: Iterable[Dataset], keys: Sequence[str] | None, period: Period) -> list[Partition]:
    return [
        Partition(dataset.name, key, period)
        for dataset in chosen
        for key in source.keys(dataset.name)
        if keys is None or key in keys
    ]


def _kept(wanted: Sequence[Partition], source: LandedPoints, stores: Stores) -> set[Partition]:
    """The partitions that are settled today already and whose answers can still be read; their rows are remembered."""
    kept = set()
    for partition, entry in stores.ledger.of(wanted).items():
        if entry.state not in SETTLED:
            continue
        if entry.digest is None:
            kept.add(partition)
        elif (raw := stores.bronze.read(partition, source.name)) is not None and raw.digest == entry.digest:
            try:
                source.parse(raw)
            except Skip as error:
                log.warning("answer read no more", partition=str(partition), reason=error.reason, error=str(error))
            else:
                kept.add(partition)
    return kept


def _load(
    operation: Operation, source: str, frame: pl.DataFrame, warehouse: Warehouse, *, restate: bool, at: datetime
) -> Loaded:
    if operation == "pull":
        return warehouse.load(metrics.TABLE, frame, "update")
    frame = _one_row_a_day(frame, source, warehouse)
    if restate:
        return warehouse.restate(metrics.TABLE, frame, revisions.TABLE, at)
    return warehouse.load(metrics.TABLE, frame, "nothing")


def _one_row_a_day(frame: pl.DataFrame, source: str, warehouse: Warehouse) -> pl.DataFrame:
    """Leave out points whose day is stored already under another instant (only instants off midnight can clash)."""
    columns = "SELECT source, asset, metric_name, pulled_at FROM metrics WHERE source = %s"
    stored = [warehouse.query(f"{columns} AND pulled_at <> date_trunc('day', pulled_at)", (source,))]
    odd = metrics.off_midnight(frame)
    if odd.height:
        days = odd["day"].unique().to_list()
        stored.append(warehouse.query(f"{columns} AND date_trunc('day', pulled_at) = ANY(%s)", (source, days)))
    contract = metrics.TABLE.polars_schema()
    schema = pl.Schema({name: contract[name] for name in metrics.TABLE.key})
    parts = [one.cast(schema) for one in stored if one.height]
    return metrics.without_doubled_days(frame, pl.concat(parts)) if parts else frame


def _alerts(
    operation: Operation,
    source: Source,
    wanted: Sequence[Partition],
    points: Points,
    frame: pl.DataFrame,
    warehouse: Warehouse,
    asked_at: datetime,
) -> tuple[str, ...]:
    del frame
    found = disappeared(source.name, {one.key for one in wanted}, points, warehouse, asked_at, live=operation == "pull")
    if operation == "pull":
        found += lost_days(source.name, warehouse, asked_at)
    for line in found:
        log.warning("alert", source=source.name, alert=line)
    return tuple(found)


def without_refused(collected: Collected) -> set[str]:
    """Take what was refused for want of a paid key out of the failures; returns the datasets that lack it."""
    refused = {entry.partition.dataset for entry in collected.failures if entry.reason == "entitlement"}
    collected.failures = [entry for entry in collected.failures if entry.reason != "entitlement"]
    collected.failed = len(collected.failures)
    return refused


def requests_since(source: Source, before: Asked) -> Asked:
    """What a source asked since its count was `before`."""
    now = source.asked if isinstance(source, Counts) else Asked()
    return Asked(now.requests - before.requests, now.rate_limited - before.rate_limited)
