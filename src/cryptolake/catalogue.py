"""What is there: every table that a file of silver, gold, quality or of a source declares, and how it is made of others.

A table is found because its file is there: `TABLE` (the contract), `INPUTS` (the names of the tables it is made of) and,
unless a river fills it, `build` (a pure function that takes the inputs, whole, in that order); a source's own tables are
those of its `TABLES`. Lineage, PostgreSQL, published files, checks, docs and Dagster follow from it. What does not belong
here: making or storing anything (work).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType, ModuleType

import polars as pl

import cryptolake.gold
import cryptolake.quality
import cryptolake.silver
import cryptolake.sources
from cryptolake.contracts.declared import fault_of
from cryptolake.contracts.table import Table
from cryptolake.errors import Stop
from cryptolake.files.foreign import require_function
from cryptolake.files.presence import FileFault, load, module_names, require_helper, require_spelt, unfindable
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.sources.found import FoundSources, find_sources

# The packages whose files are tables, each with the layers that they may fill.
ROOMS: Mapping[ModuleType, tuple[str, ...]] = {
    cryptolake.silver: ("silver", "log"),
    cryptolake.gold: ("gold",),
    cryptolake.quality: ("log",),
}
# The one input that is no table: every market and day that was asked for, with what the ledger knows of it.
MARKET_DAYS = "market_days"


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table with the file that declares it and what it is made of.

    `columns` names the columns that are read of an input, where not all are needed. `build` is None for a table that a
    river fills from answers. `own_of` is the source whose own table it is; None where any source may feed it.
    """

    table: Table
    module: str
    inputs: tuple[str, ...] = ()
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    build: Callable[..., pl.DataFrame] | None = None
    own_of: str | None = None


def found_tables() -> Mapping[str, FoundTable]:
    """Every table by name: the tables that others are made of first. Raises Stop naming a file that is at fault."""
    return _found(tuple(path for room in (*ROOMS, cryptolake.sources) for path in room.__path__))


@lru_cache(maxsize=4)
def _found(_paths: tuple[str, ...]) -> Mapping[str, FoundTable]:
    """The tables of the files in these folders, looked for once."""
    rooms = {room: _modules(room) for room in ROOMS}
    declared = [id(one.TABLE) for modules in rooms.values() for one in modules if hasattr(one, "TABLE")]
    found: list[FoundTable] = []
    for room, modules in rooms.items():
        for module in modules:
            try:
                _require_found(module, room, declared)
                found += [_read(module, ROOMS[room])] if hasattr(module, "TABLE") else []
            except FileFault as fault:
                raise Stop(f"{module.__name__}: {fault}") from None
    sources = find_sources()
    return ordered([*found, *_own(sources, {one.table.name for one in found})], sources.refused)


def _modules(room: ModuleType) -> list[ModuleType]:
    """The modules of a package. Raises Stop naming the first file that cannot be found or imported."""
    for path, fault in unfindable(room).items():
        raise Stop(f"{path} {fault}")
    found = []
    for name in module_names(room):
        try:
            found.append(load(name))
        except FileFault as fault:
            raise Stop(f"{name}: {fault}") from None
    return found


def _require_found(module: ModuleType, room: ModuleType, declared: Collection[int]) -> None:
    """Raises FileFault for what would be left out in silence: a table of another name, a file that offers nothing."""
    for name, value in vars(module).items():
        if isinstance(value, Table) and id(value) not in declared:
            raise FileFault(f"{name} is a table that nobody would find; call it TABLE, one to a file")
    if not hasattr(module, "TABLE"):
        require_helper(module.__name__, room, "TABLE, INPUTS and build")


def _own(sources: FoundSources, taken: set[str]) -> Iterator[FoundTable]:
    """The sources' own tables. One whose name is taken is passed over: its file is refused where sources are opened."""
    for file in sources.files:
        for one in file.tables:
            if one.table.name not in taken and file.vendor is not None:
                taken.add(one.table.name)
                yield FoundTable(one.table, file.module, own_of=file.vendor.name)


def contracts() -> tuple[Table, ...]:
    """The contracts of all tables."""
    return tuple(one.table for one in found_tables().values())


