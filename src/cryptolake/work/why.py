"""Why a figure of the panel is what it is: the amounts and prices it is the sum of, who told them, and the kept answers.

Reads only, asks nobody. What does not belong here: making figures (gold), and opening one answer's certificate (cells).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from cryptolake.app import App
from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.prices import ORACLE
from cryptolake.contracts.states import State
from cryptolake.contracts.table import Table
from cryptolake.errors import BadInput
from cryptolake.gold import flagged_markets
from cryptolake.gold.completeness import side_of
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.opened import NEEDS_HISTORY, UNFILTERED, Term, opened
from cryptolake.gold.totals import OWN_SUMS
from cryptolake.lake.bronze import ONCHAIN
from cryptolake.registry.markets import Csu
from cryptolake.silver import liquidations, prices, quotes, tvl
from cryptolake.work.cells import Cell
from cryptolake.work.chosen_panel import chosen_panel
from cryptolake.work.standing import standing
from cryptolake.work.vouched import opened_cell


@dataclass(frozen=True, slots=True)
class PriceTold:
    """The day's price of one asset: who told it, what is known against it, and what others said (USD or their own quote)."""

    asset: str
    symbol: str
    price: float | None
    source: str | None
    quoted_by: str | None
    age_s: float | None
    flag: str
    others: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A kept answer that the figure rests on: its cell, where it lies (under the data folder) and its digest."""

    cell: Cell
    path: str
    digest: str | None


@dataclass(frozen=True, slots=True)
class Why:
    """A figure opened. `formula` says in words what it is; `terms` add up to it, `inputs` are the figures of a ratio.

    `adds_up` is the sum of the terms (the quotient of the inputs, or the number of what is counted); it equals `value`
    wherever there is one. `left_out` is what the registry's exclusions take out of it. `state`, `reason` and `evidence` are
    those of its side.
    """

    csu: str
    day: date
    column: str
    value: float | int | None
    unit: str
    meaning: str
    state: State
    reason: str | None
    evidence: Grade | None
    flags: str
    formula: str
    terms: Sequence[Term]
    inputs: Mapping[str, float | None]
    adds_up: float | None
    left_out: Sequence[Mapping[str, Any]]
    prices: Sequence[PriceTold]
    answers: Sequence[KeptAnswer]


def why(app: App, csu: Csu, day: date, column: str) -> Why:
    """Open one figure. Raises BadInput for a column that is no figure, Stop for a panel that its tables do not bear out."""
    (found,) = why_of(app, csu, day, [column])
    return found


def why_of(app: App, csu: Csu, day: date, columns: Sequence[str]) -> list[Why]:
    """Open several figures of one row, each as `why` does: what they rest on is read, and the panel made again, once."""
    figures = [name for name, dtype in DAILY_PANEL.polars_schema().items() if dtype.is_numeric()]
    if unknown := [one for one in columns if one not in figures]:
        raise BadInput(f"{unknown[0]!r} is no figure of the panel; known: {', '.join(figures)}")
    row = chosen_panel(app, [csu], day, day).panel.row(0, named=True)
    held = history = _rows(app, tvl.TABLE, csu, day)
    if NEEDS_HISTORY in columns:
        history = app.tables.read(tvl.TABLE, among={"csu": [csu.name]}).filter(pl.col("date") <= day)
    silver = _Silver(
        named=_rows(app, flagged_markets.TABLE, csu, day),
        held=held,
        history=history,
        happened=_rows(app, liquidations.TABLE, csu, day),
        chosen=app.tables.read(prices.TABLE, among={"date": [day], "chain": [csu.chain]}),
        heard=app.tables.read(quotes.TABLE, among={"date": [day], "chain": [csu.chain]}),
    )
    answers = {dataset: _answers(app, csu, day, dataset) for dataset in sorted({_dataset(one) for one in columns})}
    return [_why(csu, row, column, silver, answers[_dataset(column)]) for column in columns]


@dataclass(frozen=True, slots=True)
class _Silver:
    """What silver has of a market's day, of the market up to it (`history`), and of all prices of its chain."""

    named: pl.DataFrame
    held: pl.DataFrame
    history: pl.DataFrame
    happened: pl.DataFrame
    chosen: pl.DataFrame
    heard: pl.DataFrame


def _dataset(column: str) -> str:
    return "liquidations" if side_of(column) == "liquidations_status" else "tvl"


