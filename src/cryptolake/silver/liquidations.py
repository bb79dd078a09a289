"""Silver table `liquidations`: one row per event, scaled and valued at the day's snapshot price. No I/O.

`conform` reads what the chain said; `value` puts the day's price to it. What does not belong here: which price that is.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Field, Table
from cryptolake.silver import own_prices
from cryptolake.silver.amounts import ratio, scaled
from cryptolake.silver.prices import FLAGS, Pricing

# Below this many USD of debt repaid an event is dust: 75,000 such events on one chain and day are known (2025-09-24).
DUST_USD = 5.0

# What every event says of where it stands, whichever table it is in.
EVENT_FIELDS = (
    Field("date", "date", "day of the event, by the day boundary of the run"),
    Field("csu", "text", "market"),
    Field("chain", "text", "chain of the market"),
    Field("block", "int64", "block of the event", minimum=0),
    Field("block_hash", "text", "hash of that block"),
    Field("block_time", "timestamp", "timestamp of that block", unit="UTC"),
    Field("tx", "text", "transaction hash"),
    Field("log_index", "int64", "position of the event in its block", minimum=0),
)

INPUTS = ("prices",)
TABLE = Table(
    name="liquidations",
    layer="silver",
    grain="one liquidation event",
    key=("chain", "tx", "log_index"),
    partition="date",
    fields=(
        *EVENT_FIELDS,
        Field("liquidator", "text", "who repaid"),
        Field("borrower", "text", "whose position; null where the event does not say", null=True),
        Field("collateral_asset", "text", "token seized"),
        Field("collateral_symbol", "text", "its symbol"),
        Field("collateral_amount", "float64", "seized, with bonus and protocol fee", unit="tokens", minimum=0),
        Field("collateral_price", "float64", "the day's price of the token seized", unit="USD", null=True, minimum=0),
        Field("collateral_usd", "float64", "seized x price", unit="USD", null=True, minimum=0),
        Field("debt_asset", "text", "token repaid"),
        Field("debt_symbol", "text", "its symbol"),
        Field("debt_amount", "float64", "repaid", unit="tokens", minimum=0),
        Field("debt_price", "float64", "the day's price of the token repaid", unit="USD", null=True, minimum=0),
        Field("debt_usd", "float64", "repaid x price", unit="USD", null=True, minimum=0),
        Field("price_basis", "text", "instant of the price used", allowed=("snapshot",)),
        Field("price_source", "text", "source of the debt token's price; null when there is none", null=True),
        Field("price_age_s", "float64", "snapshot instant - that price's own instant", unit="s", null=True),
        Field(
            "collateral_price_source",
            "text",
            "source of the seized token's price; null when there is none",
            null=True,
            added=True,
        ),
        Field(
            "price_flag",
            "text",
            "what is known against the two prices, the worse: `prices.flag`, or that the market's own oracle disagrees",
            null=True,
            allowed=(*FLAGS, DEAD),
            added=True,
        ),
        *(
            Field(
                f"{side}_own_usd",
                "float64",
                f"{what} x what the market's own oracle says",
                unit="USD",
                null=True,
                minimum=0,
                added=True,
            )
            for side, what in (("collateral", "seized"), ("debt", "repaid"))
        ),
        Field("is_dust", "bool", f"less than {DUST_USD:.0f} USD repaid; null when unpriced", null=True),
        Field("collateral_amount_raw", "integer_text", "seized, unscaled", unit="token units"),
        Field("debt_amount_raw", "integer_text", "repaid, unscaled", unit="token units"),
        Field("collateral_oracle_price", "float64", "the market's own oracle at the snapshot", unit="quote", null=True),
        Field("collateral_oracle_quote", "text", "what that price is in", null=True),
        Field("debt_oracle_price", "float64", "the market's own oracle at the snapshot", unit="quote", null=True),
        Field("debt_oracle_quote", "text", "what that price is in", null=True),
        Field("extra", "text", "what else the protocol's event says, as JSON"),
    ),
    doc="Every liquidation of every market.",
    methodology="USD values use the day's price of the token (table `prices`, at the day's snapshot block: `price_basis = "
    "snapshot`; where there is none the market's own oracle's), not the price at the event's own block. Beside them the same "
    "amounts at the market's own oracle (`..._own_usd`), to check each by. Amounts are tokens; a protocol's own `usdValue` is "
    "never used, as it is not in dollars on every market. An event counts once by (chain, tx, log_index), whatever it is "
    "joined with.",
    publish_as="silver/liquidations/{csu}.parquet",
)

_SIDES = ("collateral", "debt")

# What follows from the rest of a row and from the prices of the day.
FOLLOWS = (
    *(f"{side}_{name}" for side in _SIDES for name in ("amount", "price", "usd", "own_usd")),
    *("price_source", "price_age_s", "collateral_price_source", "price_flag", "is_dust"),
)

# The rows an on-chain `liquidations` answer is read into; integers of any size are decimal text.
ANSWER = pl.Schema(
    {
        "csu": pl.String(),
        "date": pl.Date(),
        "chain": pl.String(),
        "block": pl.Int64(),
        "block_hash": pl.String(),
        "timestamp": pl.Int64(),
        "tx": pl.String(),
        "log_index": pl.Int64(),
        "liquidator": pl.String(),
        "borrower": pl.String(),
        "extra": pl.String(),
        **{
            f"{side}_{name}": dtype
            for side in _SIDES
            for name, dtype in {
                "asset": pl.String(),
                "symbol": pl.String(),
                "decimals": pl.Int32(),
                "amount_raw": pl.String(),
                "price_raw": pl.String(),
                "price_unit": pl.String(),
                "price_quote": pl.String(),
            }.items()
        },
    }
)


def conform(answers: pl.DataFrame | Sequence[Row]) -> pl.DataFrame:
    """Answers of the on-chain `liquidations` dataset as silver rows that are not valued yet (no USD).

    Sorted by key, one per key (the last given wins).
    """
    frame = answers if isinstance(answers, pl.DataFrame) else pl.DataFrame(list(answers), schema=ANSWER, strict=False)
    nothing = {"price": pl.Float64(), "usd": pl.Float64(), "own_usd": pl.Float64()}
    return (
        frame.with_columns(
            pl.from_epoch("timestamp", time_unit="s")
            .dt.cast_time_unit("us")
            .dt.replace_time_zone("UTC")
            .alias("block_time"),
            *(scaled(f"{side}_amount_raw", f"{side}_decimals").alias(f"{side}_amount") for side in _SIDES),
            *(ratio(f"{side}_price_raw", f"{side}_price_unit").alias(f"{side}_oracle_price") for side in _SIDES),
            *(pl.lit(None, dtype).alias(f"{side}_{name}") for side in _SIDES for name, dtype in nothing.items()),
            pl.lit("snapshot").alias("price_basis"),
            *(
                pl.lit(None, pl.String).alias(name)
                for name in ("price_source", "collateral_price_source", "price_flag")
            ),
            pl.lit(None, pl.Float64).alias("price_age_s"),
            pl.lit(None, pl.Boolean).alias("is_dust"),
        )
        .with_columns(
            *(
                pl.when(pl.col(f"{side}_oracle_price") > 0)
                .then(pl.col(f"{side}_oracle_price"))
                .alias(f"{side}_oracle_price")
                for side in _SIDES
            ),
            *(
                pl.when(pl.col(f"{side}_oracle_price") > 0)
                .then(pl.col(f"{side}_price_quote"))
                .alias(f"{side}_oracle_quote")
                for side in _SIDES
            ),
        )
        .select(TABLE.columns)
        .unique(subset=TABLE.key, keep="last", maintain_order=True)
        .sort(TABLE.key)
    )


def value(
    liquidations: pl.DataFrame, prices: pl.DataFrame, held: pl.DataFrame | None = None, pricing: Pricing | None = None
) -> pl.DataFrame:
    """The same rows with both sides valued anew by `prices` (its contract) and by their market's own oracle.

    `held` are the markets' snapshots of the same days (`tvl`): what a market's oracle quotes in may have a price there, and
    a token that does not answer there has none here.
    """
    quotes = [f"{side}_oracle_quote" for side in _SIDES]
    used = own_prices.uses([(liquidations, quote) for quote in quotes])
    snapshots = pl.DataFrame(schema=_HELD) if held is None else held
    worth = own_prices.worth(used, snapshots, prices)
    made = [f"{side}_{name}" for side in _SIDES for name in own_prices.PRICED]
    frame = liquidations.drop(*made, "price_source", "price_age_s", "price_flag", strict=False)
    dead = snapshots.filter(pl.col("price_flag") == DEAD).select(
        "csu", "date", "asset", pl.lit(value=True).alias("dead")
    )
    for side in _SIDES:
        of_side = dead.rename({"asset": f"{side}_asset", "dead": f"{side}_dead"})
        frame = frame.join(of_side, on=["csu", "date", f"{side}_asset"], how="left", maintain_order="left")
        frame = own_prices.priced(frame, prices, worth, pricing or Pricing(), asset=f"{side}_asset", prefix=f"{side}_")
    collateral, debt = (pl.col(f"{side}_price_flag") for side in _SIDES)
    return (
        frame.with_columns(
            *((pl.col(f"{side}_amount") * pl.col(f"{side}_price")).alias(f"{side}_usd") for side in _SIDES),
            *((pl.col(f"{side}_amount") * pl.col(f"{side}_own_price")).alias(f"{side}_own_usd") for side in _SIDES),
            pl.when(collateral == "disagrees")
            .then(collateral)
            .when((collateral == "unproven") & debt.is_in(["ok", "unproven"]))
            .then(collateral)
            .when((debt != "ok") | (collateral == "ok"))
            .then(debt)
            .otherwise(collateral)
            .alias("price_flag"),
            pl.col("debt_price_source").alias("price_source"),
            pl.col("debt_price_age_s").alias("price_age_s"),
        )
        .with_columns((pl.col("debt_usd") < DUST_USD).alias("is_dust"))
        .select(TABLE.columns)
        .sort(TABLE.key)
    )


_HELD = pl.Schema(
    {
        "csu": pl.String(),
        "date": pl.Date(),
        "asset": pl.String(),
        "oracle_price": pl.Float64(),
        "oracle_quote": pl.String(),
        "price_flag": pl.String(),
    }
)
