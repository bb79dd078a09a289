"""What is there: every table that a file of silver, gold, quality or of a source declares, and how it is made of others.

A table is found because its file is there: `TABLE` (the contract), `INPUTS` (the names of the tables it is made of) and,
unless a river fills it, `build` (a pure function that takes the inputs, whole, in that order); a source's own tables are
those of its `TABLES`. Lineage, PostgreSQL, published files, checks, docs and Dagster follow from it. What does not belong
here: making or storing anything (work).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType, ModuleType

import polars as pl

import cryptolake.gold
import cryptolake.quality
import cryptolake.silver
import cryptolake.sources
from cryptolake.contracts.table import Table
from cryptolake.errors import Stop
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.sources.found import FoundSources, find_sources

ROOMS: tuple[ModuleType, ...] = (cryptolake.silver, cryptolake.gold, cryptolake.quality)
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
    names = [one.name for room in ROOMS for one in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")]
    modules = [importlib.import_module(name) for name in sorted(names)]
    declared = [id(one.TABLE) for one in modules if hasattr(one, "TABLE")]
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, Table) and id(value) not in declared:
                raise Stop(f"{module.__name__}: {name} is a table that nobody would find; call it TABLE, one to a file")
    shared, sources = [_read(module) for module in modules if hasattr(module, "TABLE")], find_sources()
    own = _own(sources, {one.table.name for one in shared})
    return ordered([*shared, *own], sources.refused)


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


def _read(module: ModuleType) -> FoundTable:
    """The table that a module declares. Raises Stop naming the file and what it lacks."""
    name, table = module.__name__, module.TABLE
    inputs, build = getattr(module, "INPUTS", None), getattr(module, "build", None)
    if not isinstance(table, Table):
        raise Stop(f"{name}: TABLE is no contracts.table.Table")
    if not isinstance(inputs, tuple):
        raise Stop(f"{name}: INPUTS is missing; write the names of the tables {table.name} is made of, or ()")
    if build is not None and len(inspect.signature(build).parameters) != len(inputs):
        raise Stop(f"{name}: build must take one frame for each of INPUTS ({', '.join(inputs) or 'none'})")
    if build is None and table.layer == "gold":
        raise Stop(f"{name}: a gold table needs build, a function of its INPUTS")
    return FoundTable(table, name, inputs, getattr(module, "COLUMNS", {}), build)
