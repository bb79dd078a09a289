"""Sums of a market's day over its assets and its liquidations, and whether they are totals. No I/O.

A total is a total: where the part that has no price may be more than `MISSING_TOLERANCE` of the whole, there is only the sum
of the rest. What does not belong here: what a row of the panel makes of that (`daily_panel`).
"""

from __future__ import annotations

from functools import reduce
from operator import add

import polars as pl

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.contracts.prices import ORACLE
from cryptolake.gold.suspect import with_frozen

# The share of a market's value that may lack a price while its totals still count as totals: a tenth of a percent.
MISSING_TOLERANCE = 0.001
# What one token that never had a price is taken to be worth at most. No token that is lent was ever worth so much, so that
# only dust of it passes.
_MOST_PER_TOKEN_USD = 1_000_000.0

_DOUBTED = ("disagrees", "stale")  # of a price that was taken all the same; where there is none nothing is weighed

_UNPROVEN = "unproven"  # of a price from a file that was taken over

# What each total sums over silver `tvl`; a row lacking a price lacks all of them.
SUMS: dict[str, tuple[str, ...]] = {
    "total_tvl_usd": ("cash_usd", "collateral_usd"),
    "total_supplied_usd": ("supplied_usd",),
    "total_borrowed_usd": ("borrowed_usd",),
    "gross_tvl_usd": ("supplied_usd", "collateral_usd"),
    "cash_usd": ("cash_usd",),
    "collateral_usd": ("collateral_usd",),
}
# What the same is at the market's own oracle; it checks a total and is none.
OWN_SUMS: dict[str, tuple[str, ...]] = {"total_tvl_own_usd": ("cash_own_usd", "collateral_own_usd")}
# What each total sums over silver `liquidations`.
EVENT_SUMS = {"liquidations_usd": "debt_usd", "collateral_seized_usd": "collateral_usd"}
# The sums of what has a price, and the total that each is where nothing lacks one.
PARTIAL = {
    "priced_tvl_usd": "total_tvl_usd",
    "priced_supplied_usd": "total_supplied_usd",
    "priced_borrowed_usd": "total_borrowed_usd",
    "priced_liquidations_usd": "liquidations_usd",
}


def bounded(tvl: pl.DataFrame) -> pl.DataFrame:
    """`tvl` sorted by key with `at_most`: the price, else that of the market's own oracle, else the last of either.

    That is, of this market and no other, so that a row does not depend on what else lies in the lake; else what no token
    exceeds.
    """
    last = pl.coalesce("price", "own_price").forward_fill().over("csu", "asset", order_by="date")
    return tvl.sort("csu", "date", "asset").with_columns(last.fill_null(_MOST_PER_TOKEN_USD).alias("at_most"))


def at_most() -> pl.Expr:
    """The worth of what a row of `bounded` holds, at most: at its price, and at `at_most` where it has none."""
    return _amount() * pl.col("at_most")


