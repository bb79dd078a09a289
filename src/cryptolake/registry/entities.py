"""The entity map: which id each vendor uses for the same thing (`solana` at DefiLlama is `sol` at Artemis)."""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from cryptolake.errors import BadInput


@dataclass(frozen=True, slots=True)
class Known:
    """One thing in the world and its id at each vendor; an empty id: that vendor does not have it or it is not mapped."""

    entity: str
    name: str
    kind: str
    defillama: str
    artemis: str
    coingecko: str

    def ids(self) -> dict[str, str]:
        """The vendors' ids by source, only those that are known."""
        every = {"defillama": self.defillama, "artemis": self.artemis, "coingecko": self.coingecko}
        return {source: one for source, one in every.items() if one}


@lru_cache(maxsize=1)
def entities() -> dict[str, Known]:
    """Every entity by its id, sorted."""
    text = (files("cryptolake.registry") / "data" / "entities.csv").read_text("utf-8")
    return {row["entity"]: Known(**row) for row in csv.DictReader(text.splitlines())}


def find_entity(text: str) -> Known:
    """The entity of this id, vendor id or name, in that order. Raises BadInput with near misses."""
    wanted, known = text.strip().lower(), entities()
    if wanted in known:
        return known[wanted]
    for one in known.values():
        if wanted in {one.artemis.lower(), one.name.lower(), one.entity.removeprefix("artemis:")}:
            return one
    names = {name.lower(): one.entity for one in known.values() for name in (one.entity, one.name, one.artemis) if name}
    near = list(dict.fromkeys(names[name] for name in difflib.get_close_matches(wanted, names, n=3)))
    hint = f"did you mean {', '.join(near)}?" if near else "see `cryptolake entities`"
    raise BadInput(f"unknown entity {text!r}; {hint}")
