"""Readers and rows of an earlier version survive a rename and a new type: in PostgreSQL and in the lake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from cryptolake.contracts.table import Field, Former, Table
from cryptolake.errors import Stop
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Warehouse
from cryptolake.quality import results
from cryptolake.quality.results import Result

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
        cursor.execute("DROP TABLE IF EXISTS kept_new CASCADE")  # and a view of the old name on it
        cursor.execute("DROP TABLE IF EXISTS kept_old CASCADE")
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


MARKET_CHECKS = Table(
    "market_checks",
    "log",
    "one check of one run",
    (),
    (
        Field("checked_at", "timestamp", "when"),
        Field("run", "text", "which"),
        Field("check_name", "text", "which"),
        Field("severity", "text", "how bad", allowed=("block", "error", "warn")),
        Field("passed", "bool", "whether it held"),
        Field("rows_failed", "int64", "rows", minimum=0),
        Field("detail", "text", "one line"),
    ),
    "coins' checks as earlier versions kept them",
    indexes=(("checked_at",),),
    identity="id",
    in_lake=False,
)
QUALITY_RESULTS = replace(
    results.TABLE,
    merged=(),
    fields=tuple(replace(one, null=one.name == "examples") for one in results.TABLE.fields[:7]),
)
FOUND = pl.DataFrame(
    [
        (AT, "market/1", "row_count", "block", True, 0, "100 coins"),
        (AT, "market/1", "freshness", "error", False, 100, "it's {old}: 100 % of it"),
        (AT, "now", "stale_coins", "warn", True, 3, "3 of 100 coins"),
    ],
    schema=MARKET_CHECKS.polars_schema(),
    orient="row",
)
EVERY = f"SELECT {', '.join(MARKET_CHECKS.columns)} FROM market_checks ORDER BY id"


@pytest.fixture
def two_logs(warehouse: Warehouse) -> Iterator[Warehouse]:
    """A database of an earlier version, in which coins' checks had a table of their own; both have rows."""
    with warehouse._work("clearing") as cursor:
        cursor.execute("DROP TABLE IF EXISTS quality_results CASCADE")
        cursor.execute("DROP TABLE IF EXISTS market_checks CASCADE")
    warehouse.setup([QUALITY_RESULTS, MARKET_CHECKS])
    warehouse.append(MARKET_CHECKS, FOUND)
    lending = results.frame([Result("blocks_rise", "error", True, 0)], about="lending", run_at=AT, dataset_version="d")
    warehouse.append(QUALITY_RESULTS, lending.select(QUALITY_RESULTS.columns))
    yield warehouse
    with warehouse._work("clearing") as cursor:  # the database is shared with other tests
        for kind, name in cursor.execute(
            "SELECT relkind, relname FROM pg_class WHERE relname IN ('market_checks', 'quality_results') "
            "AND relkind IN ('r', 'v')"
        ).fetchall():
            cursor.execute(f"DROP {'VIEW' if kind in ('v', b'v') else 'TABLE'} IF EXISTS {name} CASCADE".encode())


def test_the_rows_of_a_table_that_became_a_part_of_another_move_and_its_queries_still_answer(
    two_logs: Warehouse,
) -> None:
    for _ in range(2):  # setup is safe to run again
        two_logs.setup([results.TABLE])
        assert two_logs.query(EVERY).rows() == FOUND.rows()
        assert two_logs.query("SELECT count(*) FROM quality_results").item() == FOUND.height + 1
    severities = two_logs.query("SELECT severity FROM quality_results ORDER BY result_id")["severity"].to_list()
    assert set(severities) <= set(results.SEVERITIES)
    assert two_logs.query("SELECT check_name FROM quality_results WHERE about IS NULL").rows() == [("blocks_rise",)]


def test_new_results_of_coins_are_seen_under_the_old_name_and_others_are_not(two_logs: Warehouse) -> None:
    two_logs.setup([results.TABLE])
    new = [
        Result("contract", "error", False, 1, "one row", blocks=True),
        Result("price_range", "error", False, 2, "two"),
        Result("page_drift", "warning", True, 0, "none"),
        Result("whole_market", "info", True, 0, "known"),
    ]
    two_logs.append(results.TABLE, results.frame(new, about=results.COINS, run_at=AT, run="market/2"))
    two_logs.append(results.TABLE, results.frame(new, about=results.LENDING, run_at=AT, dataset_version="d"))
    seen = two_logs.query("SELECT check_name, severity, passed FROM market_checks WHERE run = 'market/2' ORDER BY id")
    assert seen.rows() == [
        ("contract", "block", False),
        ("price_range", "error", False),
        ("page_drift", "warn", True),
        ("whole_market", "warn", True),
    ]


def test_a_view_of_the_users_own_stops_the_move_and_nothing_is_lost(two_logs: Warehouse) -> None:
    with two_logs._work("theirs") as cursor:
        cursor.execute("CREATE VIEW theirs AS SELECT * FROM market_checks")
    with pytest.raises(Stop, match=r"views of your own read it .*drop those"):
        two_logs.setup([results.TABLE])
    assert two_logs.query("SELECT count(*) FROM theirs").item() == FOUND.height
    assert two_logs.query("SELECT count(*) FROM quality_results").item() == 1
    with two_logs._work("theirs") as cursor:
        cursor.execute("DROP VIEW theirs")
    two_logs.setup([results.TABLE])
    assert two_logs.query(EVERY).rows() == FOUND.rows()


def test_a_table_of_another_program_under_that_name_is_left_alone(two_logs: Warehouse) -> None:
    with two_logs._work("theirs") as cursor:
        cursor.execute("ALTER TABLE market_checks RENAME COLUMN detail TO remark")
    with pytest.raises(Stop, match=r"market_checks that another program made \(no column detail\)"):
        two_logs.setup([results.TABLE])
    assert two_logs.query("SELECT count(remark) FROM market_checks").item() == FOUND.height
