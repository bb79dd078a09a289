"""Loads and lints the registry: the package's rows plus a user's YAML file. Every fault is reported at once, with its line.

What does not belong here: asking a chain whether a row is true.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from cryptolake.errors import BadInput
from cryptolake.files.text import read_text
from cryptolake.registry.chains import Chain
from cryptolake.registry.exclusions import Exclusion, read_exclusions
from cryptolake.registry.family import Accounting, FamilyFacts
from cryptolake.registry.known_events import KnownEvent, read_events
from cryptolake.registry.lint import read_chain, read_csu
from cryptolake.registry.markets import Csu
from cryptolake.registry.rows import Row, override, read_rows
from cryptolake.registry.sets import read_sets, set_fault
from cryptolake.registry.terms import Publication, Terms, read_dataset, read_terms

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Registry:
    """All known markets, chains and families by name, the named sets with their markets' names, and what totals leave out.

    An origin is the file (and line) that lists the set; empty for what the package ships. `refused` are the sets of the
    settings that do not fit this registry, each with what is wrong and where: another folder's may have what they name.
    """

    csus: Mapping[str, Csu]
    chains: Mapping[str, Chain]
    families: Mapping[str, FamilyFacts] = field(default_factory=dict)
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    exclusions: tuple[Exclusion, ...] = ()
    terms: Mapping[str, Terms] = field(default_factory=dict)
    dataset: Publication | None = None
    events: tuple[KnownEvent, ...] = ()

    @property
    def accounting(self) -> Mapping[str, Accounting]:
        """How the amounts of each family relate, for those that declare it."""
        return {name: one.accounting for name, one in self.families.items() if one.accounting is not None}

    def csu(self, name: str) -> Csu:
        """The market of this name or alias. Raises BadInput with near misses."""
        return _find(name, self.csus, {alias: csu for csu in self.csus.values() for alias in csu.aliases}, "market")

    def chain(self, name: str) -> Chain:
        """The chain of this name or alias. Raises BadInput with near misses."""
        return _find(name, self.chains, {alias: one for one in self.chains.values() for alias in one.aliases}, "chain")

    def set_of(self, name: str) -> tuple[str, ...]:
        """The markets of this set. Raises BadInput with near misses, and for a set that does not fit this registry."""
        if name in self.refused:
            raise BadInput(self.refused[name])
        return _find(name, self.sets, {}, "set")

    def sets_with(self, csu: str) -> list[str]:
        """The sets that a market belongs to."""
        return [name for name, members in self.sets.items() if csu in members]


def _find(name: str, known: Mapping[str, T], aliases: Mapping[str, T], kind: str) -> T:
    if (found := known.get(name) or aliases.get(name)) is not None:
        return found
    near = difflib.get_close_matches(name, [*known, *aliases], n=3)
    few = f"known: {', '.join(known)}" if len(known) < 10 else f"`cryptolake markets` lists the {len(known)} known ones"
    hint = f"did you mean {', '.join(near)}?" if near else few
    raise BadInput(f"unknown {kind} {name!r}; {hint}")


def select(
    registry: Registry,
    *,
    csus: Iterable[str] = (),
    chains: Iterable[str] = (),
    families: Iterable[str] = (),
    sets: Iterable[str] = (),
) -> list[Csu]:
    """Markets that meet every given criterion, by name; all of them when none is given. Raises BadInput for unknown names.

    Several names of one criterion join: `sets=("a", "b")` means the markets of either.
    """
    named = {registry.csu(name).name for name in csus}
    on = {registry.chain(name).name for name in chains}
    of, within = set(families), list(sets)
    listed = {member for name in within for member in registry.set_of(name)}
    known_families = {*registry.families, *(csu.family for csu in registry.csus.values())}
    for family in sorted(of - known_families):
        raise BadInput(f"unknown family {family!r}; known: {', '.join(sorted(known_families))}")
    return [
        csu
        for name, csu in sorted(registry.csus.items())
        if (not named or name in named)
        and (not on or csu.chain in on)
        and (not of or csu.family in of)
        and (not within or name in listed)
    ]


def configured(registry: Registry, markets: Iterable[str], sets: Iterable[str]) -> list[Csu]:
    """The markets that the settings name, by name: those listed (`all`: every one but the sandbox's) and those of the sets.

    Empty when neither is set. Raises BadInput for an unknown name.
    """
    listed = list(markets)
    found = {csu.name: csu for name in sets for csu in select(registry, sets=[name])}
    if "all" in listed:
        found |= {name: csu for name, csu in registry.csus.items() if not csu.sandbox}
    found |= {csu.name: csu for csu in (registry.csu(name) for name in listed if name != "all")}
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one or several registry files, by what they are."""

    chains: list[Row]
    csus: list[Row]
    sets: list[Row]
    exclusions: list[Row]
    terms: list[Row]
    dataset: list[Row]
    events: list[Row]


@lru_cache(maxsize=1)
def _package_rows() -> Rows:
    """The package's rows; they cannot change while the program runs."""
    folder = files("cryptolake.registry") / "data"
    faults: list[str] = []
    chains = read_rows("chains.yaml", (folder / "chains.yaml").read_text("utf-8"), faults)["chains"]
    csus: list[Row] = []
    for file in sorted((folder / "markets").iterdir(), key=lambda one: one.name):
        csus += read_rows(file.name, file.read_text("utf-8"), faults)["csus"]
    sets, exclusions, events = (
        read_rows(f"{name}.yaml", (folder / f"{name}.yaml").read_text("utf-8"), faults)[name]
        for name in ("sets", "exclusions", "events")
    )
    published = read_rows("terms.yaml", (folder / "terms.yaml").read_text("utf-8"), faults)
    _report(faults)
    return Rows(chains, csus, sets, exclusions, published["terms"], published["dataset"], events)


@lru_cache(maxsize=4)
def _package_registry(families: tuple[FamilyFacts, ...]) -> Registry:
    return _registry(_package_rows(), families, [])


def load_registry(
    families: Mapping[str, FamilyFacts],
    extra: Path | None = None,
    own_sets: Mapping[str, Sequence[str]] | None = None,
    *,
    listed_in: str = "own sets",
) -> Registry:
    """The package's registry, with the rows of a user's YAML file (`registry.rows` knows its keys) added or overriding.

    `families` are those a row may belong to, as they declare themselves. `own_sets` are added to the others (`listed_in`:
    where they stand) and take no other's place; one that names what this registry lacks is refused when it is used. Raises
    BadInput with every fault found, each with where it stands.
    """
    known = tuple(families.values())
    if extra is None:
        found = _package_registry(known)
    else:
        faults: list[str] = []
        found = _registry(_rows(extra, faults), known, faults)
    return _with_own_sets(found, own_sets, listed_in) if own_sets else found


def _with_own_sets(registry: Registry, own: Mapping[str, Sequence[str]], where: str) -> Registry:
    """The registry with these sets more. Raises BadInput for one that is faulty under any registry."""
    faults: list[str] = []
    sets: dict[str, tuple[str, ...]] = {}
    refused: dict[str, str] = {}
    for name, members in own.items():
        of_any, of_this = faults, list[str]()
        if fault := set_fault(name, list(members)):
            of_any.append(f"{where}: set {name}: {fault}")
        elif name in registry.sets:
            origin = registry.origins.get(name)
            said = (
                f"{where}: set {name}: a set of this name is there already ({origin or 'shipped'}); choose another name"
            )
            (of_this if origin else of_any).append(said)
        else:
            sets |= read_sets([Row({"name": name, "markets": list(members)}, where)], [], registry.csus, of_this)
        if of_this:
            refused[name] = "; ".join(of_this)
    _report(faults)
    sets = {name: members for name, members in sets.items() if name not in refused}
    origins = {**registry.origins, **dict.fromkeys(sets, where)}
    return replace(registry, sets=dict(sorted({**registry.sets, **sets}.items())), origins=origins, refused=refused)


@lru_cache(maxsize=1)
def package_chains() -> Mapping[str, Chain]:
    """The package's chains by name, for whoever needs no markets. Raises BadInput as `load_registry`."""
    faults: list[str] = []
    chains = _chains(_package_rows().chains, faults)
    _report(faults)
    return chains


def market_rows(extra: Path | None = None) -> dict[str, Row]:
    """The markets' rows as written, by name, with everything a `Csu` leaves out. Raises BadInput as `load_registry`."""
    return {str(row.values.get("name")): row for row in registry_rows(extra).csus}


def registry_rows(extra: Path | None) -> Rows:
    """The package's rows, those of a user's file added or overriding. Raises BadInput."""
    if extra is None:
        return _package_rows()
    faults: list[str] = []
    found = _rows(extra, faults)
    _report(faults)
    return found


def _rows(extra: Path, faults: list[str]) -> Rows:
    """The rows of the package with those of a user's file added or overriding."""
    text = read_text(extra, name=f"registry file {extra}", remedy="correct --registry or CRYPTOLAKE_REGISTRY")
    mine = read_rows(str(extra), text, faults)
    ours = _package_rows()
    return Rows(
        override(ours.chains, mine["chains"]),
        override(ours.csus, mine["csus"], keep=["number"]),
        override(ours.sets, mine["sets"]),
        [*ours.exclusions, *mine["exclusions"]],
        [*ours.terms, *mine["terms"]],
        mine["dataset"] or ours.dataset,
        [*ours.events, *mine["events"]],
    )


def _chains(chain_rows: Sequence[Row], faults: list[str]) -> dict[str, Chain]:
    chains: dict[str, Chain] = {}
    for row in chain_rows:
        if (chain := read_chain(row, faults)) is not None:
            if chain.name in chains:
                faults.append(f"{row.where}: chain {chain.name} is listed twice; leave one")
            chains[chain.name] = chain
    _clashes([(row.where, chains.get(str(row.values.get("name")))) for row in chain_rows], "chain", faults)
    chain_ids: dict[int, str] = {}
    for chain in chains.values():
        other = chain_ids.setdefault(chain.chain_id, chain.name)
        if other != chain.name:
            where = next(row.where for row in chain_rows if row.values.get("name") == chain.name)
            faults.append(f"{where}: chain {chain.name} has the chain_id of {other}; to change {other} use its name")
    return chains


def _registry(rows: Rows, known: Sequence[FamilyFacts], faults: list[str]) -> Registry:
    """Build and lint; raises BadInput with all of `faults` and those found here."""
    chain_rows, csu_rows, set_rows = rows.chains, rows.csus, rows.sets
    families = {one.name: one for one in known}
    chains = _chains(chain_rows, faults)
    csus: dict[str, Csu] = {}
    primaries: dict[tuple[int, str], str] = {}
    numbers: dict[int, str] = {}
    faulty = frozenset(str(row.values.get("name")) for row in chain_rows) - set(chains)
    for row in csu_rows:
        csu = read_csu(row, chains, families, faulty, faults)
        if csu is None:
            continue
        if csu.name in csus:
            faults.append(f"{row.where}: market {csu.name} is listed twice; leave one")
        if (other := numbers.setdefault(csu.number, csu.name)) != csu.name:
            faults.append(f"{row.where}: {csu.name} and {other} have the same number {csu.number}; give one another")
        csus[csu.name] = csu
        role = families[csu.family].primary_role(csu.entry)
        for primary in csu.entry.get(role, "").split(","):
            if not primary.startswith("0x"):
                continue
            other = primaries.setdefault((csu.chain_id, primary), csu.name)
            if other != csu.name:
                faults.append(f"{row.where}: {csu.name} and {other} claim the same contract {primary}; leave one")
    _clashes([(row.where, csus.get(str(row.values.get("name")))) for row in csu_rows], "market", faults)
    sets = read_sets(set_rows, csu_rows, csus, faults)
    written = [str(row.values.get("name")) for row in csu_rows]
    exclusions = read_exclusions(rows.exclusions, csus, written, faults)
    terms = read_terms(rows.terms, faults)
    dataset = read_dataset(rows.dataset[-1], faults)
    events = read_events(rows.events, csus, written, faults)
    _report(faults)
    shipped = {row.where for row in _package_rows().sets}
    origins = {str(row.values.get("name")): row.where for row in set_rows if row.where not in shipped}
    return Registry(
        csus, chains, families, sets, origins, exclusions=exclusions, terms=terms, dataset=dataset, events=events
    )


def _clashes(rows: Iterable[tuple[str, Csu | Chain | None]], kind: str, faults: list[str]) -> None:
    """An alias must lead to one row only, and never hide another row's name."""
    rows = list(rows)
    owner = {one.name: one.name for _, one in rows if one is not None}
    for where, one in rows:
        for alias in one.aliases if one is not None else ():
            other = owner.setdefault(alias, one.name if one is not None else "")
            if one is not None and other != one.name:
                faults.append(f"{where}: {kind} {one.name}: alias {alias} already means {other}; leave it out")


def _report(faults: Sequence[str]) -> None:
    if faults:
        raise BadInput(f"registry, {len(faults)} fault{'s' * (len(faults) > 1)}: " + "; ".join(faults))


def set_names(extra: Path | None = None) -> list[str]:
    """The names of the sets, a user's file included. Raises BadInput as `load_registry`."""
    return [str(row.values.get("name")) for row in registry_rows(extra).sets]


def chain_names(extra: Path | None = None) -> list[str]:
    """The names of the chains, a user's file included. Raises BadInput as `load_registry`."""
    return [str(row.values.get("name")) for row in registry_rows(extra).chains]
