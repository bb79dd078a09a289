"""`Stores`: where the data of a folder rests, handed to a step as one value. Decides nothing.

What does not belong here: which folder and which database these are (app), and how a program names them (front's `Lake`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptolake.lake.bronze import Bronze
from cryptolake.lake.runs import Runs
from cryptolake.lake.tables import Tables
from cryptolake.state.ledger import Ledger

if TYPE_CHECKING:  # a step that needs no database need not load its driver
    from cryptolake.publish.warehouse import Warehouse

OpenWarehouse = Callable[[], AbstractContextManager["Warehouse"]]


@dataclass(frozen=True, slots=True)
class Stores:
    """Answers, a vendor's kept runs, the ledger, the lake's tables, and the way to PostgreSQL.

    `warehouse` opens a session with every table set up; a step that needs none never starts a database.
    """

    bronze: Bronze
    runs: Runs
    ledger: Ledger
    tables: Tables
    warehouse: OpenWarehouse

    @contextmanager
    def held(self) -> Iterator[Stores]:
        """The same with one session held open: whoever opens the warehouse inside is handed that one."""
        with self.warehouse() as session:
            yield replace(self, warehouse=lambda: nullcontext(session))
