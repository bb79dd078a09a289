"""The stablecoin watch list: our key (a CoinGecko id), DefiLlama's numeric id and the peg its amounts are in."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Stablecoin:
    """One watched stablecoin. `peg` is the key of the vendor's amounts, e.g. `peggedUSD`, `peggedEUR`, `peggedREAL`."""

    key: str
    id: str
    peg: str
    name: str


@lru_cache(maxsize=1)
def stablecoins() -> dict[str, Stablecoin]:
    """The watch list by key, sorted."""
    text = (files("cryptolake.registry") / "data" / "stablecoins.csv").read_text("utf-8")
    rows = [Stablecoin(**row) for row in csv.DictReader(text.splitlines())]
    return {row.key: row for row in sorted(rows, key=lambda row: row.key)}
