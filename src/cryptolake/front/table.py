"""`LakeTable`: one table, wherever its rows are; and one question over those that the lake holds.

What does not belong here: which tables there are (catalogue), and the engine that answers (lake.sql).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import polars as pl

from cryptolake.app import App
from cryptolake.contracts.quoting import identifiers
from cryptolake.contracts.table import Table
from cryptolake.errors import BadInput
from cryptolake.lake import sql
from cryptolake.work.handing_out import require_table_supported


class LakeTable:
    """One table: what a row of it is, what its columns mean, and its rows."""

    def __init__(self, app: Callable[[], App], table: Table, *, as_stored: bool = False) -> None:
        self._app, self._table, self._as_stored = app, table, as_stored

    @property
    def name(self) -> str:
        """The table's name."""
        return self._table.name

    @property
    def doc(self) -> str:
        """What the table is about, what one row is, and how its numbers are made."""
        about = self._table
        return " ".join(filter(None, (about.doc, f"One row: {about.grain}.", about.methodology)))

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return self._table.key

    @property
    def columns(self) -> pl.DataFrame:
        """Name, type, unit, meaning of every column, and whether it may be null."""
        rows = [(one.name, one.dtype, one.unit, one.null, one.doc) for one in self._table.fields]
        return pl.DataFrame(rows, schema=["column", "type", "unit", "null", "meaning"], orient="row")

    def scan(self) -> pl.LazyFrame:
        """The rows as a lazy frame, in no particular order; filters and columns you choose spare reading the rest.

        Instants are UTC. Tables that only PostgreSQL holds are read at once. Raises BadInput for a table of the lake that
        was never made, Stop for one that an older version wrote, and for figures of the panel that ledger and silver do not
        give now (unless the table was asked for `as_stored`).

        >>> lake.table("tvl").scan().filter(pl.col("date") == date(2024, 12, 5)).select("symbol").collect().height
        4
        """
        app = self._app()
        if self._table.in_lake:
            stored = app.tables.stored(self._table)
            if stored is None:
                raise BadInput(never_made(self._table))
            if not self._as_stored:
                require_table_supported(app, self._table)
            return stored.scan()
        answer = app.database.reader().query(f"SELECT {identifiers(self._table.columns)} FROM {self._table.quoted}")
        return answer.cast(dict(self._table.polars_schema())).lazy()  # type: ignore[arg-type]

    def read(self) -> pl.DataFrame:
        """All rows, sorted by the key.

        >>> lake.table("daily_panel").read().height
        14
        """
        frame = self.scan().collect()
        return frame.sort(self._table.key) if self._table.key else frame

    def __repr__(self) -> str:
        return f"<LakeTable {self.name}: one row is {self._table.grain}>"


def never_made(table: Table) -> str:
    """What to say of a table of the lake that has no rows because it was never written."""
    return f"{table.name} was never made here; collect, refine and build first, e.g. lake.run(set='thesis-43')"


def elsewhere(table: Table) -> str:
    """What to say of a table that is asked for where it is not."""
    return f"{table.name} is in PostgreSQL only; read it by lake.table({table.name!r}).scan()"


def asked_of(app: App, tables: Iterable[Table], statement: str, *, as_stored: bool = False) -> pl.DataFrame:
    """The answer to a SELECT over those of the tables that the lake holds. Raises BadInput that says where others are.

    And Stop for figures of the panel that ledger and silver do not give now, unless they are wanted `as_stored`.
    """
    absent: dict[str, str] = {}
    stored = []
    for table in tables:
        found = app.tables.stored(table) if table.in_lake else None
        if found is not None:
            stored.append(found)
        else:
            why = never_made(table) if table.in_lake else elsewhere(table)
            absent |= dict.fromkeys((table.name, *table.formerly), why)

    def look(table: Table) -> None:
        if not as_stored:
            require_table_supported(app, table)

    return sql.query(statement, stored, absent=absent, look=look)
