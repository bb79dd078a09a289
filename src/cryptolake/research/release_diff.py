"""What differs between two releases, cell by cell, each with the cause that what they rest on names; and the data changelog.

A release says in digests what every market-day rests on (`lineage`); the first of these that is another one is the cause. What
does not belong here: making releases (release, work.releasing).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import MARKET_DATASETS
from cryptolake.errors import BadInput, Stop
from cryptolake.gold.completeness import is_flow
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.research import origin as origins
from cryptolake.research import release as releases

CAUSES: Mapping[str, str] = {
    "new answer": "the market-day was not answered before",
    "restatement": "it was asked again and answered otherwise, or its answer is lost",
    "evidence": "the same answer is borne out otherwise, or somebody contradicts it now",
    "price": "the same amounts at other prices: another ladder, tolerance or answer of a price source",
    "registry": "the market's rows, its chain, exclusions, feeds or oracles are other ones",
    "code": "the same inputs, read or counted by other code",
    "code or registry": "the same answers, and both code and registry are other ones: which of them cannot be told",
    "another day": "it follows from another day of the same market that changed",
    "selection": "only one of the releases was made of this market and day",
    "unexplained": "everything it rests on is the same, and it is another one: one of the releases is not what it says",
}
KEY = ("csu", "date")
CELLS = pl.Schema(
    {
        "csu": pl.String(),
        "date": pl.Date(),
        "column": pl.String(),
        "before": pl.String(),
        "after": pl.String(),
        "change": pl.Float64(),  # after - before, of numbers that both have
        "cause": pl.String(),
    }
)
_SAID = ("state", "reason", "grade")
_OF_LIQUIDATIONS = ("liquidations_status", "liquidations_reason", "liquidations_evidence")


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """Two releases, the cells that differ (`CELLS`), the columns that one of them lacks, and what else is another one."""

    before: str
    after: str
    cells: pl.DataFrame
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    inputs: tuple[str, ...]

    @property
    def by_cause(self) -> dict[str, int]:
        """How many cells changed by which cause, the most first."""
        counts = self.cells["cause"].value_counts().sort("count", "cause", descending=[True, False])
        return dict(counts.iter_rows())

    @property
    def explained(self) -> bool:
        """Whether every changed cell has a cause."""
        return "unexplained" not in self.by_cause


@dataclass(frozen=True, slots=True)
class _Read:
    name: str
    panel: pl.DataFrame
    lineage: pl.DataFrame
    prices: pl.DataFrame
    said: pl.DataFrame
    pricing: str | None
    registry_version: str
    rows: Mapping[str, object]
    code: str


def diff(before: Path, after: Path) -> ReleaseDiff:
    """Compare two release folders. Raises BadInput where one is no release, or says nothing of what it rests on; Stop for a
    damaged one."""
    one, two = _read(before), _read(after)
    shared = [name for name in one.panel.columns if name in two.panel.columns]
    cells = _cells(one, two, shared).join(_causes(one, two), on=[*KEY, "dataset"], how="left")
    return ReleaseDiff(
        one.name,
        two.name,
        cells.select(CELLS.names()).cast(CELLS).sort(*KEY, "column"),
        tuple(name for name in two.panel.columns if name not in shared),
        tuple(name for name in one.panel.columns if name not in shared),
        tuple(_inputs(one, two)),
    )


def _read(folder: Path) -> _Read:
    if wrong := releases.verify(folder):
        raise Stop(f"{folder}: missing or not as released: {', '.join(wrong)}")
    if not (folder / releases.RECIPE).exists():
        raise BadInput(f"{folder} was released before releases said what they rest on; take the release anew")
    text = (folder / releases.ENVIRONMENT).read_text()
    origin, recipe = origins.read((folder / releases.RECIPE).read_bytes(), text)
    ledger = pl.read_parquet(folder / recipe.files["ledger"], columns=["partition", "digest", "all_days", *_SAID])
    registry = orjson.loads((folder / recipe.files["registry"]).read_bytes())
    panel = pl.read_parquet(folder / "daily_panel.parquet")
    return _Read(
        recipe.release,
        panel,
        pl.read_parquet(folder / recipe.files["lineage"]),
        _price_answers(ledger),
        _said(ledger),
        recipe.pricing,
        recipe.registry_version,
        _rows_of(registry, dict(panel.select("csu", "chain").unique().iter_rows())),
        origin.code_digest,
    )


def _price_answers(ledger: pl.DataFrame) -> pl.DataFrame:
    """Per day what price sources answered, as one text; what counts for all days (a file) stands under no day."""
    parts = pl.col("partition").str.split("/")
    told = ledger.filter(~parts.list.first().is_in(MARKET_DATASETS) & pl.col("digest").is_not_null())
    line = pl.concat_str("partition", "digest", separator=" ")
    day = parts.list.last().str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    of_day = pl.when("all_days").then(None).otherwise(day).alias("date")
    return told.group_by(of_day).agg(line.sort().str.join("\n").alias("told"))


def _said(ledger: pl.DataFrame) -> pl.DataFrame:
    """Per dataset, market and day what the ledger says beside the answers, as one text."""
    parts = pl.col("partition").str.split("/")
    rows = ledger.filter(parts.list.first().is_in(MARKET_DATASETS)).select(
        parts.list.first().alias("dataset"),
        parts.list.get(1).alias("csu"),
        parts.list.last().str.slice(0, 10).str.to_date("%Y-%m-%d").alias("date"),
        pl.concat_str("partition", *(pl.col(name).fill_null("") for name in _SAID), separator=" ").alias("said"),
    )
    return rows.group_by("dataset", *KEY).agg(pl.col("said").sort().str.join("\n"))


def _rows_of(registry: Mapping[str, Any], chains: Mapping[str, str]) -> dict[str, object]:
    """What the registry says of each market: its row, its chain's, and what of it totals leave out."""
    csus = {row["name"]: row for row in registry["csus"]}
    known = {row["name"]: row for row in registry["chains"]}
    return {
        csu: [csus.get(csu), known.get(chain), [row for row in registry["exclusions"] if row["csu"] == csu]]
        for csu, chain in chains.items()
    }


