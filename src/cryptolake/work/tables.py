"""Tables made of other tables: everything below what has changed, each by its own pure function, checked before it is stored.

What does not belong here: which tables there are (catalogue) and tables made of answers (the rivers).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import polars as pl

from cryptolake.catalogue import FoundTable, downstream, found_tables
from cryptolake.contracts.table import Table
from cryptolake.errors import Stop
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Loaded, Warehouse

OpenWarehouse = Callable[[], AbstractContextManager[Warehouse]]
Read = Callable[[Table, Sequence[str] | None], pl.DataFrame]


def derive(changed: Mapping[str, pl.DataFrame | None], read: Read) -> list[tuple[FoundTable, pl.DataFrame]]:
    """Every table below the changed ones and not itself among them, in order, with its new rows; stores nothing.

    `changed` holds the new rows where the caller has them at hand, None where `read` finds them (the columns wanted, or
    None for all). Raises Stop when a result breaks its contract.
    """
    frames = {name: frame for name, frame in changed.items() if frame is not None}
    made = []
    for one in downstream(changed):
        assert one.build is not None
        inputs = []
        for name in one.inputs:
            columns = one.columns.get(name)
            frame = frames.get(name)
            if frame is None:
                frame = read(found_tables()[name].table, columns)
            inputs.append(frame if columns is None else frame.select(columns))
        frame = one.build(*inputs)
        one.table.require(frame)
        frames[one.table.name] = frame
        made.append((one, frame))
    return made


def reader(tables: Tables, warehouse: Warehouse | None = None) -> Read:
    """Reads a table from the lake, or from PostgreSQL where the lake does not hold it.

    Raises Stop for such a table when there is no warehouse: nothing read is no table without rows.
    """

    def read(table: Table, columns: Sequence[str] | None) -> pl.DataFrame:
        if table.in_lake:
            return tables.read(table, columns=columns)
        if warehouse is None:
            raise Stop(f"{table.name} is only in PostgreSQL, which this step does not open; this is a defect")
        return warehouse.read(table, columns)

    return read


@contextmanager
def read_from(tables: Tables, warehouse: OpenWarehouse | None, changed: Collection[str]) -> Iterator[Read]:
    """A reader for what is below the changed tables; opens PostgreSQL only if one of their inputs is nowhere else."""
    known = found_tables()
    inputs = {name for one in downstream(changed) for name in one.inputs if name in known and name not in changed}
    if warehouse is None or all(known[name].table.in_lake for name in inputs):
        yield reader(tables)
        return
    with warehouse() as opened:
        yield reader(tables, opened)


def store(table: Table, frame: pl.DataFrame, tables: Tables, warehouse: Warehouse) -> Loaded | None:
    """A finished table to wherever it is kept: the lake, the plain file people open, PostgreSQL (what changed there)."""
    if table.in_lake:
        tables.write(table, frame)
    if table.publish_as is not None:
        tables.publish(table, frame)
    return warehouse.load(table, frame, table.load) if table.in_postgres else None
