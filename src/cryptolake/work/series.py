"""A vendor's pull (live) and backfill (history): ask, keep, conform, load into `metrics`, log the operation in `pulls`.

What does not belong here: how a vendor is asked (its source), what a conflict means in SQL (the warehouse) and what is
worth an alert (`vendor_health`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import polars as pl
import structlog

from cryptolake.contracts.entry import SETTLED
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.points import Points
from cryptolake.contracts.source import Asked, Counts, Dataset, Prepares, Source
from cryptolake.errors import BadInput, CryptolakeError, Skip
from cryptolake.flow.collect import Collected, Progress, collect
from cryptolake.lake.bronze import Bronze
from cryptolake.publish.warehouse import Loaded, Warehouse
from cryptolake.registry.metrics import without_history
from cryptolake.silver import metrics, pulls, revisions
from cryptolake.state.ledger import Ledger
from cryptolake.watch.freshness import disappeared, lost_days
from cryptolake.work.landed_points import Remembering

Operation = Literal["pull", "backfill"]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pulled:
    """One operation: how many points the vendor gave, and what the load made of them.

    `needs_key` names the datasets that were not asked or were refused for want of a paid key: no failure (and not counted
    as one in `collected`), but no data.
    `alerts` are lines about series that disappeared and days that can never be filled.
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
    table: str = metrics.METRICS.name


def pull_or_backfill(
    operation: Operation,
    source: Source,
    *,
    keys: Sequence[str] | None,
    datasets: Sequence[str],
    bronze: Bronze,
    ledger: Ledger,
    warehouse: Warehouse,
    workers: int = 5,
    resume: bool = True,
    restate: bool = False,
    progress: Progress = lambda _partition, _state: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Pulled:
    """Ask a vendor for its series and load them into `metrics`.

    A pull keeps the newest value, truncated to midnight UTC, and updates what it finds. A backfill keeps the vendor's own
    timestamps and never changes a stored value, unless `restate` says to take over what the vendor changed. Both keep
    every answer in bronze first, one per hour for pulls and one per day for backfills, and write one row to `pulls`, also
    when something failed. Raises BadInput when nothing can be asked for want of a key.
    """
    started, asked_at = time.monotonic(), now()
    before = source.asked if isinstance(source, Counts) else Asked()
    try:
        chosen, lacking = _granted(operation, source, datasets, keys)
        remembering = Remembering(source)
        period = Period.of_hour(asked_at) if operation == "pull" else Period.of_day(asked_at.date())
        if isinstance(source, Prepares):
            source.prepare([one.name for one in chosen if _wanted(source, [one], keys, period)], period.granularity)
        wanted = _wanted(source, chosen, keys, period)
        kept = _kept(wanted, remembering, bronze, ledger) if resume and operation == "backfill" else set()
        missing = [one for one in wanted if one not in kept]
        collected = collect(remembering, missing, bronze=bronze, ledger=ledger, workers=workers, progress=progress)
        bronze.settle()  # durable before anything is loaded that was made of it
        points = remembering.points()
        conform = metrics.conform_live if operation == "pull" else metrics.conform_backfill
        frame = conform(points, asked_at)
        alerts = _alerts(operation, source, wanted, points, frame, warehouse, asked_at)
        loaded = _load(operation, source.name, frame, warehouse, restate=restate, at=asked_at)
        if operation == "pull":
            for dataset in sorted({one.dataset for one in wanted}):
                bronze.fold(source.name, dataset, period)
    except CryptolakeError as error:
        spent = time.monotonic() - started
        log_operation(
            warehouse, source, operation, asked_at, "error", 0, spent, requests_since(source, before), (), str(error)
        )
        raise
    refused = without_refused(collected)
    failures = collected.failures
    status = "error" if failures else "success" if frame.height else "no_data"
    asked, spent = requests_since(source, before), time.monotonic() - started
    first = failures[0].error if failures else None
    log_operation(warehouse, source, operation, asked_at, status, frame.height, spent, asked, alerts, first)
    return Pulled(
        source.name,
        operation,
        status,
        frame.height,
        loaded.inserted,
        loaded.updated,
        loaded.unchanged,
        collected,
        needs_key=tuple(sorted({*lacking, *refused})),
        alerts=alerts,
        asked=asked,
        duration_s=spent,
    )


def start_fresh(source: str, warehouse: Warehouse, *, drop: Collection[str] = ()) -> int:
    """Delete a vendor's rows from `metrics` before a backfill; returns how many.

    Metrics the vendor gives no past values of stay, because they could never be fetched again, unless `drop` names them.
    """
    precious = without_history(source)
    if unknown := sorted(set(drop) - set(precious)):
        raise BadInput(f"{unknown[0]} is no metric without history; those of {source}: {', '.join(precious)}")
    keep = [name for name in precious if name not in set(drop)]
    return warehouse.forget(metrics.METRICS, where={"source": source}, keep={"metric_name": keep})


def _granted(
    operation: Operation, source: Source, datasets: Sequence[str], keys: Sequence[str] | None
) -> tuple[list[Dataset], list[str]]:
    """The datasets that can be asked, and the names of those that lack a key."""
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


def _kept(wanted: Sequence[Partition], source: Remembering, bronze: Bronze, ledger: Ledger) -> set[Partition]:
    """The partitions that are settled today already and whose answers can still be read; their rows are remembered."""
    kept = set()
    for partition, entry in ledger.of(wanted).items():
        if entry.state not in SETTLED:
            continue
        if entry.digest is None:
            kept.add(partition)
        elif (raw := bronze.read(partition, source.name)) is not None and raw.digest == entry.digest:
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
        return warehouse.load(metrics.METRICS, frame, "update")
    frame = _one_row_a_day(frame, source, warehouse)
    if restate:
        return warehouse.restate(metrics.METRICS, frame, revisions.REVISIONS, at)
    return warehouse.load(metrics.METRICS, frame, "nothing")


def _one_row_a_day(frame: pl.DataFrame, source: str, warehouse: Warehouse) -> pl.DataFrame:
    """Leave out points whose day is stored already under another instant (only instants off midnight can clash)."""
    columns = "SELECT source, asset, metric_name, pulled_at FROM metrics WHERE source = %s"
    stored = [warehouse.query(f"{columns} AND pulled_at <> date_trunc('day', pulled_at)", (source,))]
    odd = metrics.off_midnight(frame)
    if odd.height:
        days = odd["day"].unique().to_list()
        stored.append(warehouse.query(f"{columns} AND date_trunc('day', pulled_at) = ANY(%s)", (source, days)))
    contract = metrics.METRICS.polars_schema()
    schema = pl.Schema({name: contract[name] for name in metrics.METRICS.key})
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


def log_operation(
    warehouse: Warehouse,
    source: Source,
    operation: Operation,
    asked_at: datetime,
    status: str,
    records: int,
    duration_s: float,
    asked: Asked,
    alerts: Sequence[str],
    error: str | None,
) -> None:
    """Write the operation's row to `pulls`; `asked_at` is aware, `error` the first failure."""
    told = "; ".join(alerts) or None
    row = pulls.row(
        source.name,
        operation,
        asked_at,
        status=status,
        records=records,
        duration_s=duration_s,
        asked=asked,
        alerts=told,
        error=error,
    )
    warehouse.append(pulls.PULLS, row)
