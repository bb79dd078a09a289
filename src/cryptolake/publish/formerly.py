"""The names that tables and columns had in earlier versions, kept alive in PostgreSQL.

What stands under an old name is taken over (renamed, cast, moved into the table it became a part of), and from then on the
old name answers still: a table's by a view, a column's by a generated column. What does not belong here: which names were
given up (the contracts say).
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from cryptolake.contracts.quoting import identifier
from cryptolake.contracts.table import Dtype, Table, sql_type
from cryptolake.errors import Stop
from cryptolake.publish.session import one_line

_INSTANTS = {"timestamp", "timestamp_naive"}


def take_over(cursor: psycopg.Cursor, table: Table) -> None:
    """Give what an earlier version made the names and types of today, before `table` is created.

    Raises Stop when tables stand under both names, because nobody can say which one counts.
    """
    for old in table.formerly:
        if _kind(cursor, old) not in {"r", "p"}:
            continue
        if _kind(cursor, table.name) is not None:
            raise Stop(
                f"the database has both {table.name} and {old}, its name in earlier versions; rename or drop the one "
                "that does not count, then run the same command again"
            )
        _rename(cursor, table, old)
    present = _columns(cursor, table.name)
    for field in table.fields:
        for former in field.formerly:
            if field.name in present or former.name not in present:
                continue
            names = {"table": sql.Identifier(table.name), "old": sql.Identifier(former.name)}
            names["new"] = sql.Identifier(field.name)
            cursor.execute(sql.SQL("ALTER TABLE {table} RENAME COLUMN {old} TO {new}").format(**names))
            if former.dtype is not None and former.dtype != field.dtype:
                statement = sql.SQL("ALTER TABLE {table} ALTER COLUMN {new} TYPE {type} USING {value}").format(
                    **names,
                    type=sql.SQL(field.sql or sql_type(field.dtype)),
                    value=_cast(field.name, former.dtype, field.dtype),
                )
                cursor.execute(statement)
            present.append(field.name)


def take_in(cursor: psycopg.Cursor, table: Table) -> None:
    """Move the rows of tables that became a part of `table` into it, once, after it was created.

    Raises Stop when such a table has not the columns it had, or something of the user's own depends on it.
    """
    for old in table.merged:
        if _kind(cursor, old.name) not in {"r", "p"}:
            continue
        names = {"table": sql.Identifier(table.name), "old": sql.Identifier(old.name)}
        if missing := {field.name for field, _ in old.columns} - set(_columns(cursor, old.name)):
            raise Stop(
                f"the database has a table {old.name} that another program made (no column {min(missing)}); rename or "
                "drop it, then run the same command again"
            )
        cursor.execute(sql.SQL("LOCK TABLE {old} IN ACCESS EXCLUSIVE MODE").format(**names))
        statement = sql.SQL("INSERT INTO {table} ({columns}) SELECT {values} FROM {old}{order}").format(
            **names,
            columns=sql.SQL(", ").join(sql.Identifier(column) for column, _ in old.takes),
            values=sql.SQL(", ").join(_expression(text) for _, text in old.takes),
            order=sql.SQL(" ORDER BY {}").format(sql.Identifier(old.identity[0])) if old.identity else sql.SQL(""),
        )
        cursor.execute(statement)
        try:
            cursor.execute(sql.SQL("DROP TABLE {old}").format(**names))
        except psycopg.errors.DependentObjectsStillExist as error:
            raise Stop(
                f"the rows of {old.name} belong into {table.name} now, but views of your own read it "
                f"({one_line(error)}); drop those, run the same command again and make them anew"
            ) from None


def _keep_merged(cursor: psycopg.Cursor, table: Table) -> None:
    for old in table.merged:
        columns = [(old.identity[0], identifier(old.identity[1]))] if old.identity else []
        columns += [(field.name, text) for field, text in old.columns]
        if _columns(cursor, old.name) == [name for name, _ in columns]:
            continue
        shown = [sql.SQL("{} AS {}").format(_expression(text), sql.Identifier(name)) for name, text in columns]
        cursor.execute(
            sql.SQL("CREATE OR REPLACE VIEW {} AS SELECT {} FROM {} WHERE {}").format(
                sql.Identifier(old.name), sql.SQL(", ").join(shown), sql.Identifier(table.name), _expression(old.where)
            )
        )


def _expression(text: str) -> sql.SQL:
    """An expression that a contract declares; no user ever writes one."""
    return sql.SQL(text)


def keep_old_names(cursor: psycopg.Cursor, table: Table) -> None:
    """A generated column for every former column name and a view for every former table name; safe to run again."""
    _keep_merged(cursor, table)
    for field in table.fields:
        for former in field.formerly:
            dtype = former.dtype or field.dtype
            kind = field.sql if field.sql and dtype == field.dtype else sql_type(dtype)
            cursor.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {} GENERATED ALWAYS AS ({}) STORED").format(
                    sql.Identifier(table.name),
                    sql.Identifier(former.name),
                    sql.SQL(kind),
                    _cast(field.name, field.dtype, dtype),
                )
            )
    for old in table.formerly:
        shown, present = _columns(cursor, old), _columns(cursor, table.name)
        # Columns of a view can only be added at its end: those it has keep their place.
        wanted = [*shown, *(one for one in present if one not in shown)]
        if wanted != shown:
            columns = sql.SQL(", ").join(map(sql.Identifier, wanted))
            cursor.execute(
                sql.SQL("CREATE OR REPLACE VIEW {} AS SELECT {} FROM {}").format(
                    sql.Identifier(old), columns, sql.Identifier(table.name)
                )
            )


def _kind(cursor: psycopg.Cursor, name: str) -> str | None:
    """r: table, p: partitioned table, v: view; None when there is nothing of that name."""
    cursor.execute(
        "SELECT c.relkind::text FROM pg_class c WHERE c.relname = %s AND c.relnamespace = current_schema()::regnamespace",
        (name,),
    )
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def _columns(cursor: psycopg.Cursor, name: str) -> list[str]:
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = %s "
        "ORDER BY ordinal_position",
        (name,),
    )
    return [str(row[0]) for row in cursor.fetchall()]


def _rename(cursor: psycopg.Cursor, table: Table, old: str) -> None:
    """Rename the table with its month partitions and indexes, so that setup finds them by their names."""
    cursor.execute(
        "SELECT c.relname, c.relkind IN ('i', 'I') FROM pg_class c "
        "WHERE c.relnamespace = current_schema()::regnamespace AND c.oid IN ("
        " SELECT inhrelid FROM pg_inherits WHERE inhparent = %(old)s::regclass"
        " UNION SELECT indexrelid FROM pg_index WHERE indrelid = %(old)s::regclass)",
        {"old": old},
    )
    parts = [(str(name), bool(index)) for name, index in cursor.fetchall()]
    for name, index in [(old, False), *parts]:
        prefix = f"idx_{old}" if name.startswith(f"idx_{old}_") else old
        if name != old and not name.startswith(f"{prefix}_"):
            continue
        statement = "ALTER INDEX {} RENAME TO {}" if index else "ALTER TABLE {} RENAME TO {}"
        new = prefix.removesuffix(old) + table.name + name.removeprefix(prefix)
        cursor.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(new)))


def _cast(column: str, has: Dtype, wanted: Dtype) -> sql.Composable:
    """The column as another dtype, by an expression that depends on no setting of the session."""
    name = sql.Identifier(column)
    if has == wanted:
        return name
    if {has, wanted} == _INSTANTS:
        return sql.SQL("{} AT TIME ZONE 'UTC'").format(name)
    return sql.SQL("CAST({} AS {})").format(name, sql.SQL(sql_type(wanted)))
