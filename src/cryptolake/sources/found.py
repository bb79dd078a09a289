"""Finds the files that are sources: modules of this package, and of others by the entry-point group `cryptolake.sources`.

A file is found because it is there; a faulty one is left out and named, with what is wrong. What does not belong here:
opening sources with keys and addresses (app), and anything about a single vendor (its file).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import entry_points
from types import ModuleType

import cryptolake.sources
from cryptolake.contracts.contact import Assumption
from cryptolake.contracts.declared import fault_of
from cryptolake.contracts.partition import MARKET_DATASETS, can_name
from cryptolake.contracts.prices import PriceSource, Wanted
from cryptolake.contracts.source import Dataset, Source, SourceTable
from cryptolake.contracts.vendor import Vendor
from cryptolake.errors import BadInput, CryptolakeError
from cryptolake.files.fenced import fenced
from cryptolake.files.foreign import fence, require_function
from cryptolake.files.presence import (
    FileFault,
    attempt,
    load,
    module_names,
    require_helper,
    require_spelt,
    unfindable,
)
from cryptolake.net.access import Access
from cryptolake.net.conversation import Refusal
from cryptolake.registry.chains import Chain

GROUP = "cryptolake.sources"
OpenSource = Callable[[Access], Source]
OpenPrices = Callable[[Access, Mapping[str, Chain], Wanted], Source]
# Asks the vendor once, as cheaply as it can be asked, whether it takes the one key that `access` holds: None if it does, else
# why not (`of_key` where it is the key that was refused, `not_asked` where it would go nowhere). A body proves nothing that
# anybody would be sent without a key.
TryKey = Callable[[Access], Refusal | None]
# What the file takes for granted of its vendor, as checks; without it every dataset is asked once and read.
Contact = Callable[[Access], Iterable[Assumption]]
# One of these makes a module a source: a misspelt function beside it is a fault, not another kind of file.
_CALLED: Mapping[str, tuple[str, ...]] = {
    "open_source": ("access",),
    "open_prices": ("access", "chains", "wanted"),
    "try_key": ("access",),
    "first_contact": ("access",),
}
# What answers for the chain itself, whose names no vendor's file may take.
CHAIN = "cryptolake.sources.onchain"
_MARKS = ("VENDOR", "PRICES", "TABLES", "open_source", "open_prices")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What a file offers: a source, prices, or both. `module` names the file in messages."""

    module: str
    vendor: Vendor | None = None
    tables: tuple[SourceTable, ...] = ()
    open_source: OpenSource | None = None
    prices: PriceSource | None = None
    open_prices: OpenPrices | None = None
    try_key: TryKey | None = None
    first_contact: Contact | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The variables of the vendor's keys."""
        return tuple(key.name for key in self.vendor.keys) if self.vendor is not None else ()


@dataclass(slots=True)
class FoundSources:
    """The files that are sound, and the faulty ones by module with what is wrong.

    `keys` are the variables of all vendors' keys, those of faulty files included, because they are secrets all the same.
    `doubled` are those of the faulty ones that share a name with another, and `claimed` the modules that declare a vendor of
    a name, sound or not.
    """

    files: list[SourceFile] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    doubled: dict[str, str] = field(default_factory=dict)
    claimed: dict[str, list[str]] = field(default_factory=dict)

    @property
    def price_sources(self) -> dict[str, PriceSource]:
        """Who tells prices, by name, the lowest rung first.

        Raises BadInput naming the files that share a name: a price left out would go unnoticed.
        """
        if self.doubled:
            raise BadInput(_faults(self.doubled))
        told = [file.prices for file in self.files if file.prices is not None]
        return {one.name: one for one in sorted(told, key=lambda one: (one.rung, one.name))}

    def price_source(self, name: str, access: Access, chains: Mapping[str, Chain], wanted: Wanted) -> Source:
        """Who tells prices under this name, opened. Raises BadInput naming the known ones."""
        for file in self.files:
            if file.prices is not None and file.prices.name == name:
                return open_told(file, access, chains, wanted)
        raise BadInput(f"unknown price source {name!r}; known: {', '.join(self.price_sources)}")

    def told(self, access: Access, chains: Mapping[str, Chain]) -> dict[str, Source]:
        """Everybody who tells prices, opened, by name. Raises BadInput when two share a name or have a dataset of one name."""
        return distinct({name: self.price_source(name, access, chains, {}) for name in self.price_sources})

    def own_tables(self, source: str) -> dict[str, SourceTable]:
        """The tables that a source's file declares, by name; none for a source that has no own."""
        files = [file for file in self.files if file.vendor is not None and file.vendor.name == source]
        return {one.table.name: one for file in files for one in file.tables}


