"""Which step makes which table and from what: the sources' `feeds`, and what the tables say of their inputs. Runs nothing."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from cryptolake.catalogue import MARKET_DAYS, FoundTable
from cryptolake.contracts.source import Source
from cryptolake.contracts.table import Table

# vendor: loaded into PostgreSQL by the vendor's own operation; refine, build: made in the lake by the lending river.
Step = Literal["vendor", "refine", "build"]


@dataclass(frozen=True, slots=True)
class Node:
    """A table, the step that makes it, and the datasets (`source`, `dataset`) and tables it is made of."""

    table: Table
    step: Step
    datasets: tuple[tuple[str, str], ...]
    tables: tuple[str, ...]


def lineage(chain: Source, vendors: Iterable[Source], tables: Mapping[str, FoundTable]) -> list[Node]:
    """Every silver and gold table with its origin, inputs first; log tables are by-products and are left out.

    A table belongs to the lending markets when a dataset of the chain feeds it or one of its inputs; silver tables of theirs
    that no dataset feeds (quotes, prices) come from the same answers. What is made of no answer and no table and is an input
    of theirs (the registry's list of exclusions) is written by the step that uses it.
    """
    fed: dict[str, list[tuple[str, str]]] = {}
    for source in (chain, *vendors):
        for dataset in source.datasets:
            fed.setdefault(dataset.feeds, []).append((source.name, dataset.name))
    onchain = tuple((chain.name, dataset.name) for dataset in chain.datasets)
    lending = lending_tables(chain, tables, fed)
    nodes = []
    for name, one in tables.items():
        if one.table.layer not in {"silver", "gold"}:
            continue
        datasets = tuple(sorted(fed.get(name, ())))
        parents = tuple(parent for parent in one.inputs if parent != MARKET_DAYS)
        if name not in lending:
            nodes.append(Node(one.table, "vendor", datasets, parents))
        elif one.build is None and (datasets or one.inputs or _is_input(name, lending, tables)):
            nodes.append(Node(one.table, "refine", datasets or onchain, parents))
        else:
            nodes.append(Node(one.table, "build", (), parents))
    return nodes


def lending_tables(chain: Source, tables: Mapping[str, FoundTable], fed: Container[str]) -> set[str]:
    """The names of the tables that come from the chain's answers, at whatever remove, and of their inputs that nobody feeds.

    `fed` are the tables that some source's datasets feed.
    """
    found = {dataset.feeds for dataset in chain.datasets}
    while True:
        linked = {
            name
            for name, one in tables.items()
            if name not in found
            and (
                set(one.inputs) & found
                or (one.build is None and _is_input(name, found, tables))
                or (one.build is None and name not in fed and one.own_of is None and _is_used(name, found, tables))
            )
        }
        if not linked:
            return found
        found |= linked


def _is_input(name: str, of: set[str], tables: Mapping[str, FoundTable]) -> bool:
    """Whether one of the tables that a river fills itself is made with this one (its price table, say)."""
    return any(name in tables[one].inputs for one in of if one in tables and tables[one].build is None)


def _is_used(name: str, of: set[str], tables: Mapping[str, FoundTable]) -> bool:
    """Whether one of these tables is made with this one."""
    return any(name in tables[one].inputs for one in of if one in tables)
