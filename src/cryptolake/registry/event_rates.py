"""How many liquidations a day a market has on average, for plans of markets that nobody has collected yet.

Means over years, from `data/event_rates.csv` with their sources: a calm month has fewer, a crash many times as many. What does
not belong here: what a lake's own days say, which takes their place (work/habits).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources

from cryptolake.errors import BadInput
from cryptolake.registry.markets import Csu

Coordinate = tuple[str, str, str]
"""Family, chain and market; empty where a row is for all of them."""


def events_a_day(csu: Csu) -> float:
    """Events a day of a market: its own row, else its family's on its chain, its family's, its chain's, everybody's."""
    rates = event_rates()
    family, chain = csu.family, csu.chain
    named = ((family, chain, csu.name), ("", "", csu.name), (family, chain, ""), (family, "", ""), ("", chain, ""))
    return next((rates[one] for one in named if one in rates), rates["", "", ""])


@cache
def event_rates() -> Mapping[Coordinate, float]:
    """Every row. Raises BadInput naming a row that says no rate, or no source of it."""
    text = resources.files("cryptolake.registry").joinpath("data", "event_rates.csv").read_text(encoding="utf-8")
    found: dict[Coordinate, float] = {}
    for row in csv.DictReader(text.splitlines()):
        place = (row["family"], row["chain"], row["market"])
        try:
            found[place] = float(row["events_a_day"])
        except ValueError:
            raise BadInput(f"event_rates.csv: {place} has no number of events a day") from None
        if not 0 <= found[place] < float("inf") or not row["source"]:
            raise BadInput(f"event_rates.csv: {place} needs a rate of 0 or more and where it is from")
    return found
