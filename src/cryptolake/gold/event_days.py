"""Gold table `event_days`: the market-days of the panel on which a known event fell. No I/O.

What does not belong here: the events (registry), and changing a figure because of one: none is.
"""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.table import Field, Table

INPUTS = ("known_events", "market_days", "tvl")
COLUMNS = {"tvl": ("csu", "date", "asset", "symbol", "supplied", "collateral")}
BY = ("market", "protocol", "token")
TABLE = Table(
    name="event_days",
    layer="gold",
    grain="one known event on one day of one market",
    key=("csu", "date", "event"),
    fields=(
        Field("date", "date", "day, by the day boundary of the run"),
        Field("csu", "text", "market"),
        Field("event", "text", "name of the event, see `known_events`"),
        Field("kind", "text", "exploit, oracle_failure or depeg"),
        Field(
            "touched_by",
            "text",
            "why the event touches the market: it is named, its protocol is, or it held such a token at the snapshot",
            allowed=BY,
        ),
        Field("tokens", "text", "the tokens held, joined by `;`; null where it is not by token", null=True),
        Field("what", "text", "the facts in a sentence"),
        Field("sources", "text", "where it is stated, joined by ` | `"),
    ),
    doc="Known exploits, failures of oracles and lost pegs on the market-days they fall on.",
    methodology="A market-day that was asked for is flagged where the event names the market, or its protocol (on the chains "
    "named), or where the market's snapshot of that day has deposits or collateral of a token that calls itself one of the "
    "event's symbols: symbols are what tokens say, and anybody may call a token so. Figures stay as they are.",
    publish_as="gold/event_days.parquet",
)
_KEY = ["csu", "date"]


def build(known_events: pl.DataFrame, expected: pl.DataFrame, tvl: pl.DataFrame) -> pl.DataFrame:
    """The rows of the table, sorted by its key. Depends on the rows only, not on their order."""
    events = known_events.with_columns(
        pl.col(name).str.split(";") for name in ("csus", "protocols", "chains", "symbols")
    )
    days = events.with_columns(pl.date_ranges("first_day", "last_day").alias("date")).explode("date")
    markets = expected.select(*_KEY, "chain", "protocol").unique()
    on = markets.join(days, on="date", how="inner")
    named = on.filter(pl.col("csus").list.contains(pl.col("csu")).fill_null(False))
    in_protocol = pl.col("protocols").list.contains(pl.col("protocol")).fill_null(False)
    on_chain = pl.col("chains").list.contains(pl.col("chain")).fill_null(True)
    of_protocol = on.filter(in_protocol & on_chain)
    held = tvl.filter((pl.col("supplied") > 0) | (pl.col("collateral") > 0)).select(*_KEY, "symbol")
    by_token = (
        held.join(days.explode("symbols"), left_on=["date", "symbol"], right_on=["date", "symbols"], how="inner")
        .join(markets, on=_KEY, how="semi")
        .group_by(*_KEY, "event", "kind", "what", "sources")
        .agg(pl.col("symbol").unique().sort().str.join(";").alias("tokens"))
    )
    pieces = [
        one.with_columns(pl.lit(by).alias("touched_by"), pl.lit(None, pl.String).alias("tokens"))
        for by, one in zip(BY, (named, of_protocol), strict=False)
    ]
    pieces.append(by_token.with_columns(pl.lit("token").alias("touched_by")))
    rows = pl.concat([one.select(TABLE.columns).cast(TABLE.polars_schema()) for one in pieces])
    return rows.unique(list(TABLE.key), keep="first", maintain_order=True).sort(TABLE.key)
