"""A lake may lie in a folder of any name: what is written is read back by every way of reading, or the name is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.lake.places import names_of_folders

from cryptolake.contracts.table import Field, Former, Table
from cryptolake.errors import BadInput, Stop
from cryptolake.lake import sql
from cryptolake.lake.tables import Tables

DAILY = Table(
    "daily",
    "silver",
    "one key on one day",
    ("k", "date"),
    (Field("k", "text", "key"), Field("date", "date", "day"), Field("x", "float64", "amount", null=True)),
    "days",
    partition="date",
)
WHOLE = Table("whole", "gold", "one key", DAILY.key, DAILY.fields, "all at once")
BY_TEXT = Table("by_text", "silver", "one key", DAILY.key, DAILY.fields, "by key", partition="k")
ROWS = pl.DataFrame(
    {
        "k": ["a", "b=c d", "ü%20#?"],
        "date": [date(2024, 1, 1), date(2024, 1, 1), date(2024, 1, 2)],
        "x": [1.0, None, 3.0],
    }
)
TABLES = (DAILY, WHOLE, BY_TEXT)


def check(root: Path) -> None:
    """Write all three and read them in every way."""
    tables = Tables(root)
    for table in TABLES:
        tables.write(table, ROWS)
        stored = tables.stored(table)
        assert stored is not None
        assert_frame_equal(tables.read(table), ROWS)
        assert_frame_equal(stored.scan().collect(), ROWS, check_row_order=False)
        assert all(Path(path).is_file() for path in stored.paths())
        assert tables.size(table) == sum(Path(path).stat().st_size for path in stored.paths())
        assert_frame_equal(sql.query(f"SELECT * FROM {table.name} ORDER BY k", [stored]), ROWS)
        some = sql.query(f"SELECT k FROM {table.name} WHERE date = '2024-01-02'", [stored])
        assert some["k"].to_list() == ["ü%20#?"]
        among = tables.read(table, among={"date": [date(2024, 1, 1)]}, columns=["k", "date"])
        assert among["k"].to_list() == ["a", "b=c d"]
    tables.write(DAILY, ROWS.filter(k="a").with_columns(x=9.0), replace_where={"date": [date(2024, 1, 1)]})
    assert tables.read(DAILY)["x"].to_list() == [9.0, 3.0]
    assert tables.expire(DAILY, keep_days=0, dry_run=False) > 0
    assert tables.read(DAILY)["x"].to_list() == [9.0, 3.0]


@pytest.mark.parametrize(
    "name",
    ["plain", "a b", "äöü ß", "a#b", "a?b", "a*b", "{a,b}", "a'b", 'a"b', "x+y:z", "a&b=c", "date=2020-01-01", "100%"],
)
def test_a_lake_lies_in_any_folder(tmp_path: Path, name: str) -> None:
    check(tmp_path / name / "data")


@given(st.text(alphabet="a ü#?*'\"=&%2{}[]\\:;+,\n", min_size=1, max_size=6))
def test_any_name_is_served_or_refused(name: str) -> None:
    with names_of_folders(name) as root:
        try:
            Tables(root)
        except BadInput as refused:
            assert "rename it" in str(refused)
            assert "\n" not in str(refused)
        else:
            check(root)


@pytest.mark.parametrize("name", ["%20", "a%41b", "[a]", "a]", "a\\b", "a\nb"])
def test_a_name_that_means_another_folder_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="rename it, or set --data"):
        Tables(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_link_or_lies_behind_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    check(tmp_path / "data")


def test_a_column_that_was_renamed_is_read_under_its_new_name(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.write(DAILY, ROWS)
    now = Table(
        "daily_rows",
        "silver",
        DAILY.grain,
        DAILY.key,
        (*DAILY.fields[:2], Field("amount", "float64", "amount", null=True, formerly=(Former("x"),))),
        DAILY.doc,
        partition="date",
        formerly=("daily",),
    )
    stored = tables.stored(now)
    assert stored is not None
    expected = ROWS.rename({"x": "amount"})
    assert_frame_equal(tables.read(now), expected)
    assert_frame_equal(sql.query("SELECT * FROM daily_rows ORDER BY k", [stored]), expected)
    assert_frame_equal(sql.query("SELECT * FROM daily ORDER BY k", [stored]), expected)


def test_days_written_into_a_table_of_former_names_give_it_those_of_today(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.write(DAILY, ROWS)
    amount = Field("amount", "float64", "amount", null=True, formerly=(Former("x"),))
    now = replace(DAILY, fields=(*DAILY.fields[:2], amount))
    some = ROWS.rename({"x": "amount"}).filter(k="a").with_columns(amount=9.0)
    tables.write(now, some, replace_where={"date": [date(2024, 1, 1)]})
    assert tables.read(now)["amount"].to_list() == [9.0, 3.0], "the other day is kept under the new name"
    kept = tables.stored(now)
    assert kept is not None
    assert set(kept.names(now.columns).values()) == set(now.columns)


def test_days_are_not_written_into_a_table_of_other_columns(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.write(DAILY, ROWS)
    other = replace(DAILY, fields=(*DAILY.fields, Field("y", "float64", "amount", null=True)))
    with pytest.raises(Stop, match="cryptolake rebuild"):
        tables.write(other, other.empty(), replace_where={"date": [date(2024, 1, 1)]})
    assert_frame_equal(tables.read(DAILY), ROWS)
