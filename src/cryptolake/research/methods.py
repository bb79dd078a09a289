"""The methods note of a release: what was measured, how it was priced and proven, what is left out; from contract and registry.

What does not belong here: the meaning of each column (codebook) and how to make the release again (release_pages).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.contracts.grades import GRADES
from cryptolake.contracts.table import Table
from cryptolake.research.origin import Origin
from cryptolake.research.release_pages import mappings

_SIDES = {"TVL": ("status", "tvl_evidence"), "liquidations": ("liquidations_status", "liquidations_evidence")}


def methods(version: str, table: Table, panel: pl.DataFrame, metadata: Mapping[str, object], origin: Origin) -> str:
    """`methods.md`. The same inputs give the same text."""
    parts = [
        f"# Methods of release {version}",
        f"Rendered from the table's contract, the registry and the data; released on {origin.released_on}.",
        "## What it covers",
        _coverage(panel, metadata),
        "## What is measured",
        *(f"**{name.replace('_', ' ')}**: {text}." for name, text in _pairs(metadata["conventions"])),
        table.methodology,
        "## How it is priced",
        _pricing(metadata),
        "## How far it is proven",
        _evidence(panel),
        "## What is missing, and why",
        _missing(panel, metadata),
        "## What totals leave out",
        _exclusions(metadata),
    ]
    return "\n\n".join(parts) + "\n"


def _coverage(panel: pl.DataFrame, metadata: Mapping[str, object]) -> str:
    families = panel.group_by("family").agg(pl.col("csu").n_unique(), pl.col("chain").n_unique()).sort("family")
    lines = ["| family | markets | chains |", "|---|---|---|"]
    lines += [f"| `{family}` | {markets:,} | {chains:,} |" for family, markets, chains in families.rows()]
    head = (
        f"{_many(metadata, 'market')}, {_many(metadata, 'day')} from {metadata['start_date']} to {metadata['end_date']} "
        f"(days of {'New York' if metadata['day_boundary'] == 'ny' else 'UTC'}), {_many(metadata, 'row')}. Every market's "
        "contracts, deployment and sources are in `metadata.json`."
    )
    return head + "\n\n" + "\n".join(lines)


def _pricing(metadata: Mapping[str, object]) -> str:
    how = metadata["pricing"]
    counts = [(str(name), int(str(days))) for name, days in _pairs(metadata["price_sources"])]
    total = sum(days for _, days in counts) or 1
    lines = ["| priced by | token-days | share |", "|---|---|---|"]
    lines += [f"| {name} | {days:,} | {days / total:.1%} |" for name, days in counts]
    if not isinstance(how, Mapping):
        return "\n".join(lines)
    ages_s = [(name, float(str(age))) for name, age in _pairs(how["max_age_s"])]
    ages = ", ".join(f"{name} {age / 3600:g} h" for name, age in ages_s if age)
    said = (
        f"The first of {', '.join(map(str, how['ladder']))} with a fresh quote (at most old: {ages}). A spread above "
        f"{float(str(how['tolerance'])):.0%} between fresh quotes is flagged, never averaged away."
    )
    return said + "\n\n" + "\n".join(lines)


def _evidence(panel: pl.DataFrame) -> str:
    lines = ["| grade | market-days of TVL | of liquidations |", "|---|---|---|"]
    for grade in (*GRADES, None):
        counts = [
            panel.filter(pl.col(column).eq_missing(pl.lit(grade, pl.String))).height for _, column in _SIDES.values()
        ]
        shares = [f"{count:,} ({count / max(panel.height, 1):.1%})" for count in counts]
        lines.append(f"| {grade or 'no answer'} | {shares[0]} | {shares[1]} |")
    return "The weakest of all facts that a market-day rests on; the columns `..._evidence` have it.\n\n" + "\n".join(
        lines
    )


def _missing(panel: pl.DataFrame, metadata: Mapping[str, object]) -> str:
    codes = metadata["status_codes"]
    meaning = codes if isinstance(codes, Mapping) else {}
    lines = ["| side | status | market-days | meaning |", "|---|---|---|---|"]
    for side, (column, _) in _SIDES.items():
        for status, count in sorted(panel[column].value_counts().iter_rows()):
            lines.append(f"| {side} | {status} | {count:,} | {meaning.get(status, '')} |")
    return "Nothing is filled; a missing number is null and its status says why.\n\n" + "\n".join(lines)


def _exclusions(metadata: Mapping[str, object]) -> str:
    rows = mappings(metadata["exclusions"])
    if not rows:
        return "Nothing."
    lines = ["| market | what | from | to | why |", "|---|---|---|---|---|"]
    lines += [
        f"| `{one['csu']}` | {one['kind']} `{one['id']}` | {one['first'] or 'the beginning'} | {one['last'] or 'this day'} "
        f"| {one['why']} |"
        for one in rows
    ]
    return "\n".join(lines)


def _pairs(value: object) -> list[tuple[str, object]]:
    return [(str(name), one) for name, one in value.items()] if isinstance(value, Mapping) else []


def _many(metadata: Mapping[str, object], noun: str) -> str:
    return counted(int(str(metadata[f"{noun}s"])), noun)
