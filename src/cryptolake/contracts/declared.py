"""What the contract of a table that a file declares must hold besides being well formed: its name, its layer, its own file.

A contract by itself may have any name (PostgreSQL takes it); one that is found shares folders and schemas with all others.
What does not belong here: how tables are found (catalogue, sources).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # heavy, and sources are looked for where no table is
    from cryptolake.contracts.table import Table

# PostgreSQL cuts names at 63 bytes, and `idx_<name>_unique` is the longest that is made of a table's.
_LONGEST = 63 - len("idx__unique")
_NAME = re.compile(rf"(?!pg_)[a-z][a-z0-9_]{{0,{_LONGEST - 1}}}")
# The ledger of rate budgets lies beside the tables in PostgreSQL; the rest are columns that every table there has.
_TAKEN = ("rate_budgets",)
_SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}


def fault_of(table: Table, layers: Collection[str]) -> str | None:
    """What is wrong with a declared table, in words; None when nothing is. `layers` are those its file may fill."""
    if not _NAME.fullmatch(table.name) or table.name in _TAKEN:
        return (
            f"table {table.name!r} cannot have this name; write small letters, digits and _, a letter first, at most "
            f"{_LONGEST}, and neither pg_... nor {', '.join(_TAKEN)}"
        )
    if table.layer not in layers:
        return f"table {table.name} has layer {table.layer!r}; here it is {' or '.join(map(repr, layers))}"
    own = (f"{table.layer}/{table.name}.parquet", f"{table.layer}/{table.name}/{{csu}}.parquet")
    if table.publish_as is not None and table.publish_as not in own:
        return (
            f"table {table.name} has publish_as={table.publish_as!r}; write {own[0]!r}, or {own[1]!r} a file a market"
        )
    if taken := sorted(_SYSTEM_COLUMNS & set(table.columns)):
        return f"table {table.name} has a column {taken[0]!r}, which every table of PostgreSQL has; rename it"
    if len({name.casefold() for name in table.columns}) < len(table.columns):
        return f"table {table.name} has two columns that differ by capitals alone; rename one"
    return None
