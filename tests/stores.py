"""The stores of a test's folder, as steps take them; PostgreSQL is the session given, and without one nobody may open it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

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