def _cells(one: _Read, two: _Read, shared: Sequence[str]) -> pl.DataFrame:
    """Every cell that differs, and which dataset it is of. Rows that one release lacks are cells of all columns it fills."""
    both = one.panel.select(shared).join(
        two.panel.select(shared), on=list(KEY), how="full", suffix="_after", coalesce=True
    )
    pieces = [pl.DataFrame(schema={**CELLS, "dataset": pl.String()}).drop("cause")]
    for name in shared:
        if name in KEY:
            continue
        was, is_now = pl.col(name), pl.col(f"{name}_after")
        number = one.panel.schema[name].is_numeric() and two.panel.schema[name].is_numeric()
        change = (is_now.cast(pl.Float64) - was.cast(pl.Float64)) if number else pl.lit(None, pl.Float64)
        of = "liquidations" if is_flow(name) or name in _OF_LIQUIDATIONS else "tvl"
        found = both.filter(
            was.cast(pl.String).ne_missing(is_now.cast(pl.String)) if not number else was.ne_missing(is_now)
        )
        pieces.append(
            found.select(
                *KEY,
                pl.lit(name).alias("column"),
                was.cast(pl.String).alias("before"),
                is_now.cast(pl.String).alias("after"),
                change.alias("change"),
                pl.lit(of).alias("dataset"),
            )
        )
    return pl.concat(pieces)


def _causes(one: _Read, two: _Read) -> pl.DataFrame:
    """Per dataset, market and day the cause of whatever changed there; every market-day of either release has one."""
    keys = pl.concat([one.panel.select(KEY), two.panel.select(KEY)]).unique()
    datasets = pl.DataFrame({"dataset": list(MARKET_DATASETS)})
    frame = keys.join(datasets, how="cross")
    for suffix, read in (("", one), ("_after", two)):
        named = {name: f"{name}{suffix}" for name in ("answers", "content", "prices", *_SAID)}
        there = read.panel.select(*KEY, pl.lit(True).alias(f"there{suffix}"))
        known = read.lineage.select("dataset", *KEY, *(pl.col(name).alias(new) for name, new in named.items()))
        told = read.prices.filter(pl.col("date").is_not_null()).rename({"told": f"told{suffix}"})
        said = read.said.rename({"said": f"said{suffix}"})
        frame = (
            frame.join(there, on=list(KEY), how="left")
            .join(known, on=["dataset", *KEY], how="left")
            .join(told, on="date", how="left")
            .join(said, on=["dataset", *KEY], how="left")
        )
    rows = [(csu, one.rows.get(csu) != two.rows.get(csu)) for csu in {*one.rows, *two.rows}]
    other_rows = pl.DataFrame(rows, schema={"csu": pl.String, "other_rows": pl.Boolean}, orient="row")
    frame = frame.join(other_rows, on="csu", how="left")
    code = one.code != two.code
    registry = pl.lit(one.registry_version != two.registry_version) | pl.col("other_rows").fill_null(False)
    of_all = _of_all(one) != _of_all(two)
    priced = pl.lit(one.pricing != two.pricing or of_all) | pl.col("told").ne_missing(pl.col("told_after"))

    def read_by(otherwise: str) -> pl.Expr:
        """What reads or counts the same inputs otherwise."""
        return (
            pl.when(registry & pl.lit(code))
            .then(pl.lit("code or registry"))
            .when(registry)
            .then(pl.lit("registry"))
            .when(pl.lit(code))
            .then(pl.lit("code"))
            .otherwise(pl.lit(otherwise))
        )

    def other(*names: str) -> pl.Expr:
        return pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_after")) for name in names)

    own = (
        pl.when(pl.col("there").is_null() & pl.col("answers_after").is_not_null())
        .then(pl.lit("new answer"))
        .when(pl.col("there").is_null() | pl.col("there_after").is_null())
        .then(pl.lit("selection"))
        .when(other("answers") & pl.col("answers").is_null())
        .then(pl.lit("new answer"))
        .when(other("answers"))
        .then(pl.lit("restatement"))
        .when(other("content"))
        .then(read_by("unexplained"))
        .when(other("prices") & priced)
        .then(pl.lit("price"))
        .when(other("prices"))
        .then(read_by("unexplained"))
        .when(other("said"))
        .then(pl.lit("evidence"))
        .when(other("state", "reason", "grade"))
        .then(read_by("evidence"))
        .otherwise(None)
    )
    frame = frame.with_columns(own.alias("own"))
    elsewhere = frame.group_by("csu").agg(pl.col("own").is_not_null().any().alias("elsewhere"))
    cause = pl.coalesce(
        "own",
        # What reads the tvl's inputs decides of the liquidations' flags and the other way round: a row is one.
        pl.col("own").drop_nulls().first().over(KEY),
        pl.when(pl.col("other_rows").fill_null(False)).then(read_by("registry")),
        pl.when("elsewhere").then(pl.lit("another day")),
        read_by("unexplained"),
    )
    return (
        frame.join(elsewhere, on="csu", how="left").with_columns(cause.alias("cause")).select(*KEY, "dataset", "cause")
    )


