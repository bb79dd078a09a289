"""What commit db9889a made of the demo's recordings, and the comparison of today's database with it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from cryptolake.publish.warehouse import Warehouse

KEPT = Path(__file__).parent / "db9889a"
TABLES = sorted(path.stem for path in (KEPT / "tables").glob("*.parquet"))
LENDING = ("tvl", "liquidations", "prices", "daily_panel")
# Rows that tell when a command ran; only their columns can be the same another day.
_LOGS = {"pulls", "quality_results"}
# What was renamed since, as `contracts diff` lists it; PostgreSQL answers to both names.
RENAMED = {"prices": {"teller": "quoted_by", "tellers": "quotes"}, "quotes": {"teller": "quoted_by"}}
# Of a table that others may share, the rows of the recordings: those with the kept values in these columns.
_SCOPE = {"prices": ("chain",), "metrics": ("source", "asset", "metric_name")}

# Of each side of the panel: its status, the sums that were called totals under another name since, and what has none.
_SIDES = (
    (
        "status",
        {
            "total_tvl_usd": "priced_tvl_usd",
            "total_supplied_usd": "priced_supplied_usd",
            "total_borrowed_usd": "priced_borrowed_usd",
        },
        ("gross_tvl_usd", "cash_usd", "collateral_usd", "utilization_rate"),
    ),
    ("liquidations_status", {"liquidations_usd": "priced_liquidations_usd"}, ()),
)
# What only a market's own oracle prices has no shared price any more: of these rows the key is left, and their values in
# `tvl` and `liquidations` are the same.
_ONLY_SHARED = {"prices": ["date", "chain", "asset"]}


def kept(table: str) -> pl.DataFrame:
    """The rows that PostgreSQL held. Of `metrics` the backfilled ones: the pull wrote under the day it ran."""
    frame = pl.read_parquet(KEPT / "tables" / f"{table}.parquet")
    if table != "metrics":
        return frame
    return frame.drop("id").filter(pl.col("pulled_at") < pl.col("pulled_at").max().dt.truncate("1d"))


def as_named_today(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of that commit under today's names of their columns."""
    return frame.rename(RENAMED.get(table, {}))


def without_totals(then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """The panel of that commit as today's rules say it: no total where a price is missing.

    That commit summed the rest and called it a total; `now` must say the same sums by their own names.
    """
    then, now = then.sort("csu", "date"), now.sort("csu", "date")
    assert then.select("csu", "date").equals(now.select("csu", "date"))
    for status, sums, others in _SIDES:
        lacks = then[status] == "missing_price"
        for total, partial in sums.items():
            assert then.filter(lacks)[total].to_list() == now.filter(lacks)[partial].to_list()
        nothing = pl.lit(None, pl.Float64)
        then = then.with_columns(
            pl.when(lacks).then(nothing).otherwise(pl.col(one)).alias(one) for one in (*sums, *others)
        )
    return then


def compare(warehouse: Warehouse, table: str) -> None:
    """A query of that commit is answered with the same rows.

    More tables, columns, markets and series may have come; a value that changed, a row too many or too few has not.
    """
    then = kept(table)
    now = warehouse.query(f"SELECT * FROM {table}")
    if table in _LOGS or then.is_empty():
        return
    for column in _SCOPE.get(table, ("csu",)):
        now = now.filter(pl.col(column).is_in(then[column].unique().to_list()))
    now, then = comparable(table, now), comparable(table, then)
    if table == "metrics":
        now = now.filter(pl.col("pulled_at") <= then["pulled_at"].max())
    if table == "daily_panel":
        then = without_totals(then, now)
    assert_frame_equal(now.select(then.columns), then, check_row_order=False, check_exact=True)


def comparable(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns whose values are the same wherever the same is known: of a token that no shared source prices, its key."""
    return frame.select(_ONLY_SHARED.get(table, frame.columns))
