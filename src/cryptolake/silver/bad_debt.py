"""Silver table `bad_debt`: debt that nobody will repay, as the protocols book it, in tokens and at the day's price. No I/O.

`conform` reads what the chain said; `value` puts the day's price to it. What does not belong here: debt that is worth more than
its collateral and that no protocol has booked yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table
from cryptolake.silver.amounts import scaled
from cryptolake.silver.liquidations import EVENT_FIELDS

NOT_ASKED = "not_asked"  # the `kind` of an answer's row that says that its question did not name bad debt
KINDS = ("created", "covered", "written_off")

INPUTS = ("prices", "tvl")
TABLE = Table(
    name="bad_debt",
    layer="silver",
    grain="one event that books, makes good or writes off bad debt",
    key=("chain", "tx", "log_index"),
    partition="date",
    fields=(
        *EVENT_FIELDS,
        Field(
            "kind",
            "text",
            "`created`: booked as a deficit that may be made good; `covered`: made good, in part or whole; `written_off`: "
            "taken off the deposits or the protocol's reserves at once",
            allowed=KINDS,
        ),
        Field("asset", "text", "token owed, address, EIP-55"),
        Field("symbol", "text", "its symbol"),
        Field("amount", "float64", "how much of it", unit="tokens", minimum=0),
        Field("price", "float64", "the day's price of the token", unit="USD", null=True, minimum=0),
        Field("amount_usd", "float64", "amount x price", unit="USD", null=True, minimum=0),
        Field("borrower", "text", "who owed it; null where the event does not say (what is made good)", null=True),
        Field("amount_raw", "integer_text", "amount, unscaled", unit="token units"),
    ),
    doc="Bad debt of every market whose protocol books it, one row per event.",
    methodology="Read from the same answers as `liquidations`, at no further question. Aave from 3.3 on: DeficitCreated and "
    "DeficitCovered. Venus' isolated pools: BadDebtIncreased and BadDebtRecovered. Morpho Blue and Lista: the bad debt in "
    "Liquidate. Euler: DebtSocialized. Comet: the share of an absorbed debt that the collateral taken over was not worth "
    "by the values in AbsorbDebt and AbsorbCollateral. A market-day without a row had none only where `bad_debt_daily` says "
    "`ok`: an answer to a question that did not name bad debt says nothing of it. USD values use the day's price of the token.",
    publish_as="silver/bad_debt/{csu}.parquet",
)

# What follows from the rest of a row and from the prices of the day.
FOLLOWS = ("amount", "price", "amount_usd")

# The rows an on-chain `liquidations` answer is read into, beside its liquidations.
ANSWER = pl.Schema(
    {
        "csu": pl.String(),
        "date": pl.Date(),
        "chain": pl.String(),
        "kind": pl.String(),
        "block": pl.Int64(),
        "block_hash": pl.String(),
        "timestamp": pl.Int64(),
        "tx": pl.String(),
        "log_index": pl.Int64(),
        "borrower": pl.String(),
        "asset": pl.String(),
        "symbol": pl.String(),
        "decimals": pl.Int32(),
        "amount_raw": pl.String(),
    }
)


def not_asked(answers: pl.DataFrame) -> set[tuple[str, date]]:
    """The markets' days of which at least one answer was given to a question without bad debt."""
    return set(answers.filter(pl.col("kind") == NOT_ASKED).select("csu", "date").unique().iter_rows())


def conform(answers: pl.DataFrame | Sequence[Row]) -> pl.DataFrame:
    """Answers as silver rows that are not valued yet (no USD), sorted by key, one per key (the last given wins).

    A day of which part was not asked has no rows: what is known of it would pass for all of it.
    """
    frame = answers if isinstance(answers, pl.DataFrame) else pl.DataFrame(list(answers), schema=ANSWER, strict=False)
    silent = frame.filter(pl.col("kind") == NOT_ASKED).select("csu", "date").unique()
    return (
        frame.join(silent, on=["csu", "date"], how="anti", maintain_order="left")
        .with_columns(
            pl.from_epoch("timestamp", time_unit="s")
            .dt.cast_time_unit("us")
            .dt.replace_time_zone("UTC")
            .alias("block_time"),
            scaled("amount_raw", "decimals").alias("amount"),
            pl.lit(None, pl.Float64).alias("price"),
            pl.lit(None, pl.Float64).alias("amount_usd"),
        )
        .select(TABLE.columns)
        .unique(subset=TABLE.key, keep="last", maintain_order=True)
        .sort(TABLE.key)
    )


def value(bad_debt: pl.DataFrame, prices: pl.DataFrame, tvl: pl.DataFrame) -> pl.DataFrame:
    """The same rows valued anew: at the price of the market's row in `tvl`, at the shared one where it has no such row."""
    chosen = prices.select("chain", "asset", "date", pl.col("price").alias("_shared"))
    own = tvl.select("csu", "asset", "date", pl.col("price").alias("_own"), pl.lit(value=True).alias("_listed"))
    return (
        bad_debt.join(chosen, on=["chain", "asset", "date"], how="left")
        .join(own, on=["csu", "asset", "date"], how="left")
        .with_columns(
            pl.when(pl.col("_listed").fill_null(value=False)).then("_own").otherwise("_shared").alias("price")
        )
        .with_columns((pl.col("amount") * pl.col("price")).alias("amount_usd"))
        .select(TABLE.columns)
        .sort(TABLE.key)
    )