def _why(csu: Csu, row: Mapping[str, Any], column: str, silver: _Silver, answers: Sequence[KeptAnswer]) -> Why:
    field = next(one for one in DAILY_PANEL.fields if one.name == column)
    events = _dataset(column) == "liquidations"
    known = silver.history if column == NEEDS_HISTORY else silver.held
    found = opened(column, row, known, silver.happened, silver.named)
    assets = {(term.asset, term.symbol) for term in found.terms}
    return Why(
        csu.name,
        row["date"],
        column,
        row[column],
        field.unit or "",
        field.doc,
        row[side_of(column)],
        row["liquidations_reason" if events else "reason"],
        row["liquidations_evidence" if events else "tvl_evidence"],
        row["flags"],
        found.formula,
        found.terms,
        found.inputs,
        found.adds_up,
        [] if events or column == UNFILTERED else _excluded(silver.named),
        _told(silver, csu, sorted(assets), _said(silver.held, silver.happened, own=column in OWN_SUMS)),
        answers,
    )


def _rows(app: App, table: Table, csu: Csu, day: date) -> pl.DataFrame:
    """Silver's rows of a market's day."""
    return app.tables.read(table, among={"csu": [csu.name], "date": [day]})


def _excluded(named: pl.DataFrame) -> Sequence[Mapping[str, Any]]:
    """What the figure leaves out: isolated markets and tokens with their reason and the facts for it."""
    columns = ("kind", "id", "loan_symbol", "collateral_symbol", "supplied", "borrowed", "excluded", "why")
    return named.filter(pl.col("excluded").is_not_null()).select(columns).to_dicts()


def _said(held: pl.DataFrame, happened: pl.DataFrame, *, own: bool) -> dict[str, dict[str, Any]]:
    """By asset whose price the rows have (source, age, flag) and what the market's own oracle says of it.

    Of an asset that the snapshot does not list, what its liquidations say. `own`: the figure is at the market's own oracle.
    """
    said: dict[str, dict[str, Any]] = {}
    for one in happened.iter_rows(named=True):
        for side, source, age in (
            ("debt", one["price_source"], one["price_age_s"]),
            ("collateral", one["collateral_price_source"], None),
        ):
            said[one[f"{side}_asset"]] = {
                "price": one[f"{side}_price"],
                "price_source": source,
                "price_age_s": age,
                "price_flag": one["price_flag"],
                "oracle_price": one[f"{side}_oracle_price"],
                "oracle_quote": one[f"{side}_oracle_quote"],
            }
    for one in held.iter_rows(named=True):
        at_own = {"price": one["own_price"], "price_source": one["own_price"] and ORACLE, "price_age_s": 0.0}
        said[one["asset"]] = {**one, **at_own} if own else one
    return said


def _told(
    silver: _Silver, csu: Csu, assets: Sequence[tuple[str, str]], said: Mapping[str, Mapping[str, Any]]
) -> list[PriceTold]:
    """Whose price each asset has, and what everybody else said of it that day, the market's own oracle among them."""
    shared = {one["asset"]: one for one in silver.chosen.iter_rows(named=True)}
    told = []
    for asset, symbol in assets:
        row = said[asset]
        source = row["price_source"]
        by = csu.name if source == ORACLE else shared.get(asset, {}).get("quoted_by")
        mine = {
            "source": ORACLE,
            "quoted_by": csu.name,
            "quote_price": row["oracle_price"],
            "quote": row["oracle_quote"],
        }
        others = [
            {name: one[name] for name in ("source", "quoted_by", "quote_price", "quote", "age_s")}
            for one in (
                *([] if mine["quote_price"] is None else [{**mine, "age_s": 0.0}]),
                *silver.heard.filter(pl.col("asset") == asset).sort("source", "quoted_by").iter_rows(named=True),
            )
            if source is None or (one["source"], one["quoted_by"]) != (source, by)
        ]
        told.append(
            PriceTold(
                asset,
                symbol,
                row["price"],
                source,
                by if source else None,
                row["price_age_s"],
                row["price_flag"] or "no_source",
                others,
            )
        )
    return told


def _answers(app: App, csu: Csu, day: date, dataset: str) -> list[KeptAnswer]:
    """The answers that the ledger counts for the market's day, each opened."""
    partition = Partition(dataset, csu.name, Period.of_day(day, app.boundary))
    stands = standing({one.partition: one for one in app.ledger.series(dataset, csu.name, str(day), f"{day}~")})
    entries = next((one.entries for key, one in stands.items() if key == (dataset, csu.name, day)), ())
    if not entries:
        known = app.ledger.of([partition]).get(partition)
        return [KeptAnswer(opened_cell(app, partition, known), "", None if known is None else known.digest)]
    found = []
    for entry in entries:
        path = app.bronze.raw_path(entry.partition, ONCHAIN)
        found.append(
            KeptAnswer(opened_cell(app, entry.partition, entry), str(path.relative_to(app.folder.root)), entry.digest)
        )
    return found
