"""Totals that others published about the same markets and days: data with sources, to compare ours with.

The list is `data/published_totals.yaml`, or a file of the user's of the same form. What does not belong here: comparing
(work.truth).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path

import yaml

from cryptolake.errors import BadInput
from cryptolake.files.text import read_text
from cryptolake.registry.clock_rows import read_day
from cryptolake.registry.loader import Registry

_KEYS = frozenset(["name", "markets", "first", "last", "column", "value", "tolerance", "says", "sources"])


@dataclass(frozen=True, slots=True)
class PublishedTotal:
    """A figure of `daily_panel`'s `column`, summed over markets and days (UTC, both included), as somebody published it.

    `tolerance` is the share by which ours may differ, 0 for not at all; `says` what the source counts and leaves open.
    """

    name: str
    markets: tuple[str, ...]
    first: date
    last: date
    column: str
    value: float
    tolerance: float
    says: str
    sources: tuple[str, ...]


def published_totals(registry: Registry, columns: Sequence[str], file: Path | None = None) -> list[PublishedTotal]:
    """The list, or that of a file. Raises BadInput naming every faulty row."""
    name = "published_totals.yaml" if file is None else str(file)
    if file is None:
        text = (files("cryptolake.registry") / "data" / name).read_text("utf-8")
    else:
        text = read_text(file, name=f"file of totals {file}", remedy="correct --file")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{name}: not readable as YAML ({' '.join(str(error).split())[:200]})") from None
    rows = document.get("totals") if isinstance(document, Mapping) else None
    if not isinstance(rows, list) or not rows:
        raise BadInput(f"{name}: holds no rows under `totals:`")
    faults: list[str] = []
    found = [_read(row, number, registry, columns, faults) for number, row in enumerate(rows, start=1)]
    if faults:
        raise BadInput(f"{name}: {'; '.join(faults)}")
    return [one for one in found if one is not None]


def _read(
    row: object, number: int, registry: Registry, columns: Sequence[str], faults: list[str]
) -> PublishedTotal | None:
    if not isinstance(row, Mapping):
        faults.append(f"row {number} is no mapping of keys to values")
        return None
    name, before = str(row.get("name") or f"row {number}"), len(faults)
    faults += [f"{name}: unknown key {key!r}" for key in row if key not in _KEYS]
    markets = _markets(row.get("markets"), registry, name, faults)
    first, last = read_day(row.get("first")), read_day(row.get("last"))
    if first is None or last is None or last < first:
        faults.append(f"{name}: first and last are days, in order")
    if row.get("column") not in columns:
        faults.append(f"{name}: column {row.get('column')!r} is none of daily_panel's numbers")
    value, tolerance, sources = row.get("value"), row.get("tolerance"), row.get("sources")
    if not isinstance(value, int | float) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        faults.append(f"{name}: value is a number, tolerance a share from 0 to 1")
    if not isinstance(sources, list) or not sources or not row.get("says"):
        faults.append(f"{name}: says and sources must hold what the source counts, and where")
    if len(faults) > before or first is None or last is None:
        return None
    return PublishedTotal(
        name,
        markets,
        first,
        last,
        str(row["column"]),
        float(str(value)),
        float(str(tolerance)),
        str(row["says"]),
        tuple(map(str, sources if isinstance(sources, list) else ())),
    )


def _markets(given: object, registry: Registry, name: str, faults: list[str]) -> tuple[str, ...]:
    """The markets named, or all of a family and protocol."""
    if isinstance(given, Mapping):
        named = [
            csu.name for csu in registry.csus.values()
            if (csu.family, csu.protocol) == (given.get("family"), given.get("protocol")) and not csu.sandbox
        ]  # fmt: skip
    else:
        named = [str(one) for one in given] if isinstance(given, list) else []
        faults += [f"{name}: unknown market {one!r}" for one in named if one not in registry.csus]
    if not named:
        faults.append(f"{name}: markets lists names, or says family and protocol of some")
    return tuple(sorted(named))
