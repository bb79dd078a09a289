"""Finds the protocol families: every module of this folder that holds the three programs below is one. No list to forget."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Program
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.records import AssetFacts, Liquidation, Reserve


class Family(Protocol):
    """What a family module offers. All of it is I/O-free.

    `snapshot` reads every asset of a market. `liquidation_filters` names the emitters and topics. `decode_liquidation`
    reads one log, None for an event that is no liquidation. `facts` reads what is needed to value the named assets.
    """

    METHODOLOGY: str

    @staticmethod
    def snapshot(csu: Csu) -> Program[list[Reserve]]: ...
    @staticmethod
    def liquidation_filters(csu: Csu) -> list[LogFilter]: ...
    @staticmethod
    def decode_liquidation(csu: Csu, log: Log) -> Liquidation | None: ...
    @staticmethod
    def facts(csu: Csu, assets: Sequence[str]) -> Program[Mapping[str, AssetFacts]]: ...


@lru_cache(maxsize=1)
def families() -> dict[str, Family]:
    """Every family by name, found by presence."""
    found = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        loaded: ModuleType = importlib.import_module(f"cryptolake.sources.onchain.{module.name}")
        if hasattr(loaded, "METHODOLOGY"):
            found[module.name] = cast(Family, loaded)
    return found
