"""Finds the protocol families: every module of this package that declares one. No list to forget.

A family is one file. What it declares (`Declared`) is enough for its rows to be linted and checked; the programs of
`Family` make its markets readable as well. What does not belong here: any family's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any, Protocol, cast

from cryptolake.errors import BadInput
from cryptolake.files.presence import FileFault, load, module_names, require_helper, require_spelt, unfindable
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Program
from cryptolake.registry.family import Accounting, Anchor, FamilyFacts
from cryptolake.registry.markets import Csu
from cryptolake.sources import onchain
from cryptolake.sources.onchain.records import Liquidation, Reserve, Settled


class Declared(Protocol):
    """What every family module says about itself, see `FamilyFacts`. `PROTOCOL_ANCHORS` (by protocol) may be left out.

    So may `BEGINNINGS`, the entries none of which has code before a market's life begins (the primary entry alone).
    """

    PRIMARY_ENTRY: str | None
    ANCHORS: tuple[Anchor, ...]


class Family(Declared, Protocol):
    """What a family module offers whose markets can be read. All of it is I/O-free.

    `snapshot` reads every asset of a market. `emitters` names the contracts and first topics whose events are wanted, as
    of the block it is run at. `liquidations` reads a period's logs of those, in order, leaving out what is none.
    `settle` turns events into amounts of the tokens themselves and reads what is needed to value them.
    """

    METHODOLOGY: str
    ACCOUNTING: Accounting

    @staticmethod
    def snapshot(csu: Csu) -> Program[list[Reserve]]: ...
    @staticmethod
    def emitters(csu: Csu) -> Program[list[LogFilter]]: ...
    @staticmethod
    def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]: ...
    @staticmethod
    def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]: ...


class Discovering(Family, Protocol):
    """A family whose parts no contract lists, only events since the deployment (Morpho's markets).

    `discovery` names the events; `discover` puts what the logs up to a block say into the market's `found`, which the
    other programs then use. The source keeps the logs, so that only new blocks are ever scanned.
    """

    @staticmethod
    def discovery(csu: Csu) -> LogFilter: ...
    @staticmethod
    def discover(csu: Csu, logs: Sequence[Log]) -> Csu: ...


_DECLARED = ("PRIMARY_ENTRY", "ANCHORS")
_READ = ("METHODOLOGY", "ACCOUNTING", "snapshot", "emitters", "liquidations", "settle")
_MARKS = (*_DECLARED, "METHODOLOGY", "snapshot")  # one of these makes a module a family
_DISCOVERING = ("discovery", "discover")


def discovering(name: str) -> Discovering | None:
    """The family of this name if it needs discovery."""
    family = families()[name]
    return cast(Discovering, family) if hasattr(family, "discovery") else None


def families() -> dict[str, Family]:
    """Every family whose markets can be read, by name. Raises BadInput naming a file that is no whole family."""
    return {name: cast(Family, one) for name, one in _modules().items() if hasattr(one, "snapshot")}


def declared() -> Mapping[str, FamilyFacts]:
    """What every family declares, by name, also of those that cannot be read yet. Raises BadInput as `families`."""
    return _facts(tuple(onchain.__path__))


@lru_cache(maxsize=4)
def _facts(paths: tuple[str, ...]) -> Mapping[str, FamilyFacts]:
    return {
        name: FamilyFacts(
            name=name,
            primary_entry=module.PRIMARY_ENTRY,
            anchors=tuple(module.ANCHORS),
            protocol_anchors=getattr(module, "PROTOCOL_ANCHORS", {}),
            accounting=getattr(module, "ACCOUNTING", None),
            readable=hasattr(module, "snapshot"),
            beginnings=tuple(getattr(module, "BEGINNINGS", ())),
        )
        for name, module in sorted(_found(paths).items())
    }


def _modules() -> dict[str, ModuleType]:
    return _found(tuple(onchain.__path__))


@lru_cache(maxsize=4)
def _found(paths: tuple[str, ...]) -> dict[str, ModuleType]:
    """The family modules in these folders, looked for once."""
    for path, fault in unfindable(onchain).items():
        raise BadInput(f"{path} {fault}")
    found = {}
    for name in module_names(onchain):
        try:
            module = load(name)
            if any(hasattr(module, mark) for mark in _MARKS):
                _check(module)
                found[name.rpartition(".")[2]] = module
            else:
                require_helper(name, onchain, "what Family asks for")
        except FileFault as fault:
            raise BadInput(f"{name}: {fault}; see Family in {__name__}") from None
    return found


def _check(module: ModuleType) -> None:
    """Raises FileFault with what it lacks: half a family would be skipped in silence somewhere later."""
    needed: Iterable[str] = _DECLARED
    if any(hasattr(module, name) for name in ("METHODOLOGY", "snapshot")):
        needed = (*_DECLARED, *_READ)
    if any(hasattr(module, name) for name in _DISCOVERING):
        needed = (*needed, *_DISCOVERING)
    if lacking := [name for name in needed if not hasattr(module, name)]:
        raise FileFault(f"this family lacks {', '.join(lacking)}")
    require_spelt(module, _KINDS)
    for name, (sound, kind) in _KINDS.items():
        if hasattr(module, name) and not sound(getattr(module, name)):
            raise FileFault(f"{name} is not {kind}")


def _anchors(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, Anchor) for one in value)


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


# What each declaration is, so that a wrong one is named here and not by whatever stumbles over it.
_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "PRIMARY_ENTRY": (lambda value: value is None or _text(value), "the role of an entry, or None"),
    "ANCHORS": (_anchors, "a tuple of cryptolake.registry.family.Anchor"),
    "PROTOCOL_ANCHORS": (
        lambda value: isinstance(value, Mapping) and all(map(_text, value)) and all(map(_anchors, value.values())),
        "a mapping from a protocol to a tuple of cryptolake.registry.family.Anchor",
    ),
    "BEGINNINGS": (
        lambda value: isinstance(value, tuple) and all(map(_text, value)),
        "a tuple of the roles of entries",
    ),
    "METHODOLOGY": (_text, "a text"),
    "ACCOUNTING": (lambda value: isinstance(value, Accounting), "a cryptolake.registry.family.Accounting"),
    **dict.fromkeys(("snapshot", "emitters", "liquidations", "settle", *_DISCOVERING), (callable, "a function")),
}
