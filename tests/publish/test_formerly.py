"""Readers and rows of an earlier version survive a rename and a new type: in PostgreSQL and in the lake."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from cryptolake.contracts.table import Field, Former, Table
from cryptolake.errors import Stop
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Warehouse

AT = datetime(2024, 12, 5, 12, tzinfo=UTC)
OLD = Table(
    "kept_old",
    "gold",
    "one thing",
    ("k",),
    (
        Field("k", "text", "key"),
        Field("n", "int32", "count"),
        Field("at", "timestamp", "instant"),
        Field("x", "float64", "amount", null=True),
    ),
    "things",
    indexes=(("n",),),
)
NEW = replace(
    OLD,
    name="kept_new",
    formerly=("kept_old",),
    fields=(
        Field("id", "text", "key", formerly=(Former("k"),)),
        Field("amount", "int64", "count", formerly=(Former("n", "int32"),)),
        Field("at_utc", "timestamp_naive", "instant", formerly=(Former("at", "timestamp"),)),
        Field("x", "float64", "amount", null=True),
    ),
    key=("id",),
    indexes=(("amount",),),
)
ROWS = pl.DataFrame({"k": ["a", "b"], "n": [1, 2], "at": [AT, AT], "x": [0.5, None]}, schema=OLD.polars_schema())


@pytest.fixture
def old(warehouse: Warehouse) -> Warehouse:
    """A database that an earlier version made and filled."""
    with warehouse._work("clearing") as cursor:
        cursor.execute("DROP VIEW IF EXISTS kept_old")
        cursor.execute("DROP TABLE IF EXISTS kept_new, kept_old CASCADE")
    warehouse.setup([OLD])
    warehouse.load(OLD, ROWS, "nothing")
    return warehouse


def test_rows_are_taken_over_and_old_queries_still_answer(old: Warehouse) -> None:
    before = old.query("SELECT k, n, at, x FROM kept_old ORDER BY k")
    for _ in range(2):  # setup is safe to run again
        old.setup([NEW])
        assert old.query("SELECT k, n, at, x FROM kept_old ORDER BY k").equals(before)
    now = old.query("SELECT id, amount, at_utc FROM kept_new ORDER BY id")
    assert now.rows() == [("a", 1, AT.replace(tzinfo=None)), ("b", 2, AT.replace(tzinfo=None))]
    assert old.query("SELECT relname::text FROM pg_class WHERE relname LIKE 'idx_kept_old%'").is_empty()


def test_new_rows_are_seen_under_the_old_names(old: Warehouse) -> None:
    old.setup([NEW])
    row = {"id": ["c"], "amount": [3], "at_utc": [AT.replace(tzinfo=None)], "x": [1.0]}
    for rule in ("update", "mirror", "replace"):
        old.load(NEW, pl.DataFrame(row, schema=NEW.polars_schema()), rule)  # type: ignore[arg-type]
        assert old.query("SELECT n, at FROM kept_old WHERE k = 'c'").rows() == [(3, AT)]


def test_a_column_added_later_is_added_at_the_end_of_the_view(old: Warehouse) -> None:
    old.setup([NEW])
    seen = old.query("SELECT * FROM kept_old").columns
    old.setup([replace(NEW, fields=(Field("first", "text", "new", null=True), *NEW.fields))])
    assert old.query("SELECT * FROM kept_old").columns == [*seen, "first"]


def test_months_move_with_their_table(warehouse: Warehouse) -> None:
    fields = (Field("k", "text", "key"), Field("at", "timestamp_naive", "instant"))
    monthly = Table("monthly_old", "silver", "one", ("k", "at"), fields, "by month", monthly="at")
    renamed = replace(monthly, name="monthly_new", formerly=("monthly_old",))
    with warehouse._work("clearing") as cursor:
        cursor.execute("DROP TABLE IF EXISTS monthly_new, monthly_old CASCADE")
    warehouse.setup([monthly])
    frame = pl.DataFrame({"k": ["a"], "at": [AT.replace(tzinfo=None)]}, schema=monthly.polars_schema())
    warehouse.load(monthly, frame, "nothing")
    months = warehouse.month_state(monthly)
    warehouse.setup([renamed])
    assert warehouse.month_state(renamed) == months
    assert warehouse.query("SELECT count(*) FROM monthly_old").item() == 1


def test_tables_under_both_names_are_refused(old: Warehouse) -> None:
    old.setup([replace(NEW, formerly=())])
    with pytest.raises(Stop, match="has both kept_new and kept_old"):
        old.setup([NEW])


def test_the_lake_reads_what_lies_under_the_old_names(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.write(OLD, ROWS)
    same = replace(NEW, fields=(*NEW.fields[:2], Field("at", "timestamp", "instant"), NEW.fields[3]))
    assert tables.read(same).rows() == ROWS.rows()
    tables.write(same, tables.read(same))
    assert tables.read(same).columns == ["id", "amount", "at", "x"]
