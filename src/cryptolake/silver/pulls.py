"""Log table `pulls`: one row per vendor operation. No I/O."""

from __future__ import annotations

from cryptolake.contracts.table import Field, Table

INPUTS = ()
TABLE = Table(
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
    in_lake=False,
)
