"""Any name a contract gives a table, a column, a key or an index works: reserved words, capitals, spaces, quotes, signs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import psycopg
import pytest

from cryptolake.contracts.table import Field, Table
from cryptolake.publish.warehouse import Loaded, Warehouse
from cryptolake.watch import report

NAMES = [
    "order",
    "user",
    "select",
    "mixed Case",
    'quo"ted',
    "100%",
    "per%(cent)s",
    "desc DESC",
    "Ünïcode €",
    "incoming",
    "t",
]
NOW = datetime(2024, 12, 31, 12, tzinfo=UTC)


def table_of(name: str, *, monthly: bool, enforced: bool) -> Table:
    """A table in which everything that can be named has such a name; a monthly one is keyed by its instant as well."""
    other = next(one for one in NAMES if one != name)
    return (
        Table(
            name=name,
            layer="silver",
            grain="one key",
            key=(name, "when"),
            fields=(
                Field(name, "text", "key", allowed=("a", "b", "it's")),
                Field("when", "timestamp", "the instant by which it is partitioned"),
                Field(other, "float64", "a number", unit="%", null=True, minimum=-1e9, maximum=1e9),
                Field("value", "float64", "a value", null=True),
                Field("group", "integer_text", "digits"),
            ),
            doc=f"it's {name}",
            indexes=((other, "group"), (f"{name} DESC",)),
            named_indexes=(("table", f"{name} DESC, when"), (f"idx {name}", other)),
            identity="limit",
            enforced=False,
            monthly="when" if monthly else None,
        )
        if not enforced
        else replace(table_of(name, monthly=monthly, enforced=False), identity=None, enforced=True)
    )


def frame(table: Table, *rows: tuple[str, float | None, float | None]) -> pl.DataFrame:
    found = [(key, NOW, number, value, "12") for key, number, value in rows]
    return pl.DataFrame(found, schema=table.polars_schema(), orient="row")


@pytest.mark.parametrize("shape", ["indexed", "enforced", "monthly"])
@pytest.mark.parametrize("name", NAMES)
def test_every_step_works_with_any_name(warehouse: Warehouse, name: str, shape: str) -> None:
    monthly = shape == "monthly"
    enforced = shape != "indexed"  # a surrogate primary key would not hold the column of the months
    table = table_of(name, monthly=monthly, enforced=enforced)
    log = Table(
        f"{name} log", "log", "one change", (),
        (
            Field("revised_at", "timestamp", "when"),
            *(one for one in table.fields if one.name in table.key),
            Field("old_value", "float64", "before", null=True),
            Field("new_value", "float64", "after", null=True),
        ),
        "changes",
    )  # fmt: skip
    fewer = replace(table, fields=table.fields[:-1], indexes=(), named_indexes=())
    try:
        warehouse.setup([fewer])
        warehouse.setup([table, log])  # the last column and the indexes are added
        warehouse.setup([table, log])
        assert warehouse.has(table)
        first = frame(table, ("a", 1.0, 1.0), ("b", None, 2.0))
        assert warehouse.load(table, first, "nothing") == Loaded(2, 0, 0)
        assert warehouse.load(table, frame(table, ("a", 5.0, 1.0), ("it's", None, None)), "update") == Loaded(1, 1, 0)
        assert warehouse.load(table, first, "mirror") == Loaded(0, 1, 1, 1)
        assert warehouse.load(table, first, "replace") == Loaded(2, 0, 0)
        assert report.check_counts(warehouse.query(report.check_sql(table)))
        assert all(one.rows == 0 for one in report.check_counts(warehouse.query(report.check_sql(table))))
        assert warehouse.query(report.size_sql(table)).row(0)[0] == 2
        assert warehouse.query(report.sample_sql(table)).columns == list(table.columns)
        if monthly:
            stray, opened = warehouse.month_state(table)
            assert stray == 0
            assert NOW.date().replace(day=1) in opened
        narrow = replace(table, fields=table.fields[:2] + table.fields[3:4])
        if not enforced:
            small = replace(narrow, name=f"{name} small", indexes=(), named_indexes=())
            warehouse.setup([small])
            for value in (1.0, 2.0):
                rows = pl.DataFrame([("a", NOW, value)], schema=small.polars_schema(), orient="row")
                warehouse.restate(small, rows, log, NOW)
            assert warehouse.query(f"SELECT old_value, new_value FROM {log.quoted}").rows() == [(1.0, 2.0)]
        if not monthly:
            assert warehouse.set_aside([table], f"aside {name}") == {table.name: 2}
            assert warehouse.put_back(table, f"aside {name}") == 2
        assert warehouse.query(f"SELECT value FROM {table.quoted} ORDER BY value").rows() == [(1.0,), (2.0,)]
    finally:
        with psycopg.connect(_url(warehouse), autocommit=True) as connection:
            for one in (table.quoted, log.quoted, replace(table, name=f"{name} small").quoted):
                connection.execute(f"DROP TABLE IF EXISTS {one} CASCADE".encode())
            connection.execute(f"DROP SCHEMA IF EXISTS {replace(table, name=f'aside {name}').quoted} CASCADE".encode())


def _url(warehouse: Warehouse) -> str:
    info = warehouse._connection.info
    return psycopg.conninfo.make_conninfo(info.dsn, password=info.password)
