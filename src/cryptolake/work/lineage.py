"""Which step makes which table and from what, found from the sources' `feeds` and the tables' layers. Runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cryptolake.contracts.source import Dataset, Source
from cryptolake.contracts.table import Table

# vendor: loaded into PostgreSQL by the vendor's own operation; refine, build: made in the lake by `journey`.
Step = Literal["vendor", "refine", "build"]

# A table of the lending markets says of which market or chain a row is; every other one comes from vendors.
_LENDING = {"csu", "chain"}
# Tables made of vendors' tables, with their parents by name; others are drawn below every vendor-fed table but `metrics`.
_MADE_OF: Mapping[str, tuple[str, ...]] = {
    "crypto_analytics_mart": ("staging_crypto_market",),
    "market_segment_analysis": ("staging_crypto_market",),
    "crypto_market_summary": ("staging_crypto_market", "crypto_market_global"),
    "crypto_market_history": ("staging_crypto_market",),
    "exchange_spread": ("exchange_tickers",),
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
    own = [one for one in tables if one.name not in fed and _LENDING & set(one.columns)]
    refined = tuple(one.name for one in own if one.layer == "silver")
    vendors_own = tuple(one.name for one in tables if one.name in fed and one.name != "metrics")
    nodes = []
    for table in tables:
        if table.name in fed:
            nodes.append(Node(table, "vendor", tuple(sorted(fed[table.name])), ()))
        elif table in own and table.layer == "silver":
            asked = tuple(one for one in onchain if _feeds(chain.datasets, one[1]) == table.name)
            nodes.append(Node(table, "refine", asked or onchain, ()))
        elif table in own and table.layer == "gold":
            nodes.append(Node(table, "build", (), refined))
        elif table.layer in {"silver", "gold"}:
            parents = tuple(one for one in _MADE_OF.get(table.name, vendors_own) if one in vendors_own)
            nodes.append(Node(table, "vendor", (), parents))
    return nodes


def _feeds(datasets: Iterable[Dataset], name: str) -> str:
    return next(one.feeds for one in datasets if one.name == name)
