"""Which step makes which table and from what, found from the sources' `feeds` and the tables' layers. Runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cryptolake.contracts.source import Dataset, Source
from cryptolake.contracts.table import Table

# vendor: loaded into PostgreSQL by the vendor's own operation; refine, build: made in the lake by `journey`.
Step = Literal["vendor", "refine", "build"]

# Gold tables made of vendor-fed tables, not of the lending markets' silver: table -> what it reads.
_VENDOR_GOLD: Mapping[str, tuple[str, ...]] = {
    "crypto_analytics_mart": ("staging_crypto_market",),
    "market_segment_analysis": ("staging_crypto_market",),
    "crypto_market_summary": ("staging_crypto_market",),
}


@dataclass(frozen=True, slots=True)
class Node:
    """A table, the step that makes it, and the datasets (`source`, `dataset`) and tables it is made of."""

    table: Table
    step: Step
    datasets: tuple[tuple[str, str], ...]
    tables: tuple[str, ...]


def lineage(chain: Source, vendors: Iterable[Source], tables: Sequence[Table]) -> list[Node]:
    """Every silver and gold table of `tables` with its origin; log tables are by-products and are left out."""
    fed: dict[str, list[tuple[str, str]]] = {}
    for source in vendors:
        for dataset in source.datasets:
            fed.setdefault(dataset.feeds, []).append((source.name, dataset.name))
    onchain = tuple((chain.name, dataset.name) for dataset in chain.datasets)
    refined = tuple(one.name for one in tables if one.layer == "silver" and one.name not in fed)
    nodes = []
    for table in tables:
        if table.name in fed:
            nodes.append(Node(table, "vendor", tuple(sorted(fed[table.name])), ()))
        elif table.name in _VENDOR_GOLD:
            nodes.append(Node(table, "vendor", (), _VENDOR_GOLD[table.name]))
        elif table.layer == "silver":
            own = tuple(one for one in onchain if _feeds(chain.datasets, one[1]) == table.name)
            nodes.append(Node(table, "refine", own or onchain, ()))
        elif table.layer == "gold":
            nodes.append(Node(table, "build", (), refined))
    return nodes


def _feeds(datasets: Iterable[Dataset], name: str) -> str:
    return next(one.feeds for one in datasets if one.name == name)
