"""Silver table `metrics`: one time series point per vendor, asset, metric and instant. No I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import polars as pl

from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table

METRICS = Table(
    name="metrics",
    layer="silver",
    grain="one value of one metric of one asset from one vendor at one instant",
    key=("source", "asset", "metric_name", "pulled_at"),
    fields=(
        Field("pulled_at", "timestamp_naive", "instant the value is about; midnight for daily data", unit="UTC"),
        Field("source", "text", "vendor", sql="VARCHAR(100)"),
        Field("asset", "text", "the vendor's entity identifier", sql="VARCHAR(100)"),
        Field("metric_name", "text", "standardised upper-case name", sql="VARCHAR(200)"),
        Field("value", "float64", "the vendor's own number, never recomputed", null=True),
    ),
    doc="Vendor time series. Direct API data only.",
    methodology="Live pulls are truncated to midnight UTC and update what is there; backfills keep the vendor's timestamps "
    "and change nothing. A backfill leaves out points of the day it was asked on: they still move and belong to live pulls.",
    identity="id",
)


def conform_live(rows: Sequence[Row], asked_at: datetime) -> pl.DataFrame:
    """The newest point of every series, truncated to midnight UTC. Null and non-finite values are dropped, zero is kept."""
    del asked_at  # the point's own day counts: a vendor that lags must not be filed under today
    newest: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = (str(row["source"]), str(row["asset"]), str(row["metric_name"]))
        if _finite(row) and (key not in newest or _instant(newest[key]) <= _instant(row)):
            newest[key] = row
    return _frame([(_instant(r).replace(hour=0, minute=0, second=0, microsecond=0), r) for r in newest.values()])


def conform_backfill(rows: Sequence[Row], asked_at: datetime) -> pl.DataFrame:
    """Every point with its own timestamp, but none of the UTC day of asking. Null and non-finite values are dropped."""
    midnight = asked_at.replace(hour=0, minute=0, second=0, microsecond=0)
    return _frame([(_instant(row), row) for row in rows if _finite(row) and _instant(row) < midnight])


def _instant(row: Row) -> datetime:
    instant = row["pulled_at"]
    assert isinstance(instant, datetime)
    assert instant.tzinfo is not None
    return instant


def _finite(row: Row) -> bool:
    value = row["value"]
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _frame(points: Sequence[tuple[datetime, Row]]) -> pl.DataFrame:
    out = {
        (str(row["source"]), str(row["asset"]), str(row["metric_name"]), instant.replace(tzinfo=None)): float(
            str(row["value"])
        )
        for instant, row in points
    }
    columns = ("source", "asset", "metric_name", "pulled_at")
    frame = pl.DataFrame(
        [dict(zip(columns, key, strict=True)) | {"value": out[key]} for key in sorted(out)],
        schema=METRICS.polars_schema(),
    )
    return frame.select(METRICS.columns)
