"""Tables made of other tables: everything below what has changed, each by its own pure function, checked before it is stored.

What does not belong here: which tables there are (catalogue) and tables made of answers (the rivers).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

from cryptolake.catalogue import MARKET_DAYS, FoundTable, downstream, found_tables
from cryptolake.contracts.table import Table
from cryptolake.errors import Stop
from cryptolake.files.foreign import fence
from cryptolake.lake.tables import Tables
from cryptolake.publish.stores import Stores

if TYPE_CHECKING:  # a step that needs no database need not load its driver
    from cryptolake.publish.warehouse import Loaded, Warehouse

Read = Callable[[Table, Sequence[str] | None], pl.DataFrame]


def derive(changed: Mapping[str, pl.DataFrame | None], read: Read) -> list[tuple[FoundTable, pl.DataFrame]]:
    """Every table below the changed ones and not itself among them, in order, with its new rows; stores nothing.

    `changed` holds the new rows where the caller has them at hand, None where `read` finds them (the columns wanted, or
    None for all). New rows of a table that keeps its others (`load="update"`) are a part: what is made whole gets them
    together with the stored ones. What needs to know every market-day is left to who knows them. Raises Stop when a
    function fails or its result breaks the contract.
    """
    frames = {name: frame for name, frame in changed.items() if frame is not None}
    made = []
    for one in downstream(changed):
        if MARKET_DAYS in one.inputs and MARKET_DAYS not in frames:
            continue
        inputs = []
        for name in one.inputs:
            columns, frame = one.columns.get(name), frames.get(name)
            if frame is None:
                frame = read(found_tables()[name].table, columns)
            elif one.table.load == "replace" and name != MARKET_DAYS:
                frame = _whole(found_tables()[name].table, frame, read)
            inputs.append(frame if columns is None else frame.select(columns))
        frame = _built(one, inputs)
        frames[one.table.name] = frame
        made.append((one, frame))
    return made


def _whole(table: Table, frame: pl.DataFrame, read: Read) -> pl.DataFrame:
    """The new rows with the stored ones that they do not take the place of."""
    if table.load == "replace":
        return frame
    return pl.concat([read(table, None).join(frame, on=list(table.key), how="anti"), frame])


def _built(one: FoundTable, inputs: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """What the table's function makes of its inputs, held against the contract. Raises Stop naming the file."""
    assert one.build is not None
    remedy = "nothing of it was stored, its inputs are kept; correct the file"
    with fence(one.module, f"build of {one.table.name}", remedy):
        frame = one.build(*inputs)
    if not isinstance(frame, pl.DataFrame):
        raise Stop(f"{one.module}: build of {one.table.name} gave no polars frame; {remedy}")
    one.table.require(frame)
    return frame


def derive_below(changed: Collection[str], tables: Tables, warehouse: Warehouse) -> list[FoundTable]:
    """Make and store every table below the named ones as they are stored now; returns what was made."""
    if not downstream(changed):
        return []
    with warehouse.together("tables of tables"):  # one maker at a time: the last one has read what all have loaded
        made = derive(dict.fromkeys(changed), reader(tables, warehouse))
        for one, frame in made:
            store(one.table, frame, tables, warehouse)
    return [one for one, _ in made]


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
def read_from(stores: Stores, changed: Mapping[str, pl.DataFrame | None]) -> Iterator[Read]:
    """A reader for what is below the changed tables; opens PostgreSQL only if one of their inputs is nowhere else."""
    known = found_tables()
    inputs = {name for one in downstream(changed) for name in one.inputs if name in known and changed.get(name) is None}
    if all(known[name].table.in_lake for name in inputs):
        yield reader(stores.tables)
        return
    with stores.warehouse() as opened:
        yield reader(stores.tables, opened)


def store(table: Table, frame: pl.DataFrame, tables: Tables, warehouse: Warehouse) -> Loaded | None:
    """A finished table to wherever it is kept: the lake, the plain file people open, PostgreSQL (what changed there)."""
    if table.in_lake:
        tables.write(table, frame)
    if table.publish_as is not None:
        tables.publish(table, frame)
    return warehouse.load(table, frame, table.load) if table.in_postgres else None
