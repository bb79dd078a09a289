"""Silver table `bad_debt_daily`: bad debt of every market and day that somebody asked for, null where nobody asked. No I/O.

A day is `ok` only where the very answers that its liquidations were made of named bad debt in their question, and silver still
holds what was read from them. What does not belong here: the events themselves (`bad_debt`).
"""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.entry import NOT_YET, SUSPECT
from cryptolake.contracts.states import STATES
from cryptolake.contracts.table import Field, Table
from cryptolake.silver import refined
from cryptolake.silver.bad_debt import KINDS
from cryptolake.silver.bad_debt import TABLE as BAD_DEBT

NOT_READ, DIFFERS = "not_read", "silver_differs"

INPUTS = ("bad_debt", "refined", "market_days")
TABLE = Table(
    name="bad_debt_daily",
    layer="silver",
    grain="one market on one day, over the days of the panel",
    key=("csu", "date"),
    fields=(
        Field("date", "date", "day, by the day boundary of the run"),
        Field("csu", "text", "market"),
        Field("chain", "text", "chain of the market"),
        *(
            Field(f"{kind}_usd", "float64", doc, unit="USD", null=True, minimum=0)
            for kind, doc in (
                ("created", "bad debt booked as a deficit that may be made good later"),
                ("covered", "of such a deficit, what was made good on this day"),
                ("written_off", "bad debt that deposits or reserves lost at once"),
            )
        ),
        Field("events", "int64", "events of any kind", null=True, minimum=0),
        Field("status", "text", "what is known of the day's bad debt", allowed=STATES),
        Field("reason", "text", "why there is no figure, or what speaks against it", null=True),
    ),
    doc="Bad debt by market and day; zero only where it was asked for and there was none.",
    methodology="Sums of silver `bad_debt` at the day's price. `not_asked`: the answers of that day were given to a question "
    "that did not name bad debt (reason `not_asked`), or no such reading of them is in silver, because the protocol's events "
    "do not tell of bad debt or silver was made by an earlier release (reason `not_read`; `cryptolake rebuild` reads them). "
    "`pending`: silver holds other events than were read (`silver_differs`) or those of other answers (`not_refined`). "
    "`missing_price`: an event has no price, so that its kind has no sum. Bad debt makes no day of the panel `suspect`.",
    publish_as="silver/bad_debt_daily.parquet",
)

_KEY = ["csu", "date"]


def build(bad_debt: pl.DataFrame, recorded: pl.DataFrame, expected: pl.DataFrame) -> pl.DataFrame:
    """The rows of the table, sorted by its key; `recorded` is `refined`, `expected` the market-days of the panel."""
    frame = (
        expected.select("csu", "date", "chain", "liq_state", "liq_reason")
        .join(_recorded(recorded, "liquidations").select(*_KEY, pl.col("answers").alias("of")), on=_KEY, how="left")
        .join(_recorded(recorded, BAD_DEBT.name), on=_KEY, how="left")
        .join(refined.contents(BAD_DEBT.name, bad_debt).rename({"content": "holds"}), on=_KEY, how="left")
        .join(_sums(bad_debt), on=_KEY, how="left")
        .with_columns(pl.col("events").fill_null(0), pl.col("unpriced").fill_null([]))
    )
    answered = pl.col("liq_state").is_in(["done", "empty"])
    same = pl.col("holds").fill_null(refined.NOTHING) == pl.col("content")
    asked = answered & pl.col("lacks").is_null()
    lacks = (
        pl.when(pl.col("answers").is_null())
        .then(pl.lit(NOT_READ))
        .when(pl.col("answers").ne_missing(pl.col("of")))
        .then(pl.lit("not_refined"))
        .when(pl.col("unread").is_not_null())
        .then(pl.col("unread"))
        .when(~same)
        .then(pl.lit(DIFFERS))
    )
    status = (
        pl.when(pl.col("liq_state").is_null())
        .then(pl.lit("not_asked"))
        .when(pl.col("liq_state") == "pending")
        .then(pl.lit("pending"))
        .when((pl.col("liq_state") == "failed") & (pl.col("liq_reason") == NOT_YET))
        .then(pl.lit("pending"))
        .when((pl.col("liq_state") == "gone") & (pl.col("liq_reason") == "not_deployed"))
        .then(pl.lit("not_deployed"))
        .when(~answered)
        .then(pl.lit("failed"))
        .when(pl.col("lacks").is_in([NOT_READ, refined.NOT_ASKED]))
        .then(pl.lit("not_asked"))
        .when(pl.col("lacks").is_in([refined.DAMAGED, refined.UNREADABLE]))
        .then(pl.lit("failed"))
        .when(pl.col("lacks").is_not_null())
        .then(pl.lit("pending"))
        .when(pl.col("liq_reason") == SUSPECT)
        .then(pl.lit("suspect"))
        .when(pl.col("unpriced").list.len() > 0)
        .then(pl.lit("missing_price"))
        .otherwise(pl.lit("ok"))
    )
    sums = (
        pl.when(asked & ~pl.col("unpriced").list.contains(kind)).then(pl.col(f"{kind}_usd").fill_null(0.0))
        for kind in KINDS
    )
    return (
        frame.with_columns(lacks.alias("lacks"))
        .with_columns(
            *(one.alias(f"{kind}_usd") for one, kind in zip(sums, KINDS, strict=True)),
            pl.when(asked).then("events").alias("events"),
            status.alias("status"),
            pl.when(answered).then(pl.coalesce("lacks", "liq_reason")).otherwise("liq_reason").alias("reason"),
        )
        .select(TABLE.columns)
        .cast(TABLE.polars_schema())
        .sort(_KEY)
    )


def _recorded(recorded: pl.DataFrame, dataset: str) -> pl.DataFrame:
    """What `refined` says of the answers, the content and the lack of a table's days."""
    mine = recorded.filter(pl.col("dataset") == dataset)
    return mine.select(*_KEY, "answers", "content", pl.col("reason").alias("unread"))


def _sums(bad_debt: pl.DataFrame) -> pl.DataFrame:
    """Per market and day the number of events, the sum of each kind, and the kinds that have an event without a price."""
    without = pl.col("amount_usd").is_null()
    return (
        bad_debt.sort(*_KEY, "tx", "log_index")
        .group_by(_KEY, maintain_order=True)
        .agg(
            *(pl.col("amount_usd").filter(pl.col("kind") == kind).sum().alias(f"{kind}_usd") for kind in KINDS),
            pl.len().cast(pl.Int64).alias("events"),
            pl.col("kind").filter(without).unique().sort().alias("unpriced"),
        )
    )