def _of_all(read: _Read) -> list[str]:
    return read.prices.filter(pl.col("date").is_null())["told"].to_list()


def _inputs(one: _Read, two: _Read) -> list[str]:
    """What both were made of that is another one, in words."""
    said = []
    if one.code != two.code:
        said.append("the code")
    if one.registry_version != two.registry_version:
        said.append("the registry")
    if one.pricing != two.pricing:
        said.append("how prices are chosen")
    return said


def document(found: ReleaseDiff) -> dict[str, object]:
    """All of it for programs."""
    return {
        "before": found.before,
        "after": found.after,
        "changed_cells": found.cells.height,
        "by_cause": found.by_cause,
        "explained": found.explained,
        "columns_added": found.columns_added,
        "columns_removed": found.columns_removed,
        "inputs_changed": found.inputs,
        "cells": found.cells.to_dicts(),
    }


def changelog(found: ReleaseDiff, largest: int = 20) -> str:
    """The data changelog in Markdown: what changed by which cause, where, and the largest changes."""
    days = found.cells.select(KEY).unique().height
    lines = [f"# From release {found.before} to {found.after}", ""]
    lines += [f"{counted(found.cells.height, 'cell')} changed on {counted(days, 'market-day')}."]
    if found.inputs:
        lines += [f"Made of other inputs: {', '.join(found.inputs)}."]
    for what, names in (
        ("New columns", found.columns_added),
        ("Columns that are no longer there", found.columns_removed),
    ):
        if names:
            lines += [f"{what}: {', '.join(f'`{name}`' for name in names)}."]
    if found.cells.is_empty():
        return "\n".join(lines) + "\n"
    lines += ["", "## By cause", "", "| cause | cells | market-days | meaning |", "|---|---|---|---|"]
    for cause, cells in found.by_cause.items():
        of = found.cells.filter(pl.col("cause") == cause).select(KEY).unique().height
        lines.append(f"| {cause} | {cells:,} | {of:,} | {CAUSES[cause]} |")
    lines += ["", "## By market", "", "| market | days | first | last | causes |", "|---|---|---|---|---|"]
    markets = found.cells.group_by("csu").agg(
        pl.col("date").n_unique().alias("days"),
        pl.col("date").min().alias("first"),
        pl.col("date").max().alias("last"),
        pl.col("cause").unique().sort().str.join(", ").alias("causes"),
    )
    lines += [
        f"| `{csu}` | {n:,} | {first} | {last} | {why} |" for csu, n, first, last, why in markets.sort("csu").rows()
    ]
    usd = [one.name for one in DAILY_PANEL.fields if one.unit == "USD"]
    top = found.cells.filter(pl.col("column").is_in(usd) & pl.col("change").is_not_null())
    top = top.sort(pl.col("change").abs(), *KEY, "column", descending=[True, False, False, False]).head(largest)
    if top.height:
        lines += [
            "",
            "## Largest changes in USD",
            "",
            "| market | day | column | change | cause |",
            "|---|---|---|---|---|",
        ]
        shown = top.select("csu", "date", "column", "change", "cause").rows()
        lines += [f"| `{csu}` | {day} | `{name}` | {by:+,.2f} | {cause} |" for csu, day, name, by, cause in shown]
    return "\n".join(lines) + "\n"