@dataclass(slots=True)
class Opened:
    """The sources that could be opened by name, with the tables of their own, and what is wrong with the other files."""

    sources: dict[str, Source] = field(default_factory=dict)
    tables: dict[str, tuple[SourceTable, ...]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def all(self) -> dict[str, Source]:
        """Every source by name. Raises BadInput that names every faulty file: nothing is left out in silence."""
        if self.refused:
            raise BadInput(_faults(self.refused))
        return self.sources

    def one(self, name: str, found: FoundSources) -> Source:
        """One source, whatever is wrong with others. Raises BadInput naming the known ones and the faulty files."""
        if name in self.sources:
            return self.sources[name]
        if own := {one: self.refused[one] for one in found.claimed.get(name, ()) if one in self.refused}:
            raise BadInput(_faults(own))
        faults = _faults(self.refused)
        raise BadInput(f"unknown source {name!r}; known: {', '.join(sorted(self.sources))}{faults and f'; {faults}'}")


def _faults(refused: Mapping[str, str]) -> str:
    return "; ".join(f"{module}: {fault}" for module, fault in refused.items())


def distinct(sources: dict[str, Source]) -> dict[str, Source]:
    """These price sources. Raises BadInput when two have a dataset of one name: answers would be taken for each other's."""
    asked = [dataset.name for source in sources.values() for dataset in source.datasets]
    if doubled := sorted({one for one in asked if asked.count(one) > 1}):
        who = [name for name, source in sources.items() if doubled[0] in {one.name for one in source.datasets}]
        raise BadInput(f"price sources {' and '.join(who)} both have a dataset {doubled[0]!r}; rename one")
    return sources


def find_sources() -> FoundSources:
    """Every file that is a source. Never raises for a faulty one: it is left out and named, and so are two of one name."""
    found, seen = FoundSources(refused=unfindable(cryptolake.sources)), set[str]()
    for name, load_file in _modules():
        try:
            module = load_file()
            vendor = getattr(module, "VENDOR", None)
            if isinstance(vendor, Vendor):
                found.keys += [key.name for key in vendor.keys if key.name not in found.keys]
                found.claimed.setdefault(vendor.name, []).append(name)
            if not isinstance(module, ModuleType):
                raise FileFault("the entry point names no module; let it name the source's file")
            if module.__name__ in seen:
                continue
            seen.add(module.__name__)
            if any(hasattr(module, mark) for mark in _MARKS) or name.endswith(")"):
                found.files.append(_read(module))
            else:
                require_helper(name, cryptolake.sources, "open_source or open_prices")
        except FileFault as fault:
            found.refused[name] = str(fault)
    found.doubled = _doubled({file.module: _claims(file) for file in found.files})
    found.refused |= found.doubled
    found.files = [file for file in found.files if file.module not in found.doubled]
    return found


def open_all(found: FoundSources, access: Access, tables: Collection[str], taken: Collection[str]) -> Opened:
    """Every source that is sound and shares no name with another.

    `tables` are those that any source may feed, `taken` the names that no table of a source's own may have.
    """
    opened = Opened(refused=dict(found.refused))
    sound: dict[str, Source] = {}  # by module
    for file in found.files:
        if file.open_source is None:
            continue
        try:
            sound[file.module] = _open(file, access, tables, taken)
        except FileFault as fault:
            opened.refused[file.module] = str(fault)
        except CryptolakeError as error:  # the user's own watch list or address, which the words name
            opened.refused[file.module] = str(error).removeprefix(f"{file.module}: ")
    claims = {file.module: _claims(file, sound.get(file.module)) for file in found.files}
    claims[CHAIN] = {("source", "onchain"), *(("dataset", one) for one in MARKET_DATASETS)}
    opened.refused |= _doubled(claims)
    opened.refused.pop(CHAIN, None)
    for file in found.files:
        if file.module in sound and file.module not in opened.refused:
            source = sound[file.module]
            opened.sources[source.name], opened.tables[source.name] = source, file.tables
    return opened


def _open(file: SourceFile, access: Access, tables: Collection[str], taken: Collection[str]) -> Source:
    """The file's source, behind a fence. Raises FileFault for what is wrong with it, Stop naming the file for a failure."""
    assert file.open_source is not None
    with fence(file.module, "open_source", "repair or remove it"):
        source = file.open_source(access)
        _check(file, source, tables, taken)
        whole = fenced(source, file.module)
    for dataset in whole.datasets:
        whole.keys(dataset.name)
    return whole


def _claims(file: SourceFile, source: Source | None = None) -> set[tuple[str, str]]:
    """What has to be the file's alone, each with what it is: its source, who tells prices, datasets and own tables."""
    names = {source.name} if source is not None else set()
    names |= {file.vendor.name} if file.vendor is not None else set()
    return {
        *(("source", name) for name in names),
        *(("dataset", one.name) for one in (source.datasets if source is not None else ())),
        *(("table", one.table.name) for one in file.tables),
        *([("price source", file.prices.name)] if file.prices is not None else []),
    }


def _doubled(claims: Mapping[str, set[tuple[str, str]]]) -> dict[str, str]:
    """Every file that claims what another one claims, with what is wrong: nobody can say which of the two is meant."""
    found: dict[str, str] = {}
    for module, own in claims.items():
        for kind, name in sorted(own):
            if others := [other for other, theirs in claims.items() if other != module and (kind, name) in theirs]:
                found.setdefault(
                    module, f"there is a {kind} {name!r} already, in {' and '.join(others)}; rename one of them"
                )
    return found


def open_told(file: SourceFile, access: Access, chains: Mapping[str, Chain], wanted: Wanted) -> Source:
    """A file's price source. Raises BadInput naming the file when it is faulty: a price left out would go unnoticed."""
    assert file.open_prices is not None
    try:
        with fence(file.module, "open_prices", "repair or remove it", raising=BadInput):
            source = file.open_prices(access, chains, wanted)
            _require_members(source)
    except FileFault as fault:
        raise BadInput(f"{file.module}: {fault}") from None
    if not source.datasets or any(one.feeds != "quotes" for one in source.datasets):
        raise BadInput(f"{file.module}: a price source has datasets that feed `quotes`, and no others")
    return fenced(source, file.module)


def _modules() -> Iterator[tuple[str, Callable[[], object]]]:
    """Name and loader of every candidate: this package's modules first, then other packages' by entry point.

    The loaders raise FileFault.
    """
    for name in module_names(cryptolake.sources):
        yield name, partial(load, name)
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        yield (
            f"{point.value} (entry point {point.name})",
            partial(attempt, point.load),
        )


def _read(module: ModuleType) -> SourceFile:
    """The file's declarations. Raises FileFault."""
    require_spelt(module, (*_MARKS, "try_key", "first_contact"))
    vendor, prices = getattr(module, "VENDOR", None), getattr(module, "PRICES", None)
    tables = getattr(module, "TABLES", ())
    if vendor is not None and not isinstance(vendor, Vendor):
        raise FileFault("VENDOR is no cryptolake.contracts.vendor.Vendor")
    if not (isinstance(tables, tuple) and all(isinstance(one, SourceTable) for one in tables)):
        raise FileFault("TABLES is no tuple of cryptolake.contracts.source.SourceTable")
    if tables and vendor is None:
        raise FileFault("TABLES without a VENDOR; declare one, it names whose tables they are")
    if tables:
        _require_tables(tables)
    if keyless := [one.table.name for one in tables if not one.table.key]:
        raise FileFault(f"its table {keyless[0]!r} has no key; rows are put in place by it")
    if fault := next((fault for one in tables if (fault := fault_of(one.table, ("silver",)))), None):
        raise FileFault(fault)
    if not (hasattr(module, "open_source") or hasattr(module, "open_prices")):
        raise FileFault("offers neither open_source nor open_prices; write one of them")
    file = SourceFile(
        module.__name__,
        vendor,
        tables,
        getattr(module, "open_source", None),
        prices,
        getattr(module, "open_prices", None),
        getattr(module, "try_key", None),
        getattr(module, "first_contact", None),
    )
    if (file.prices is None) != (file.open_prices is None) or not isinstance(prices, PriceSource | None):
        raise FileFault("a price source has both PRICES (cryptolake.contracts.prices.PriceSource) and open_prices")
    for name, arguments in _CALLED.items():
        if hasattr(module, name):
            require_function(getattr(module, name), name, *arguments)
    if file.try_key is not None and not file.keys:
        raise FileFault("try_key is a function of cryptolake.net.access.Access, for a VENDOR with keys")
    if file.first_contact is not None and file.vendor is None:
        raise FileFault("first_contact is a function of cryptolake.net.access.Access, for a VENDOR")
    return file


def _require_tables(tables: Iterable[SourceTable]) -> None:
    """Raises FileFault for a declaration that is no table, or whose function cannot be called as it will be."""
    from cryptolake.contracts.table import Table  # heavy, and few sources have tables of their own

    for one in tables:
        if not isinstance(one.table, Table):
            raise FileFault("a SourceTable has no cryptolake.contracts.table.Table")
        require_function(one.conform, f"conform of its table {one.table.name}", "rows")


def _require_members(source: Source) -> None:
    """Raises FileFault for the first member of `Source` that is not there, or cannot be called as it will be."""
    name, datasets = getattr(source, "name", None), getattr(source, "datasets", None)
    if not isinstance(name, str) or not can_name(name):
        raise FileFault("the source has no `name` of letters, digits and _")
    if not isinstance(datasets, list | tuple) or not all(isinstance(one, Dataset) for one in datasets):
        raise FileFault("the source has no `datasets`, a tuple of cryptolake.contracts.source.Dataset")
    if not datasets:
        raise FileFault("the source's `datasets` are none; declare one, or begin the file's name with _")
    for member, argument in (("keys", "dataset"), ("trips", "partitions"), ("fetch", "trip"), ("parse", "raw")):
        require_function(getattr(source, member, None), f"{member} of the source", argument)
    for member, arguments in (("prepare", ("datasets", "granularity")), ("reader", ("key",))):
        if hasattr(source, member):
            require_function(getattr(source, member), f"{member} of the source", *arguments)


def _check(file: SourceFile, source: Source, tables: Collection[str], taken: Collection[str]) -> None:
    """Raises FileFault for the first thing that is wrong with an opened source."""
    _require_members(source)
    name, datasets = source.name, source.datasets
    if file.vendor is not None and file.vendor.name != name:
        raise FileFault(f"the source is called {name!r}, its VENDOR {file.vendor.name!r}; call them the same")
    own = [one.table.name for one in file.tables]
    for table in own:
        if table in taken or own.count(table) > 1:
            raise FileFault(f"there is a table {table!r} already; rename the source's own")
    names = [one.name for one in datasets]
    for dataset in datasets:
        if names.count(dataset.name) > 1:
            raise FileFault(f"there is a dataset {dataset.name!r} already in this file; rename one")
        if dataset.feeds not in tables and dataset.feeds not in own:
            known = ", ".join(sorted({*tables, *own}))
            raise FileFault(f"dataset {dataset.name!r} feeds the unknown table {dataset.feeds!r}; known: {known}")
        if dataset.needs is not None and dataset.needs not in file.keys:
            raise FileFault(
                f"dataset {dataset.name!r} needs {dataset.needs}, which is no key of its VENDOR; declare it there"
            )
