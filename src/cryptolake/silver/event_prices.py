"""Silver table `event_prices`: liquidations at the price of their own block, beside those of the day (`liquidations`). No I/O.

What does not belong here: asking (sources), and the price that totals are made of, which is the day's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table
from cryptolake.silver import liquidations
from cryptolake.silver.liquidations import EVENT_FIELDS

_SIDES = (("collateral", "seized"), ("debt", "repaid"))

INPUTS = ("liquidations", "prices")
TABLE = Table(
    name="event_prices",
    layer="silver",
    grain="one liquidation event whose block was asked for prices",
    key=("chain", "tx", "log_index"),
    partition="date",
    fields=(
        *EVENT_FIELDS,
        *(
            field
            for side, what in _SIDES
            for field in (
                Field(f"{side}_asset", "text", f"token {what}"),
                Field(f"{side}_amount", "float64", what, unit="tokens", minimum=0),
                Field(
                    f"{side}_oracle_price",
                    "float64",
                    "the market's own oracle at the event's block; null where it says nothing",
                    unit="quote",
                    null=True,
                ),
                Field(f"{side}_oracle_quote", "text", "what that price is in", null=True),
                Field(f"{side}_event_price", "float64", "the same in dollars", unit="USD", null=True, minimum=0),
                Field(f"{side}_event_usd", "float64", f"{what} x that price", unit="USD", null=True, minimum=0),
            )
        ),
    ),
    doc="Liquidations at the price of their own block, where that was asked for (setting `event_prices`).",
    methodology="The market's own oracle, read at the end of the event's block and borne out as snapshots are. A quote in "
    "another token is brought to dollars by the day's shared price of that token (`prices`), for want of one of the block; "
    "where there is none the value is null. Totals and `liquidations` stay at the day's price: join by key to compare. A day "
    "that was not asked, or whose liquidations were answered anew since, has no rows.",
    publish_as="silver/event_prices.parquet",
)

ANSWER = pl.Schema({**liquidations.ANSWER, "of": pl.String()})


def conform(answers: Sequence[Row], known: Mapping[tuple[str, date], set[str]]) -> pl.DataFrame:
    """The rows of answers that are about the liquidations which count now, as events of this table without dollars.

    `known` are the digests of the answers of liquidations that count, by market and day.
    """
    frame = pl.DataFrame(list(answers), schema=ANSWER, strict=False)
    counts = [of in known.get((csu, day), ()) for csu, day, of in frame.select("csu", "date", "of").iter_rows()]
    events = liquidations.conform(frame.filter(pl.Series(counts, dtype=pl.Boolean)).drop("of"))
    nothing = [
        pl.lit(None, pl.Float64).alias(f"{side}_event_{what}") for side, _ in _SIDES for what in ("price", "usd")
    ]
    return events.with_columns(nothing).select(TABLE.columns)


def value(events: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """The same in dollars; `prices` (its contract) brings quotes in other tokens to them."""
    for side, _ in _SIDES:
        numeraire = prices.select(
            "date", "chain", pl.col("asset").alias(f"{side}_oracle_quote"), pl.col("price").alias("_numeraire")
        )
        events = events.join(numeraire, on=["date", "chain", f"{side}_oracle_quote"], how="left", maintain_order="left")
        unit = pl.when(pl.col(f"{side}_oracle_quote") == "usd").then(1.0).otherwise("_numeraire")
        price = pl.col(f"{side}_oracle_price") * unit
        events = events.with_columns(
            price.alias(f"{side}_event_price"), (pl.col(f"{side}_amount") * price).alias(f"{side}_event_usd")
        ).drop("_numeraire")
    return events.select(TABLE.columns).sort(TABLE.key)