def _exceeds(value: pl.Expr, priced: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """The share of the value that has a price, and whether the rest exceeds what may be missing from a total."""
    with_price, without = value.filter(priced).sum(), value.filter(~priced).sum()
    share = pl.when(without > 0).then(with_price / (with_price + without)).otherwise(1.0)
    return share, (without > MISSING_TOLERANCE * (with_price + without)) & (without > 0)


def of_assets(tvl: pl.DataFrame) -> pl.DataFrame:
    """The sums of each market and day over its assets; `unpriced`: they are no totals, `summable`: some have a price.

    Beside them what of the day is in doubt: `disagreeing_usd` and `frozen_usd`, both at the highest valuation that anybody
    gives, of `exposure_usd` (`gold.suspect`).
    """
    priced = pl.col("price").is_not_null()
    highest = _exposure() * pl.max_horizontal("price", "own_price", "highest_price")
    share, unpriced = _exceeds(at_most(), priced)
    dead = (pl.col("price_flag") == DEAD).any()  # of which the market itself may not know how much it has
    unfiltered_unpriced = (
        _exceeds(pl.col("unfiltered") * pl.col("at_most"), priced)[1] | pl.col("unfiltered_dead").any()
    )
    own_priced = (pl.col("own_price").is_not_null() | ~(_amount() > 0)).all() & ~dead
    return (
        with_frozen(tvl)
        .sort("csu", "date", "asset")
        .group_by("csu", "date", maintain_order=True)
        .agg(
            *(reduce(add, map(pl.col, parts)).sum().alias(total) for total, parts in SUMS.items()),
            *(
                pl.when(own_priced).then(reduce(add, map(pl.col, parts)).sum()).alias(total)
                for total, parts in OWN_SUMS.items()
            ),
            pl.col("unfiltered_usd").sum().alias("unfiltered_tvl_usd"),
            unfiltered_unpriced.alias("unfiltered_unpriced"),
            pl.len().cast(pl.Int32).alias("num_assets"),
            priced.mean().alias("priced_share"),
            share.alias("priced_value_share"),
            pl.col("price_age_s").filter(priced).abs().max().alias("price_age_s_max"),
            (unpriced | dead).alias("unpriced"),
            dead.alias("dead_token"),
            (priced | ~(_amount() > 0)).any().alias("summable"),
            (_exposure() * pl.col("price")).sum().alias("exposure_usd"),
            highest.filter(pl.col("price_flag").is_in(_DOUBTED)).sum().alias("disagreeing_usd"),
            highest.filter("frozen").sum().alias("frozen_usd"),
            (_exposure() * pl.col("price")).filter(pl.col("price_flag") == _UNPROVEN).sum().alias("unproven_usd"),
            pl.col("block").max(),
            pl.col("block_time").max(),
        )
    )


def of_events(liquidations: pl.DataFrame, assets: pl.DataFrame) -> pl.DataFrame:
    """The sums of each market and day over its liquidations; `unpriced_debt`, `unpriced_collateral`: one is no total.

    `assets` is `tvl` as `bounded` gives it: what an event's token is worth at most. Beside the sums what of the day is in
    doubt (`gold.suspect`).
    """
    bounds = assets.select("csu", "date", "asset", "at_most")
    events = liquidations.sort("csu", "date", "tx", "log_index")
    for side in ("debt", "collateral"):
        at_most = bounds.rename({"asset": f"{side}_asset", "at_most": f"{side}_at_most"})
        events = events.join(at_most, on=["csu", "date", f"{side}_asset"], how="left", maintain_order="left")
    worth = {
        side: pl.coalesce(
            f"{side}_usd",
            f"{side}_own_usd",
            pl.col(f"{side}_amount") * pl.col(f"{side}_at_most").fill_null(_MOST_PER_TOKEN_USD),
        )
        for side in ("debt", "collateral")
    }
    unpriced = [
        _exceeds(value, pl.col(f"{side}_usd").is_not_null())[1].alias(f"unpriced_{side}")
        for side, value in worth.items()
    ]
    size = pl.max_horizontal(f"{side}_{name}" for side in ("debt", "collateral") for name in ("usd", "own_usd"))
    return events.group_by("csu", "date", maintain_order=True).agg(
        *(
            pl.when(pl.col(part).is_not_null().any()).then(pl.col(part).sum()).alias(total)
            for total, part in EVENT_SUMS.items()
        ),
        pl.len().cast(pl.Int32).alias("liquidation_count"),
        pl.col("is_dust").fill_null(False).sum().cast(pl.Int32).alias("liquidations_dust_count"),
        *unpriced,
        size.sum().alias("events_usd"),
        size.filter(pl.col("price_flag").is_in(_DOUBTED)).sum().alias("disagreeing_events_usd"),
        size.filter(pl.col("price_flag") == _UNPROVEN).sum().alias("unproven_events_usd"),
        pl.col("debt_usd").filter(pl.col("price_source") == ORACLE).sum().alias("repaid_by_own_usd"),
        *(
            pl.col(f"{side}_usd").filter(pl.col(f"{other}_usd").is_not_null()).sum().alias(f"{name}_of_priced_usd")
            for name, side, other in (("repaid", "debt", "collateral"), ("seized", "collateral", "debt"))
        ),
    )


def _exposure() -> pl.Expr:
    """Tokens whose price matters: what was deposited or pledged, or what is owed where that is more (minted coins)."""
    return pl.max_horizontal(pl.col("supplied") + pl.col("collateral"), "borrowed")


def _amount() -> pl.Expr:
    """Tokens that a market has to do with."""
    return pl.max_horizontal("supplied", "borrowed", "cash") + pl.col("collateral")
