"""Loads behave like a dictionary keyed by the natural key, whatever is loaded in whatever order."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.contracts.table import Field, Table
from cryptolake.errors import BadInput, Stop
from cryptolake.publish.warehouse import Loaded, Warehouse
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.silver.pulls import TABLE as PULLS

SMALL = Table(
    name="small_test",
    layer="silver",
    grain="one key",
    key=("k",),
    fields=(
        Field("k", "text", "key"),
        Field("v", "float64", "value", null=True),
        Field("t", "text", "text", null=True),
    ),
    doc="a table for this test: it's quoted",
    identity="id",
)
row = st.tuples(
    st.sampled_from("abcdef"),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
)
load = st.tuples(st.sampled_from(["nothing", "update", "replace", "mirror"]), st.lists(row, max_size=8))


def frame(rows: list[tuple[str, float | None, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SMALL.polars_schema(), orient="row")


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(loads=st.lists(load, max_size=5))
def test_any_sequence_of_loads_equals_a_dictionary(warehouse: Warehouse, loads: list) -> None:
    warehouse.setup([SMALL])
    warehouse.load(SMALL, SMALL.empty(), "replace")
    model: dict[str, tuple[float | None, str | None]] = {}
    for rule, rows in loads:
        new = {k: (v, t) for k, v, t in rows}
        loaded = warehouse.load(SMALL, frame(rows), rule)
        if rule == "mirror":
            assert loaded.deleted == sum(1 for k in model if k not in new)
            assert loaded.inserted == sum(1 for k in new if k not in model)
            assert loaded.updated == sum(1 for k in new if k in model and model[k] != new[k])
        if rule in {"replace", "mirror"}:
            model = new
        elif rule == "update":
            assert loaded.updated == sum(1 for k in new if k in model and model[k] != new[k])
            model |= new
        else:
            assert loaded.inserted == sum(1 for k in new if k not in model)
            model = new | model
        answer = warehouse.query('select k, v, t from small_test order by k collate "C"')
        assert {k: (v, t) for k, v, t in answer.rows()} == model


def test_a_backfill_burns_no_ids(warehouse: Warehouse) -> None:
    warehouse.setup([SMALL])
    warehouse.load(SMALL, frame([("a", 1.0, "x")]), "replace")
    for _ in range(5):
        assert warehouse.load(SMALL, frame([("a", 2.0, "y")]), "nothing") == Loaded(0, 0, 1)
    warehouse.load(SMALL, frame([("b", 1.0, None)]), "nothing")
    (first,), (second,) = warehouse.query("select id from small_test order by k").rows()
    assert second == first + 1


def test_a_nul_character_is_refused_whole(warehouse: Warehouse) -> None:
    warehouse.setup([SMALL])
    warehouse.load(SMALL, frame([("a", 1.0, "kept")]), "replace")
    with pytest.raises(BadInput, match="NUL"):
        warehouse.load(SMALL, frame([("b", 1.0, "x"), ("c", 1.0, "a\0b")]), "update")
    assert warehouse.query("select k from small_test").rows() == [("a",)]


def test_a_frame_that_does_not_fit_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(Stop, match="columns"):
        warehouse.load(SMALL, pl.DataFrame({"k": ["a"]}), "update")


def test_the_documented_tables_have_the_documented_columns(warehouse: Warehouse) -> None:
    warehouse.setup([METRICS, PULLS])
    warehouse.setup([METRICS, PULLS])
    sql = (
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_name in ('metrics', 'pulls') order by 1, ordinal_position"
    )
    types = {(table, column): kind for table, column, kind in warehouse.query(sql).rows()}
    assert types["metrics", "pulled_at"] == types["pulls", "pulled_at"] == "timestamp without time zone"
    assert types["metrics", "id"] == types["pulls", "pull_id"] == "bigint"
    assert types["metrics", "value"] == "double precision"
    assert types["metrics", "asset"] == "character varying"
    indexes = warehouse.query("select indexname from pg_indexes where tablename = 'metrics'")["indexname"].to_list()
    assert "idx_metrics_unique" in indexes


def test_setup_adds_a_missing_column_and_keeps_rows(warehouse: Warehouse) -> None:
    old = Table("grown_test", "silver", "one key", ("k",), (Field("k", "text", "key"),), "before")
    warehouse.setup([old])
    warehouse.load(old, pl.DataFrame({"k": ["a"]}), "replace")
    new = Table(
        "grown_test", "silver", "one key", ("k",), (*old.fields, Field("v", "int64", "new", null=True)), "after"
    )
    warehouse.setup([new])
    assert warehouse.query("select k, v from grown_test").rows() == [("a", None)]


@pytest.mark.parametrize(
    ("sql", "words"),
    [("selec 1", "syntax"), ("select * from nowhere", "nowhere"), ("delete from small_test", "only read")],
)
def test_a_wrong_query_is_one_clear_line(warehouse: Warehouse, sql: str, words: str) -> None:
    warehouse.setup([SMALL])
    with pytest.raises(BadInput, match=words) as caught:
        warehouse.query(sql)
    assert "\n" not in str(caught.value)


def test_sessions_are_in_utc(warehouse: Warehouse) -> None:
    assert warehouse.query("show timezone").rows() == [("UTC",)]
    warehouse.setup([METRICS])
    instant = datetime(2024, 12, 31, 23, 59, 59, 1)  # the documented column holds UTC without a zone
    rows = [(instant, "s", "a", "M", 1.5)]
    warehouse.load(METRICS, pl.DataFrame(rows, schema=METRICS.polars_schema(), orient="row"), "replace")
    assert warehouse.query("select pulled_at, value from metrics").rows() == [(instant, 1.5)]


def test_setup_adds_a_column_that_must_not_be_null_to_a_table_with_rows(warehouse: Warehouse) -> None:
    key = Field("k", "text", "key")
    old = Table("t_grown", "gold", "row", ("k",), (key,), "old")
    new = Table("t_grown", "gold", "row", ("k",), (key, Field("v", "text", "added later")), "new")
    warehouse.setup([old])
    warehouse.load(old, pl.DataFrame({"k": ["a"]}), "replace")
    warehouse.setup([new])
    assert warehouse.query("SELECT k, v FROM t_grown").rows() == [("a", None)]
    warehouse.load(new, pl.DataFrame({"k": ["a"], "v": ["x"]}), "replace")
    assert warehouse.query("SELECT k, v FROM t_grown").rows() == [("a", "x")]
