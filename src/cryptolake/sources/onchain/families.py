"""Finds the protocol families: every module of this package that declares one. No list to forget.

A family is one file. What it declares (`Declared`) is enough for its rows to be linted and checked; the programs of
`Family` make its markets readable as well. What does not belong here: any family's name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Protocol, cast

from cryptolake.errors import BadInput
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Program
from cryptolake.registry.family import Accounting, Anchor, FamilyFacts
from cryptolake.registry.markets import Csu
from cryptolake.sources import onchain
from cryptolake.sources.onchain.records import Liquidation, Reserve, Settled


class Declared(Protocol):
    """What every family module says about itself, see `FamilyFacts`. `PROTOCOL_ANCHORS` (by protocol) may be left out."""

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
    """Every family whose markets can be read, by name. Raises BadInput for a half-written family file."""
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
        )
        for name, module in sorted(_found(paths).items())
    }


def _modules() -> dict[str, ModuleType]:
    return _found(tuple(onchain.__path__))


@lru_cache(maxsize=4)
def _found(paths: tuple[str, ...]) -> dict[str, ModuleType]:
    """The family modules in these folders, looked for once."""
    found = {}
    for one in pkgutil.iter_modules(paths):
        module = importlib.import_module(f"{onchain.__name__}.{one.name}")
        if any(hasattr(module, name) for name in _MARKS):
            _check(module)
            found[one.name] = module
    return found


def _check(module: ModuleType) -> None:
    """Raises BadInput with the file and what it lacks: half a family would be skipped in silence somewhere later."""
    needed: Iterable[str] = _DECLARED
    if any(hasattr(module, name) for name in ("METHODOLOGY", "snapshot")):
        needed = (*_DECLARED, *_READ)
    if any(hasattr(module, name) for name in _DISCOVERING):
        needed = (*needed, *_DISCOVERING)
    if lacking := [name for name in needed if not hasattr(module, name)]:
        raise BadInput(f"{module.__file__}: this family lacks {', '.join(lacking)}; see Family in {__name__}")
