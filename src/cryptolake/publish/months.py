"""Month partitions of a table whose contract says `monthly`: opened ahead, and emptied out of the default partition.

What does not belong here: which tables are monthly (contracts) and who loads them (connection).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date

import psycopg
from psycopg import sql

from cryptolake.contracts.quoting import identifier
from cryptolake.contracts.table import Table

AHEAD = 3  # months opened beyond the current one: a quarter without a single run still lands in its partitions


def months(first: date, last: date) -> Iterator[date]:
    """The first day of every month from `first`'s to `last`'s, both included."""
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        yield date(year, month, 1)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def later(month: date, count: int) -> date:
    """The first day of the month `count` months after `month`'s."""
    number = month.year * 12 + month.month - 1 + count
    return date(number // 12, number % 12 + 1, 1)


def strays(cursor: psycopg.Cursor, table: Table) -> list[date]:
    """The months of which rows lie in the default partition."""
    statement = "SELECT DISTINCT date_trunc('month', {column} AT TIME ZONE 'UTC')::date FROM {default}"
    names = {"column": sql.Identifier(table.monthly or ""), "default": sql.Identifier(f"{table.name}_default")}
    cursor.execute(sql.SQL(statement).format(**names))
    return [month for (month,) in cursor.fetchall()]


def opened(cursor: psycopg.Cursor, table: Table) -> list[date]:
    """The months that have a partition, in order."""
    cursor.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(%s)",
        (table.quoted,),
    )
    tails = (name.removeprefix(f"{table.name}_") for (name,) in cursor.fetchall())
    return sorted(date(int(tail[:4]), int(tail[5:]), 1) for tail in tails if re.fullmatch(r"\d{4}_\d{2}", tail))


def partition_name(table: Table, month: date) -> str:
    """`<table>_YYYY_MM`."""
    return f"{table.name}_{month:%Y_%m}"


def open_months(cursor: psycopg.Cursor, table: Table, wanted: Iterable[date]) -> list[str]:
    """Make the partitions of these months that are missing; returns their names.

    Rows of such a month that fell into the default partition move into the new one in the same transaction. The new
    table is attached, not created in place, so that readers are kept waiting only for an instant. The caller is the only
    writer of the table (`Warehouse` locks it), so no two sessions make the same month.
    """
    made = []
    for month in sorted(set(wanted)):
        name = partition_name(table, month)
        if _exists(cursor, name):
            continue
        parts = {
            "new": sql.Identifier(name),
            "parent": sql.Identifier(table.name),
            "default": sql.Identifier(f"{table.name}_default"),
            "column": sql.Identifier(table.monthly or ""),
            "start": sql.Literal(f"{month:%Y-%m-%d} 00:00:00+00"),
            "end": sql.Literal(f"{later(month, 1):%Y-%m-%d} 00:00:00+00"),
        }
        for statement in (
            "CREATE TABLE {new} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
            "WITH moved AS (DELETE FROM {default} WHERE {column} >= {start} AND {column} < {end} RETURNING *) "
            "INSERT INTO {new} SELECT * FROM moved",
            "ALTER TABLE {parent} ATTACH PARTITION {new} FOR VALUES FROM ({start}) TO ({end})",
        ):
            cursor.execute(sql.SQL(statement).format(**parts))
        made.append(name)
    return made


def _exists(cursor: psycopg.Cursor, name: str) -> bool:
    cursor.execute("SELECT to_regclass(%s)", (identifier(name),))
    return cursor.fetchone() != (None,)
