"""`Stores`: where the data of a folder rests, handed to a step as one value. Opens and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from cryptolake.lake.bronze import Bronze
from cryptolake.lake.runs import Runs
from cryptolake.lake.tables import Tables
from cryptolake.publish.warehouse import Warehouse
from cryptolake.state.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Stores:
    """Answers, a vendor's kept runs, the ledger, the lake's tables and an open session of PostgreSQL."""

    bronze: Bronze
    runs: Runs
    ledger: Ledger
    tables: Tables
    warehouse: Warehouse
