"""Silver table `isolated_markets`: every lending pair of a contract in which anyone may open markets, one row a day. No I/O.

What does not belong here: what a pair is worth in USD, and which pairs look wrong or are left out (gold `flagged_markets`).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table
from cryptolake.silver.amounts import ratio, scaled

INPUTS = ()
TABLE = Table(
    name="isolated_markets",
    layer="silver",
    grain="one isolated market of one market's contract at the end of one day",
    key=("csu", "date", "market"),
    partition="date",
    fields=(
        Field("date", "date", "day of the snapshot, by the day boundary of the run"),
        Field("csu", "text", "market whose contract holds the isolated market"),
        Field("chain", "text", "chain of the market"),
        Field("block", "int64", "snapshot block", minimum=0),
        Field("market", "text", "id of the isolated market, 32 bytes"),
        Field("loan_asset", "text", "token that is lent, address, EIP-55"),
        Field("loan_symbol", "text", "its symbol as the token says it"),
        Field(
            "collateral_asset", "text", "token that is pledged, address, EIP-55; null where nothing can be", null=True
        ),
        Field("collateral_symbol", "text", "its symbol; null where nothing of it is held", null=True),
        Field("oracle", "text", "contract that prices the collateral for this market, EIP-55; null: none", null=True),
        Field("rate_model", "text", "contract that sets the interest rate, EIP-55; null: no interest", null=True),
        Field("lltv", "float64", "debt / collateral value at which a position is liquidated", minimum=0),
        Field("supplied", "float64", "deposits that lenders can claim, with interest", unit="loan tokens", minimum=0),
        Field("borrowed", "float64", "outstanding debt, with interest", unit="loan tokens", minimum=0),
        Field("utilization", "float64", "borrowed / supplied; null when nothing is supplied", null=True, minimum=0),
        Field(
            "interest",
            "float64",
            "the part of supplied and of borrowed that is interest counted since `touched_at`",
            unit="loan tokens",
            minimum=0,
        ),
        Field("touched_at", "timestamp", "when somebody last used the market, as it says itself", unit="UTC"),
        Field(
            "collateral",
            "float64",
            "what is pledged in this market; null where other markets take the token too: the contract does not tell",
            unit="collateral tokens",
            null=True,
            minimum=0,
        ),
        Field(
            "pledged",
            "float64",
            "all of the collateral token that the contract holds and that is not lent: no more can lie in this market",
            unit="collateral tokens",
            null=True,
            minimum=0,
        ),
        Field("takers", "int32", "isolated markets that take this collateral, also empty ones", minimum=0),
        Field(
            "own_price",
            "float64",
            "one collateral token by the market's own oracle; null where it gives none or nothing is borrowed",
            unit="loan tokens",
            null=True,
            minimum=0,
        ),
        Field("supplied_raw", "integer_text", "supplied, unscaled", unit="token units"),
        Field("borrowed_raw", "integer_text", "borrowed, unscaled", unit="token units"),
    ),
    doc="The isolated markets inside permissionless lending contracts, as their own words say at the end of every day.",
    methodology="Read from the same answers as `tvl`, whose rows are sums over these. Anyone may open such a market with a "
    "token and an oracle of their own, so nothing here is believed: see `flagged_markets`. A market in which nothing is "
    "lent, owed or certainly pledged has no row. Who lends and who owes is not asked.",
    in_postgres=True,
)

# The rows a snapshot's isolated markets are read into; integers of any size are decimal text.
ANSWER = pl.Schema(
    {
        "csu": pl.String(),
        "date": pl.Date(),
        "chain": pl.String(),
        "block": pl.Int64(),
        "timestamp": pl.Int64(),
        "market": pl.String(),
        "loan_asset": pl.String(),
        "loan_symbol": pl.String(),
        "loan_decimals": pl.Int32(),
        "collateral_asset": pl.String(),
        "collateral_symbol": pl.String(),
        "collateral_decimals": pl.Int32(),
        "oracle": pl.String(),
        "rate_model": pl.String(),
        "lltv_raw": pl.String(),
        "supplied_raw": pl.String(),
        "borrowed_raw": pl.String(),
        "interest_raw": pl.String(),
        "touched": pl.Int64(),
        "collateral_raw": pl.String(),
        "pledged_raw": pl.String(),
        "takers": pl.Int32(),
        "price_raw": pl.String(),
        "price_unit": pl.String(),
    }
)
_LLTV_DECIMALS = 18


def conform(answers: pl.DataFrame | Sequence[Row]) -> pl.DataFrame:
    """Isolated markets as a family tells them, as silver rows. Sorted by key, one per key (the last given wins)."""
    frame = answers if isinstance(answers, pl.DataFrame) else pl.DataFrame(list(answers), schema=ANSWER, strict=False)
    supplied, price = pl.col("supplied"), pl.col("own_price")
    return (
        frame.with_columns(
            pl.lit(_LLTV_DECIMALS, pl.Int32).alias("lltv_decimals"),
            pl.from_epoch("touched", time_unit="s")
            .dt.cast_time_unit("us")
            .dt.replace_time_zone("UTC")
            .alias("touched_at"),
        )
        .with_columns(
            scaled("lltv_raw", "lltv_decimals").alias("lltv"),
            *(scaled(f"{name}_raw", "loan_decimals").alias(name) for name in ("supplied", "borrowed", "interest")),
            *(  # nobody asks the decimals of a token of which nothing is there: none of it is none at any scale
                pl.when(pl.col(f"{name}_raw") == "0")
                .then(0.0)
                .otherwise(scaled(f"{name}_raw", "collateral_decimals"))
                .alias(name)
                for name in ("collateral", "pledged")
            ),
            ratio("price_raw", "price_unit").alias("own_price"),
        )
        .with_columns(
            pl.when(supplied > 0).then(pl.col("borrowed") / supplied).alias("utilization"),
            pl.when(price > 0).then(price).alias("own_price"),
        )
        .select(TABLE.columns)
        .unique(subset=TABLE.key, keep="last", maintain_order=True)
        .sort(TABLE.key)
    )
