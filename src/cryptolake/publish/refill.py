"""Refilling: stored rows give way, day by day, to what came now for the same day of the same series, and to nothing else.

What does not belong here: who may be refilled, asking the user, and the session (`connection`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql as psql

from cryptolake.contracts.table import Table

Scope = Mapping[str, Sequence[str]]  # column -> the values a chosen row may have


@dataclass(frozen=True, slots=True)
class Refilled:
    """What a refill changed, in rows.

    `set_aside` rows were moved away (replaced or dropped), `updated` new rows stand for a moved one of the same instant,
    `inserted` are the other new ones. `kept` says, per series, how many settled rows nothing came for: they stay.
    """

    inserted: int
    updated: int
    unchanged: int
    set_aside: int
    kept: Mapping[tuple[str, ...], int]


def stands_for(table: Table, new: str, old: str) -> psql.Composed:
    """When a row `new` stands for a row `old` (aliases): the same key; in daily tables, the same UTC day of the series."""
    days = set(_instants(table)) if table.daily else set()
    terms = [
        psql.SQL("{}::date = {}::date" if name in days else "{} = {}").format(
            psql.Identifier(new, name), psql.Identifier(old, name)
        )
        for name in table.key
    ]
    return psql.SQL(" AND ").join(terms)


def give_way(
    cursor: psycopg.Cursor, table: Table, *, schema: str, scope: Scope, drop: Scope | None, until: datetime
) -> Refilled:
    """Move what `cryptolake_incoming` (filled, in this transaction) replaces to `schema`, and insert what is new.

    Stored rows that are the same stay as they are. `drop` names further rows to be moved away although nothing replaces
    them. Of the rows in `scope`, those before `until` or before their series' newest new row are counted as kept.
    """
    name, columns = psql.Identifier(table.name), _columns(table.columns)
    same = stands_for(table, "n", "t")
    differ = psql.SQL("({}) IS DISTINCT FROM ({})").format(_columns(table.columns, "t"), _columns(table.columns, "n"))
    going = psql.SQL(
        "CREATE TEMPORARY TABLE cryptolake_going ON COMMIT DROP AS "
        "SELECT DISTINCT t.* FROM {} t JOIN cryptolake_incoming n ON {} WHERE {}"
    ).format(name, same, differ)
    values: list[object] = []
    if drop is not None:
        terms, values = _within(drop, "t")
        going += psql.SQL(" UNION SELECT t.* FROM {} t WHERE {}").format(name, terms)
    cursor.execute("ANALYZE cryptolake_incoming")
    # Days are compared, not instants: any join but by hash finds a series by the key's index and then goes through it for
    # every row, which is quadratic in its length.
    cursor.execute("SET LOCAL enable_nestloop = off")
    cursor.execute("SET LOCAL enable_mergejoin = off")
    cursor.execute(going, values)
    set_aside = cursor.rowcount
    exact = psql.SQL(" AND ").join(
        psql.SQL("{} = {}").format(psql.Identifier("t", one), psql.Identifier("g", one)) for one in table.key
    )
    if set_aside:
        place = psql.Identifier(schema, table.name)
        cursor.execute(psql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(psql.Identifier(schema)))
        cursor.execute(psql.SQL("CREATE TABLE IF NOT EXISTS {} (LIKE {})").format(place, name))
        cursor.execute(psql.SQL("INSERT INTO {} SELECT * FROM cryptolake_going").format(place))
        cursor.execute(psql.SQL("DELETE FROM {} t USING cryptolake_going g WHERE {}").format(name, exact))
    cursor.execute(psql.SQL("SELECT count(*) FROM cryptolake_incoming t JOIN cryptolake_going g ON {}").format(exact))
    (updated,) = cursor.fetchone() or (0,)
    there = psql.SQL(" AND ").join(
        psql.SQL("{} = {}").format(psql.Identifier("t", one), psql.Identifier("n", one)) for one in table.key
    )
    cursor.execute(
        psql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM cryptolake_incoming n WHERE NOT EXISTS (SELECT FROM {} t WHERE {}) ORDER BY {}"
        ).format(name, columns, columns, name, there, _columns(table.key))
    )
    new = cursor.rowcount
    cursor.execute("SELECT count(*) FROM cryptolake_incoming")
    (came,) = cursor.fetchone() or (0,)
    return Refilled(new - updated, updated, came - new, set_aside, _kept(cursor, table, scope, until))


def _kept(cursor: psycopg.Cursor, table: Table, scope: Scope, until: datetime) -> dict[tuple[str, ...], int]:
    (instant,) = _instants(table)
    series = [one for one in table.key if one != instant]
    terms, values = _within(scope, "t")
    of_series = psql.SQL(" AND ").join(
        psql.SQL("{} = {}").format(psql.Identifier("t", one), psql.Identifier("c", one)) for one in series
    )
    cursor.execute(
        psql.SQL(
            "WITH came AS (SELECT {series}, max({instant}) AS newest FROM cryptolake_incoming GROUP BY {series}) "
            "SELECT {mine}, count(*) FROM {table} t LEFT JOIN came c ON {of_series} WHERE {terms} "
            "AND t.{instant} < greatest(c.newest, %s) "
            "AND NOT EXISTS (SELECT FROM cryptolake_incoming n WHERE {same}) GROUP BY {mine}"
        ).format(
            series=_columns(series),
            mine=_columns(series, "t"),
            instant=psql.Identifier(instant),
            table=psql.Identifier(table.name),
            of_series=of_series,
            terms=terms,
            same=stands_for(table, "n", "t"),
        ),
        [*values, until],
    )
    return {tuple(row[:-1]): row[-1] for row in cursor.fetchall()}


def _within(scope: Scope, alias: str) -> tuple[psql.Composed, list[object]]:
    terms = [psql.SQL("{} = ANY(%s)").format(psql.Identifier(alias, name)) for name in scope]
    return psql.SQL(" AND ").join(terms), [list(values) for values in scope.values()]


def _columns(names: Sequence[str], alias: str | None = None) -> psql.Composed:
    return psql.SQL(", ").join(psql.Identifier(alias, one) if alias else psql.Identifier(one) for one in names)


def _instants(table: Table) -> list[str]:
    return [f.name for f in table.fields if f.name in table.key and f.dtype in {"timestamp", "timestamp_naive"}]
