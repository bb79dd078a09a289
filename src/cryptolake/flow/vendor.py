"""A vendor's pull (live) and backfill (history): ask, keep, conform, load into `metrics`, log the operation in `pulls`.

What does not belong here: how a vendor is asked (its source) and what a conflict means in SQL (the warehouse).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.source import Source
from cryptolake.flow.collect import Collected, Progress, collect, read_rows
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.ledger import Ledger
from cryptolake.silver import metrics, pulls
from cryptolake.warehouse.connection import Warehouse

Operation = Literal["pull", "backfill"]


@dataclass(frozen=True, slots=True)
class Pulled:
    """One operation: how many points the vendor gave, and what the load made of them."""

    source: str
    operation: Operation
    status: str
    records: int
    inserted: int
    updated: int
    unchanged: int
    collected: Collected


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
    progress: Progress = lambda _partition, _state: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Pulled:
    """Ask a vendor for its series and load them into `metrics`.

    A pull keeps the newest value, truncated to midnight UTC, and updates what it finds. A backfill keeps the vendor's
    own timestamps and never changes a stored value. Both keep every answer in bronze first, one per hour for pulls and
    one per day for backfills, and write one row to `pulls`, also when something failed.
    """
    started, asked_at = time.monotonic(), now()
    period = Period.of_hour(asked_at) if operation == "pull" else Period.of_day(asked_at.date())
    chosen = [dataset for dataset in source.datasets if dataset.name in datasets and dataset.feeds == "metrics"]
    wanted = [
        Partition(dataset.name, key, period)
        for dataset in chosen
        for key in source.keys(dataset.name)
        if keys is None or key in keys
    ]
    states = ledger.states()
    known = {p for p in wanted if resume and operation == "backfill" and p in states and states[p].state == "done"}
    collected = collect(
        source, [p for p in wanted if p not in known], bronze=bronze, ledger=ledger, workers=workers, progress=progress
    )
    rows = read_rows(source, wanted, bronze)
    conform = metrics.conform_live if operation == "pull" else metrics.conform_backfill
    frame = conform(rows, asked_at)
    loaded = warehouse.load(metrics.METRICS, frame, "update" if operation == "pull" else "nothing")
    failed = collected.failures
    status = "error" if failed else "success" if frame.height else "no_data"
    log_row = {
        "source_name": source.name,
        "pulled_at": asked_at.replace(tzinfo=None),
        "status": status,
        "records_count": frame.height,
        "operation": operation,
        "duration_s": time.monotonic() - started,
        "error": failed[0].error if failed else None,
    }
    warehouse.append(pulls.PULLS, pl.DataFrame([log_row], schema=pulls.PULLS.polars_schema()))
    return Pulled(
        source.name, operation, status, frame.height, loaded.inserted, loaded.updated, loaded.unchanged, collected
    )
