"""The Artemis watch list: which metrics are asked of which assets, from the documented matrix `artemis_config.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from cryptolake.registry.metrics import metrics
from cryptolake.registry.tables import read_table, report

_HEAD = ("name", "asset", "category", "Pull")
_ON = frozenset({"1", "1.0"})
_OFF = frozenset({"", "0", "0.0"})


@dataclass(frozen=True, slots=True)
class Watched:
    """One asset that is pulled: `asset` is the vendor's id and `metrics.asset`; `metrics` are API ids, exclusions left out."""

    asset: str
    name: str
    category: str
    metrics: frozenset[str]


@lru_cache(maxsize=1)
def labels() -> Mapping[str, str]:
    """API ids by the friendly label of a matrix column, in lower case."""
    text = (files("cryptolake.registry") / "data" / "artemis_labels.csv").read_text("utf-8")
    return {row["label"].lower(): row["metric"] for row in csv.DictReader(text.splitlines())}


def key_of(asset: str) -> str:
    """The asset's id as a partition key, which may not hold a star: `usd*` is filed as `usd+star`."""
    return asset.replace("*", "+star")


def artemis_assets(path: Path | None = None) -> dict[str, Watched]:
    """The assets with Pull=1 by id, sorted. Raises BadInput with every fault of the file, each with its line.

    A column is a metric by its label (`Price`) or API id (`PRICE`). An API id that we do not know is passed on as it is:
    the vendor has hundreds.
    """
    return dict(_shipped() if path is None else _read(path))


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Watched]:
    """Those of the package: read once, because every opened source asks for them."""
    return _read(None)


def _read(path: Path | None) -> dict[str, Watched]:
    faults: list[str] = []
    found: dict[str, Watched] = {}
    excluded = {name for (source, name), one in metrics().items() if source == "artemis" and one.kind == "excluded"}
    seen: dict[str, str] = {}
    for line in read_table(path, "artemis_config.csv", _HEAD, faults):
        asset = line.cells["asset"]
        if not asset:
            faults.append(f"{line.where}: column asset is empty; write the vendor's id")
            continue
        if asset in seen:
            faults.append(f"{line.where}: {asset} is listed twice (also {seen[asset]}); leave one")
            continue
        seen[asset] = line.where.rpartition(", ")[2]
        wanted = set()
        for column, cell in line.cells.items():
            if column in _HEAD and column != "Pull":
                continue
            if cell not in _ON | _OFF:
                faults.append(f"{line.where}: {column} of {asset} is {cell!r}; write 1 or leave it empty")
            elif column != "Pull" and cell in _ON:
                wanted.add(labels().get(column.lower(), column.upper()))
        if line.cells["Pull"] in _ON:
            cells = line.cells
            found[asset] = Watched(asset, cells["name"], cells["category"], frozenset(wanted - excluded))
    report("Artemis watch list", faults)
    return dict(sorted(found.items()))
