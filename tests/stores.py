"""The stores of a test's folder, as steps take them, and every table of a database empty and as it is set up.

PostgreSQL is the session given, and without one nobody may open it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from cryptolake.catalogue import contracts
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.runs import Runs
from cryptolake.lake.tables import Tables
from cryptolake.publish.stores import Stores
from cryptolake.publish.warehouse import Warehouse
from cryptolake.state.ledger import Ledger


def stores_of(
    root: Path,
    ledger: Ledger,
    warehouse: Warehouse | None = None,
    *,
    tables: Tables | None = None,
    bronze: Bronze | None = None,
) -> Stores:
    """The stores under `root`; `tables` and `bronze` where these lie elsewhere, or are those of somebody."""

    def opened() -> AbstractContextManager[Warehouse]:
        assert warehouse is not None, "this step needs no PostgreSQL"
        return nullcontext(warehouse)

    return Stores(bronze or Bronze(root), Runs(root), ledger, tables or Tables(root), opened)


# Columns, constraints and indexes of the tables named, which a test may have changed.
_SHAPE = """
SELECT attrelid::regclass::text, attname::text, format_type(atttypid, atttypmod) || attnotnull FROM pg_attribute
WHERE attrelid = ANY(%(tables)s::regclass[]) AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = ANY(%(tables)s::regclass[])
UNION ALL SELECT indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = ANY(%(tables)s::regclass[])
ORDER BY 1, 2, 3
"""
_as_set_up: dict[int, list[tuple[object, ...]]] = {}  # by the server's port


def emptied(warehouse: Warehouse) -> None:
    """Every table there, as it is set up, and empty. They are made anew only where a test has changed their shape."""
    connection, names = warehouse._connection, [one.quoted for one in contracts() if one.in_postgres]
    (missing,) = connection.execute(
        "SELECT count(*) FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", [names]
    ).fetchone() or (1,)
    known = _as_set_up.get(connection.info.port)
    if missing or known is None or connection.execute(_SHAPE, {"tables": names}).fetchall() != known:
        for name in names:
            connection.execute(f"DROP TABLE IF EXISTS {name} CASCADE".encode())
        warehouse.setup(contracts())
        _as_set_up[connection.info.port] = connection.execute(_SHAPE, {"tables": names}).fetchall()
    connection.execute(f"TRUNCATE {', '.join(names)} RESTART IDENTITY CASCADE".encode())
