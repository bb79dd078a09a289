"""DefiLlama's watch lists: entities (`defillama_config.csv`), the last known chain list, bridges. No network.

An entity is a chain when its name, slug or gecko id is one of the vendor's chain list; the list that ships is the fallback
for the live one.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from cryptolake.registry.tables import read_table, report

ALWAYS_CHAINS = frozenset({"ronin", "stride", "babylon"})  # chains the vendor's list misses or names otherwise
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]*")


@dataclass(frozen=True, slots=True)
class Entity:
    """One watched entity: `key` (a gecko id) is `metrics.asset`; `slug` and `name` are how the vendor calls it."""

    key: str
    name: str
    slug: str
    category: str


@dataclass(frozen=True, slots=True)
class ChainName:
    """One chain of the vendor's list: display name, gecko id if it has one, TVL in USD if it is known."""

    name: str
    gecko_id: str
    tvl_usd: float = 0.0


def slugged(name: str) -> str:
    """The vendor's slug of a name: lower case, spaces to dashes, apostrophes left out, all else kept."""
    return name.lower().replace(" ", "-").replace("'", "").replace("’", "")


def defillama_entities(path: Path | None = None) -> dict[str, Entity]:
    """The watch list by key, sorted. Raises BadInput with every fault of the file, each with its line."""
    faults: list[str] = []
    found: dict[str, Entity] = {}
    for line in read_table(path, "defillama_config.csv", ("name", "slug", "gecko_id", "category"), faults):
        cells = line.cells
        key = cells["gecko_id"] or cells["slug"]
        entity = Entity(key, cells["name"], cells["slug"] or slugged(cells["name"]), cells["category"])
        if not key:
            faults.append(f"{line.where}: neither gecko_id nor slug; write one")
        elif not _KEY.fullmatch(key):
            faults.append(f"{line.where}: {key!r} cannot be a key; use letters, digits and . _ : + -")
        elif not entity.name and not entity.slug:
            faults.append(f"{line.where}: {key} has neither name nor slug; write one")
        elif key in found:
            faults.append(f"{line.where}: {key} is listed twice; leave one")
        else:
            found[key] = entity
    report("DefiLlama watch list", faults)
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def last_known_chains() -> tuple[ChainName, ...]:
    """The vendor's chain list as of 2026-05, for use without network."""
    text = (files("cryptolake.registry") / "data" / "defillama_chains.csv").read_text("utf-8")
    return tuple(ChainName(row["name"], row["gecko_id"]) for row in csv.DictReader(text.splitlines()))


@lru_cache(maxsize=1)
def bridges() -> dict[str, str]:
    """Bridge entities by key with the name the vendor's bridge list uses; empty for those it does not have."""
    text = (files("cryptolake.registry") / "data" / "bridges.csv").read_text("utf-8")
    return {row["key"]: row["vendor_name"] for row in csv.DictReader(text.splitlines())}


def chain_keys(entities: Mapping[str, Entity], chains: Iterable[ChainName]) -> frozenset[str]:
    """The keys of the entities that are chains by the list, plus the known exceptions."""
    names, slugs, gecko_ids = set(), set(), set()
    for chain in chains:
        names.add(chain.name.lower())
        slugs.add(slugged(chain.name))
        gecko_ids.add(chain.gecko_id)
    gecko_ids.discard("")
    return frozenset(
        key
        for key, one in entities.items()
        if (one.name and one.name.lower() in names)
        or (one.slug and one.slug in slugs)
        or key in gecko_ids
        or key in ALWAYS_CHAINS
    )
