"""Silver table `metrics`: one time series point per vendor, asset, metric and instant. No I/O.

All of it is daily data. A day of a series has one row, whichever of pull and backfill saw it and how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from cryptolake.contracts.points import Points
from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table

INPUTS = ()
TABLE = Table(
    name="metrics",
    layer="silver",
    grain="one value of one metric of one asset from one vendor at one instant; one a day",
    key=("source", "asset", "metric_name", "pulled_at"),
    fields=(
        Field("pulled_at", "timestamp_naive", "instant the value is about; midnight for daily data", unit="UTC"),
        Field("source", "text", "vendor", sql="VARCHAR(100)"),
        Field("asset", "text", "the vendor's entity identifier", sql="VARCHAR(100)"),
        Field("metric_name", "text", "standardised upper-case name", sql="VARCHAR(200)"),
        Field("value", "float64", "the vendor's own number; the metric registry names the few derived ones", null=True),
    ),
    doc="Vendor time series. Direct API data only.",
    methodology="Live pulls are truncated to midnight UTC and update what is there; backfills keep the vendor's timestamps "
    "and change nothing. A backfill leaves out points of the day it was asked on, and a newest point that is not at "
    "midnight: they still move and belong to live pulls. Of several points of one day the one at midnight counts, else the "
    "last. `backfill --restate` takes over changed values and writes what they were to `metric_revisions`.",
    identity="id",
    in_lake=False,
    daily=True,
)
_SERIES = ["source", "asset", "metric_name"]
_DAY = pl.col("pulled_at").dt.truncate("1d")


def conform_live(rows: Sequence[Row], asked_at: datetime) -> pl.DataFrame:
    """The newest point of every series, truncated to midnight UTC. Null and non-finite values are dropped, zero is kept."""
    del asked_at  # the point's own day counts: a vendor that lags must not be filed under today
    frame = _finite(rows).sort("pulled_at", maintain_order=True).unique(_SERIES, keep="last", maintain_order=True)
    return _shape(frame.with_columns(_DAY))


def conform_backfill(rows: Sequence[Row], asked_at: datetime) -> pl.DataFrame:
    """At most one point a day with its own timestamp, none that still moves. Null and non-finite values are dropped.

    Still moving are the points of the UTC day of asking, and a series' newest point when it is not at midnight.
    """
    midnight = asked_at.replace(hour=0, minute=0, second=0, microsecond=0)
    frame = _finite(rows)
    settled = frame.filter((pl.col("pulled_at") == _DAY) & (pl.col("pulled_at") < midnight))
    settled = settled.unique([*_SERIES, "pulled_at"], keep="last")
    odd = frame.filter(pl.col("pulled_at") != _DAY)  # few: the live point, and rare slips of the vendor's clock
    if odd.height:
        newest = frame.group_by(_SERIES).agg(pl.col("pulled_at").max().alias("newest"))
        odd = (
            odd.join(newest, on=_SERIES)
            .filter((pl.col("pulled_at") < midnight) & (pl.col("pulled_at") != pl.col("newest")))
            .with_columns(_DAY.alias("day"))
            .join(settled.select(*_SERIES, pl.col("pulled_at").alias("day")), on=[*_SERIES, "day"], how="anti")
            .sort("pulled_at", maintain_order=True)
            .unique([*_SERIES, "day"], keep="last", maintain_order=True)
        )
        settled = pl.concat([settled, odd.select(settled.columns)])
    return _shape(settled)


def off_midnight(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows whose instant is not a midnight, with their day: those that could double a day stored by another rule."""
    return frame.filter(pl.col("pulled_at") != _DAY).with_columns(_DAY.alias("day"))


def without_doubled_days(frame: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Leave out rows whose day of the series is stored already under another instant (`stored`: the key columns)."""
    if not stored.height or not frame.height:
        return frame
    marked = frame.with_columns(_DAY.alias("day"))
    taken = stored.select(*_SERIES, _DAY.alias("day"), pl.col("pulled_at").alias("stored_at"))
    doubled = marked.join(taken, on=[*_SERIES, "day"]).filter(pl.col("pulled_at") != pl.col("stored_at"))
    return frame.join(doubled, on=[*_SERIES, "pulled_at"], how="anti") if doubled.height else frame


def _finite(rows: Sequence[Row]) -> pl.DataFrame:
    frame = Points.of(rows).frame
    return frame.filter(pl.col("value").is_finite().fill_null(value=False))


def _shape(frame: pl.DataFrame) -> pl.DataFrame:
    naive = pl.col("pulled_at").dt.replace_time_zone(None)
    return frame.with_columns(naive).select(TABLE.columns).sort("source", "asset", "metric_name", "pulled_at")
