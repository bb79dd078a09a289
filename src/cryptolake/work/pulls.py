"""One row in `pulls` for every operation that asked a vendor, also when something failed. The only writer of that table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from cryptolake.contracts.source import Asked
from cryptolake.publish.warehouse import Warehouse
from cryptolake.silver.pulls import TABLE as PULLS

Operation = Literal["pull", "backfill"]
Status = Literal["success", "no_data", "error"]


@dataclass(frozen=True, slots=True)
class Pull:
    """What one operation did: rows loaded, seconds, requests, alerts and the first error. `asked_at` is aware UTC."""

    source: str
    operation: Operation
    asked_at: datetime
    status: Status
    records: int
    duration_s: float
    asked: Asked | None = None
    alerts: Sequence[str] = ()
    error: str | None = None


def status_of(failed: bool, records: int) -> Status:
    """`error` as soon as one partition failed, `no_data` when everything was answered and gave nothing."""
    if failed:
        return "error"
    return "success" if records else "no_data"


def record(warehouse: Warehouse, pull: Pull) -> None:
    """Write the row."""
    row = {
        "source_name": pull.source,
        "pulled_at": pull.asked_at.replace(tzinfo=None),
        "status": pull.status,
        "records_count": pull.records,
        "operation": pull.operation,
        "duration_s": pull.duration_s,
        "requests": None if pull.asked is None else pull.asked.requests,
        "rate_limited": None if pull.asked is None else pull.asked.rate_limited,
        "alerts": "; ".join(pull.alerts) or None,
        "error": pull.error,
    }
    warehouse.append(PULLS, pl.DataFrame([row], schema=PULLS.polars_schema()))
