"""The oracle contracts that price the tokens of a chain for everybody, by date range, typed and linted.

Each is the oracle of a lending pool whose prices a public vote sets, on the tokens that the pool lists: nobody can list a
token or change a price there on his own. What does not belong here: asking them, and markets that anybody can make.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from cryptolake.errors import BadInput
from cryptolake.net.abi import checksum
from cryptolake.registry.loader import package_chains
from cryptolake.registry.tables import Line, read_table

_FILE = "price_oracles.csv"
_COLUMNS = ("chain", "pool", "since", "until", "left_out", "note", "source")


@dataclass(frozen=True, slots=True)
class PriceOracle:
    """The oracle of `pool` (EIP-55), asked for every token the pool lists but those of `left_out`.

    It speaks from the day `since` to `until` (both included; None: to this day). `note` says why tokens are left out or why
    it ends. Of several on a chain the first in the file speaks.
    """

    chain: str
    pool: str
    since: date
    until: date | None
    left_out: tuple[str, ...]
    sources: tuple[str, ...]
    note: str = ""

    def speaks(self, day: date) -> bool:
        """Whether the registry names it for this day."""
        return self.since <= day and (self.until is None or day <= self.until)


@lru_cache(maxsize=1)
def price_oracles() -> tuple[PriceOracle, ...]:
    """Every named oracle in the order of the file. Raises BadInput with every fault at once, each with its line."""
    faults: list[str] = []
    return read_oracles(read_table(None, _FILE, _COLUMNS, faults), package_chains(), faults)


def read_oracles(lines: Collection[Line], chains: Collection[str], faults: list[str]) -> tuple[PriceOracle, ...]:
    """Oracles from the table's lines; `faults` are those of the table itself. Raises BadInput naming all faults."""
    found = []
    seen: set[tuple[str, str, str]] = set()
    for line in lines:
        before = len(faults)
        cells = line.cells
        left_out = tuple(cells["left_out"].split())
        days = [_day(line.where, name, cells[name], faults) for name in ("since", "until")]
        if cells["chain"] not in chains:
            faults.append(f"{line.where}: unknown chain {cells['chain']!r}")
        wrong = [address for address in (cells["pool"], *left_out) if not _is_right(address)]
        faults += [f"{line.where}: {address!r} is no address in EIP-55" for address in wrong]
        if days[0] is None and not cells["since"]:
            faults.append(f"{line.where}: since is empty; write the first day, e.g. 2024-12-31")
        if days[0] is not None and days[1] is not None and days[1] < days[0]:
            faults.append(f"{line.where}: until is before since")
        if left_out and not cells["note"]:
            faults.append(f"{line.where}: a note must say why tokens are left out")
        if not cells["source"]:
            faults.append(f"{line.where}: a source must be named")
        if (key := (cells["chain"], cells["pool"], cells["since"])) in seen:
            faults.append(f"{line.where}: this pool stands there twice from the same day")
        seen.add(key)
        if len(faults) == before and days[0] is not None:
            sources = tuple(cells["source"].split(" | "))
            found.append(PriceOracle(cells["chain"], cells["pool"], days[0], days[1], left_out, sources, cells["note"]))
    if faults:
        raise BadInput("; ".join(faults))
    return tuple(found)


def _day(where: str, name: str, text: str, faults: list[str]) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        faults.append(f"{where}: {name} {text!r} is no day; write it like 2024-12-31")
        return None


def _is_right(address: str) -> bool:
    try:
        return checksum(address) == address
    except ValueError:
        return False
