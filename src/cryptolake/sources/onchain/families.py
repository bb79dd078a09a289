"""Finds the protocol families: every module of this folder that holds the programs below is one. No list to forget."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Program
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.records import Liquidation, Reserve, Settled


class Family(Protocol):
    """What a family module offers. All of it is I/O-free.

    `snapshot` reads every asset of a market. `emitters` names the contracts and first topics whose events are wanted, as
    of the block it is run at. `liquidations` reads a period's logs of those, in order, leaving out what is none.
    `settle` turns events into amounts of the tokens themselves and reads what is needed to value them.
    """

    METHODOLOGY: str

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


def discovering(name: str) -> Discovering | None:
    """The family of this name if it needs discovery."""
    family = families()[name]
    return cast(Discovering, family) if hasattr(family, "discovery") else None


@lru_cache(maxsize=1)
def families() -> dict[str, Family]:
    """Every family by name, found by presence."""
    found = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        loaded: ModuleType = importlib.import_module(f"cryptolake.sources.onchain.{module.name}")
        if hasattr(loaded, "METHODOLOGY"):
            found[module.name] = cast(Family, loaded)
    return found