def fed_by_any_source() -> set[str]:
    """The tables that any source's datasets may feed: those of silver that are not one source's own."""
    return {name for name, one in found_tables().items() if one.table.layer == "silver" and one.own_of is None}


def shared() -> set[str]:
    """The tables that are not one source's own, whose names no source may take."""
    return {name for name, one in found_tables().items() if one.own_of is None}


def asked_alone() -> list[str]:
    """The tables that no river takes further: `metrics`, and the sources' own. What is below them is made after a load."""
    return [METRICS.name, *(name for name, one in found_tables().items() if one.own_of is not None)]


def downstream(changed: Collection[str]) -> list[FoundTable]:
    """The tables that have to be built again when the named ones changed, in the order in which that can be done.

    A table that is itself among the changed ones was made already.
    """
    stale = set(changed)
    found = []
    for one in found_tables().values():
        if one.build is not None and stale & set(one.inputs) and one.table.name not in changed:
            stale.add(one.table.name)
            found.append(one)
    return found


def ordered(
    declared: Iterable[FoundTable], left_out: Mapping[str, str] = MappingProxyType({})
) -> dict[str, FoundTable]:
    """The tables by name, inputs first. Raises Stop for a name used twice, an unknown input or a circle.

    `left_out` are faulty files of sources with what is wrong, one of which may have declared an input.
    """
    waiting: dict[str, FoundTable] = {}
    for one in sorted(declared, key=lambda one: (one.table.layer == "log", one.table.layer == "gold", one.table.name)):
        if (other := waiting.get(one.table.name)) is not None:
            raise Stop(f"{one.module}: table {one.table.name} is declared in {other.module} too; rename one of them")
        waiting[one.table.name] = one
    _require_own_names(waiting.values())
    for one in waiting.values():
        if unknown := sorted({*one.inputs, *one.columns} - {*waiting, MARKET_DAYS}):
            known = "; ".join(
                [", ".join([*waiting, MARKET_DAYS]), *(f"{a} left out: {b}" for a, b in left_out.items())]
            )
            raise Stop(f"{one.module}: INPUTS names {unknown[0]!r}, which is no table; known: {known}")
    done: dict[str, FoundTable] = {}
    while waiting:
        ready = [name for name, one in waiting.items() if not set(one.inputs) & set(waiting)]
        if not ready:
            names = ", ".join(f"{one.table.name} ({one.module})" for one in waiting.values())
            raise Stop(f"INPUTS go round in a circle: {names}; take one of them out")
        done |= {name: waiting.pop(name) for name in ready}
    return done


def _require_own_names(tables: Iterable[FoundTable]) -> None:
    """Raises Stop naming both files when one would answer under the other's name, of today or of an earlier version."""
    owner: dict[str, str] = {MARKET_DAYS: __name__}
    for one in tables:
        table = one.table
        month = [f"{table.name}_default"] if table.monthly else []
        for name in (table.name, *table.formerly, *(former.name for former in table.merged), *month):
            if name in owner:
                raise Stop(f"{one.module}: {owner[name]} has the name {name} already; rename table {table.name}")
            owner[name] = one.module


def _read(module: ModuleType, layers: Collection[str]) -> FoundTable:
    """The table that a module declares. Raises FileFault saying what it lacks."""
    table = module.TABLE
    inputs, build = getattr(module, "INPUTS", None), getattr(module, "build", None)
    if not isinstance(table, Table):
        raise FileFault("TABLE is no contracts.table.Table")
    if (fault := fault_of(table, layers)) is not None:
        raise FileFault(fault)
    require_spelt(module, ("INPUTS", "COLUMNS", "build"))
    if not (isinstance(inputs, tuple) and all(isinstance(one, str) for one in inputs)):
        raise FileFault(f"INPUTS is missing; write the names of the tables {table.name} is made of, or ()")
    if build is not None:
        require_function(build, "build", *inputs)
    if build is None and table.layer == "gold":
        raise FileFault("a gold table needs build, a function of its INPUTS")
    columns = getattr(module, "COLUMNS", {})
    if not isinstance(columns, Mapping) or not all(
        isinstance(one, list | tuple) and all(isinstance(name, str) for name in one) for one in columns.values()
    ):
        raise FileFault("COLUMNS is no mapping from an input to the names of the columns that are read of it")
    return FoundTable(table, module.__name__, inputs, columns, build)
