"""What leaves the house of others' data: rows and figures that may not be passed on are left out or replaced, and told. Pure.

A price that may not be passed on is replaced by the market's own oracle's where that says one, else it is null, with every
value in USD that it could be reckoned from. Sums over markets and assets (the panel) stay: they are ours. What does not
belong here: what the terms are (registry.terms).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from cryptolake.registry.terms import Terms, plain_terms, terms_of

OWN = "protocol_oracle"  # the price source that is the market's own contract
_AMOUNTS = ("supplied", "borrowed", "cash", "collateral")
_SIDES = ("debt", "collateral")
# Tables whose rows are what one source says, and the column that names it.
_WHOSE = {"quotes": "source", "prices": "price_source"}


@dataclass(frozen=True, slots=True)
class Withheld:
    """What was not passed on of a table: how many rows of whom were left out, replaced or emptied."""

    table: str
    source: str
    rows: int
    how: str

    def __str__(self) -> str:
        return f"{self.table}: {self.rows:,} of {self.source} {self.how}"


def passed_on(table: str, frame: pl.DataFrame, terms: Mapping[str, Terms]) -> tuple[pl.DataFrame, list[Withheld]]:
    """The rows of a silver table as they may be passed on, and what was withheld. Other tables come back as they are."""
    if table in _WHOSE:
        return _left_out(table, frame, terms)
    if table == "tvl":
        return _of_reserves(frame, terms)
    if table == "liquidations":
        return _of_events(frame, terms)
    return frame, []


def _closed(frame: pl.DataFrame, column: str, terms: Mapping[str, Terms]) -> list[str]:
    """The sources in a column whose data may not be passed on."""
    return [one for one in frame[column].drop_nulls().unique().sort() if not terms_of(terms, one).allows]


def _left_out(table: str, frame: pl.DataFrame, terms: Mapping[str, Terms]) -> tuple[pl.DataFrame, list[Withheld]]:
    column = _WHOSE[table]
    closed = _closed(frame, column, terms)
    told = [Withheld(table, one, frame.filter(pl.col(column) == one).height, "left out") for one in closed]
    rows = frame.filter(pl.col(column).is_in(closed).not_().fill_null(True))
    if table == "prices":  # of several quotes the highest and the median may be anybody's
        several = pl.col("quotes") > 1
        hidden = ("highest_usd", "median_usd", "spread")
        rows = rows.with_columns(pl.when(several).then(None).otherwise(pl.col(name)).alias(name) for name in hidden)
    return rows, told


def _of_reserves(frame: pl.DataFrame, terms: Mapping[str, Terms]) -> tuple[pl.DataFrame, list[Withheld]]:
    closed = _closed(frame, "price_source", terms)
    mine = pl.col("price_source").is_in(closed).fill_null(False)
    own = {"price": "own_price", **{f"{one}_usd": f"{one}_own_usd" for one in _AMOUNTS}}
    told = []
    for one in closed:
        rows = frame.filter(pl.col("price_source") == one)
        replaced = rows.filter(pl.col("own_price").is_not_null()).height
        told += [
            Withheld("tvl", one, n, how) for n, how in ((replaced, _REPLACED), (rows.height - replaced, _EMPTIED)) if n
        ]
    others = pl.col("highest_price").ne_missing(pl.col("price"))  # whoever said the highest may be anybody
    changed = frame.with_columns(
        *(pl.when(mine).then(pl.col(other)).otherwise(pl.col(name)).alias(name) for name, other in own.items()),
        pl.when(mine).then(None).otherwise("price_age_s").alias("price_age_s"),
        pl.when(mine | others).then(None).otherwise("highest_price").alias("highest_price"),
        pl.when(mine & pl.col("own_price").is_not_null())
        .then(pl.lit(OWN))
        .when(mine)
        .then(None)
        .otherwise("price_source")
        .alias("price_source"),
    )
    return changed, told


_REPLACED, _EMPTIED = "replaced by the market's own oracle", "left empty"


def _of_events(frame: pl.DataFrame, terms: Mapping[str, Terms]) -> tuple[pl.DataFrame, list[Withheld]]:
    told, changes = [], []
    for side, column in zip(_SIDES, ("price_source", "collateral_price_source"), strict=True):
        closed = _closed(frame, column, terms)
        mine = pl.col(column).is_in(closed).fill_null(False)
        told += [
            Withheld("liquidations", one, frame.filter(pl.col(column) == one).height, f"{_EMPTIED} ({side})")
            for one in closed
        ]
        # An event has no price of the market's own but its value, from which that price follows.
        changes += [
            pl.when(mine).then(None).otherwise(pl.col(f"{side}_price")).alias(f"{side}_price"),
            pl.when(mine).then(pl.col(f"{side}_own_usd")).otherwise(pl.col(f"{side}_usd")).alias(f"{side}_usd"),
            pl.when(mine & pl.col(f"{side}_own_usd").is_not_null())
            .then(pl.lit(OWN))
            .when(mine)
            .then(None)
            .otherwise(pl.col(column))
            .alias(column),
        ]
    return frame.with_columns(changes), told


def terms_document(sources: Iterable[str], terms: Mapping[str, Terms]) -> list[dict[str, object]]:
    """The terms of these sources as JSON can hold them, in order of name."""
    return plain_terms(terms_of(terms, one) for one in sorted(set(sources)))


def attributions(sources: Iterable[str], terms: Mapping[str, Terms]) -> list[str]:
    """How the sources among these want to be named."""
    return sorted({named for one in sources if (named := terms_of(terms, one).attribution) is not None})
