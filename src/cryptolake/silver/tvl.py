"""Silver table `tvl`: one row per market, day and asset, scaled once and valued. No I/O.

`conform` reads what the chain said (amounts, the market's own oracle); `value` puts the day's price to it. What does not
belong here: which price that is (`silver.prices`).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table
from cryptolake.silver import own_prices
from cryptolake.silver.amounts import ratio, scaled
from cryptolake.silver.prices import FLAGS as OF_PRICES
from cryptolake.silver.prices import Pricing

FLAGS = (*OF_PRICES, DEAD)

INPUTS = ("prices",)
TABLE = Table(
    name="tvl",
    layer="silver",
    grain="one asset of one market at the end of one day",
    key=("csu", "date", "asset"),
    partition="date",
    fields=(
        Field("date", "date", "day of the snapshot, by the day boundary of the run"),
        Field("block", "int64", "snapshot block: the last one before the day's end", minimum=0),
        Field("block_hash", "text", "hash of that block"),
        Field("block_time", "timestamp", "timestamp of that block", unit="UTC"),
        Field("csu", "text", "market"),
        Field("chain", "text", "chain of the market"),
        Field("asset", "text", "token address, EIP-55"),
        Field("symbol", "text", "token symbol as the token says it"),
        Field("decimals", "int32", "decimal places of the token", minimum=0, maximum=255),
        Field(
            "supplied",
            "float64",
            "deposits that lenders can claim, with interest; 0 of an asset that is minted when it is borrowed (GHO before Aave "
            "3.4, VAI): nobody deposited it",
            unit="tokens",
            minimum=0,
        ),
        Field(
            "borrowed",
            "float64",
            "outstanding debt, with interest; also of an asset that is minted when it is borrowed, which then exceeds supplied",
            unit="tokens",
            minimum=0,
        ),
        Field("cash", "float64", "underlying held and not lent", unit="tokens", minimum=0),
        Field("collateral", "float64", "pledged tokens that are not lent out", unit="tokens", minimum=0),
        Field(
            "price",
            "float64",
            "the price of one token that the USD columns are made with",
            unit="USD",
            null=True,
            minimum=0,
        ),
        Field(
            "price_source",
            "text",
            "where the price comes from: a shared source, or protocol_oracle, the market's own; null when there is none",
            null=True,
        ),
        Field("price_age_s", "float64", "snapshot instant - price's own instant", unit="s", null=True),
        Field(
            "price_flag",
            "text",
            "what is known against it: `prices.flag`, or that the market's own oracle disagrees",
            allowed=FLAGS,
        ),
        Field("supplied_usd", "float64", "supplied x price", unit="USD", null=True, minimum=0),
        Field("borrowed_usd", "float64", "borrowed x price", unit="USD", null=True, minimum=0),
        Field("cash_usd", "float64", "cash x price", unit="USD", null=True, minimum=0),
        Field("collateral_usd", "float64", "collateral x price", unit="USD", null=True, minimum=0),
        Field(
            "own_price",
            "float64",
            "what the market's own oracle says of one token",
            unit="USD",
            null=True,
            minimum=0,
            added=True,
        ),
        *(
            Field(f"{amount}_own_usd", "float64", f"{amount} x own_price", unit="USD", null=True, minimum=0, added=True)
            for amount in ("supplied", "borrowed", "cash", "collateral")
        ),
        Field(
            "highest_price",
            "float64",
            "where somebody disagrees with `price`, the highest that anybody says, by which it is weighed; else null",
            unit="USD",
            null=True,
            minimum=0,
            added=True,
        ),
        Field("supplied_raw", "integer_text", "supplied, unscaled", unit="token units"),
        Field("borrowed_raw", "integer_text", "borrowed, unscaled", unit="token units"),
        Field("cash_raw", "integer_text", "cash, unscaled", unit="token units"),
        Field("collateral_raw", "integer_text", "collateral, unscaled", unit="token units"),
        Field("oracle_price", "float64", "the market's own oracle at the snapshot block", unit="quote", null=True),
        Field("oracle_quote", "text", "what that price is in: usd, a token's address, eth or btc", null=True),
    ),
    doc="What every lending market held and owed at the end of every day.",
    methodology="Amounts are scaled once by the token's own decimals. `price` is the price of the (chain, token, day) that "
    "all markets share (table `prices`); where there is none, what the market's own oracle says, for this market's rows alone "
    "(`price_source = protocol_oracle`); where that says nothing, `price` and every USD column are null, never zero. Beside "
    "them the same amounts at the market's own oracle (`own_price`, `..._own_usd`), to check each by.",
    publish_as="silver/tvl/{csu}.parquet",
)

# What follows from the rest of a row and from the prices of the day.
FOLLOWS = (
    *(
        name
        for amount in ("supplied", "borrowed", "cash", "collateral")
        for name in (amount, f"{amount}_usd", f"{amount}_own_usd")
    ),
    *own_prices.PRICED,
)

# The rows an on-chain `tvl` answer is read into; integers of any size are decimal text.
ANSWER = pl.Schema(
    {
        "csu": pl.String(),
        "date": pl.Date(),
        "chain": pl.String(),
        "block": pl.Int64(),
        "block_hash": pl.String(),
        "timestamp": pl.Int64(),
        "asset": pl.String(),
        "symbol": pl.String(),
        "decimals": pl.Int32(),
        "total_supplied_raw": pl.String(),
        "total_borrowed_raw": pl.String(),
        "cash_raw": pl.String(),
        "collateral_raw": pl.String(),
        "price_raw": pl.String(),
        "price_unit": pl.String(),
        "price_quote": pl.String(),
    }
)

_AMOUNTS = {
    "supplied": "total_supplied_raw",
    "borrowed": "total_borrowed_raw",
    "cash": "cash_raw",
    "collateral": "collateral_raw",
}


def conform(answers: pl.DataFrame | Sequence[Row]) -> pl.DataFrame:
    """Answers of the on-chain `tvl` dataset as silver rows that are not valued yet (`no_source`, no USD).

    Sorted by key, one per key (the last given wins).
    """
    frame = answers if isinstance(answers, pl.DataFrame) else pl.DataFrame(list(answers), schema=ANSWER, strict=False)
    found = pl.col("oracle_price") > 0
    return (
        frame.with_columns(
            pl.from_epoch("timestamp", time_unit="s")
            .dt.cast_time_unit("us")
            .dt.replace_time_zone("UTC")
            .alias("block_time"),
            *(scaled(raw, "decimals").alias(name) for name, raw in _AMOUNTS.items()),
            *(pl.col(raw).alias(f"{name}_raw") for name, raw in _AMOUNTS.items()),
            ratio("price_raw", "price_unit").alias("oracle_price"),
            *(pl.lit(None, pl.Float64).alias(f"{name}{how}_usd") for name in _AMOUNTS for how in ("", "_own")),
            *(pl.lit(None, pl.Float64).alias(name) for name in ("price", "own_price", "highest_price")),
            pl.lit(None, pl.Float64).alias("price_age_s"),
            pl.lit(None, pl.String).alias("price_source"),
            pl.when(pl.col("price_quote") == DEAD)
            .then(pl.lit(DEAD))
            .otherwise(pl.lit("no_source"))
            .alias("price_flag"),
        )
        .with_columns(
            pl.when(found).then(pl.col("oracle_price")).alias("oracle_price"),
            pl.when(found).then(pl.col("price_quote")).alias("oracle_quote"),
        )
        .select(TABLE.columns)
        .unique(subset=TABLE.key, keep="last", maintain_order=True)
        .sort(TABLE.key)
    )


def value(tvl: pl.DataFrame, prices: pl.DataFrame, pricing: Pricing | None = None) -> pl.DataFrame:
    """The same rows valued anew by `prices` (its contract) and by their market's own oracle, as `pricing` says.

    Whatever they were valued at is dropped. A token that does not answer is worth nothing that anybody could say: it stays
    without a price, and flagged.
    """
    bare = tvl.with_columns((pl.col("price_flag") == DEAD).alias("dead")).drop(own_prices.PRICED)
    worth = own_prices.worth(own_prices.uses([(bare, "oracle_quote")]), bare, prices)
    return (
        own_prices.priced(bare, prices, worth, pricing or Pricing())
        .with_columns(
            *((pl.col(name) * pl.col("price")).alias(f"{name}_usd") for name in _AMOUNTS),
            *((pl.col(name) * pl.col("own_price")).alias(f"{name}_own_usd") for name in _AMOUNTS),
        )
        .select(TABLE.columns)
        .sort(TABLE.key)
    )
