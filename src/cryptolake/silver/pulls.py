"""Log table `pulls`: one row per vendor operation. No I/O."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from cryptolake.contracts.source import Asked
from cryptolake.contracts.table import Field, Table

PULLS = Table(
    name="pulls",
    layer="log",
    grain="one pull or backfill of one vendor",
    key=(),
    fields=(
        Field("source_name", "text", "vendor", sql="VARCHAR(100)"),
        Field("pulled_at", "timestamp_naive", "when the operation started", unit="UTC", sql="TIMESTAMP DEFAULT NOW()"),
        Field(
            "status",
            "text",
            "outcome; `error` when any key failed",
            sql="VARCHAR(50)",
            allowed=("success", "error", "no_data"),
        ),
        Field("records_count", "int32", "points the vendor gave", null=True, sql="INTEGER DEFAULT 0", minimum=0),
        Field("operation", "text", "pull or backfill", null=True, allowed=("pull", "backfill")),
        Field("duration_s", "float64", "how long it took", unit="s", null=True, minimum=0),
        Field("requests", "int32", "HTTP requests sent", null=True, minimum=0),
        Field("rate_limited", "int32", "requests refused with 429", null=True, minimum=0),
        Field("alerts", "text", "series that disappeared and days lost, one line", null=True),
        Field("error", "text", "first failure, one line", null=True),
    ),
    doc="What was asked of vendors, when, and how it went.",
    indexes=(("source_name", "pulled_at"),),
    identity="pull_id",
)


def row(
    source: str,
    operation: str,
    at: datetime,
    *,
    status: str,
    records: int,
    duration_s: float,
    asked: Asked | None = None,
    alerts: str | None = None,
    error: str | None = None,
) -> pl.DataFrame:
    """One operation as a frame of one row. `at` is aware; without `asked` nobody counted the requests."""
    values = {
        "source_name": source,
        "pulled_at": at.replace(tzinfo=None),
        "status": status,
        "records_count": records,
        "operation": operation,
        "duration_s": duration_s,
        "requests": asked.requests if asked is not None else None,
        "rate_limited": asked.rate_limited if asked is not None else None,
        "alerts": alerts,
        "error": error,
    }
    return pl.DataFrame([values], schema=PULLS.polars_schema())
