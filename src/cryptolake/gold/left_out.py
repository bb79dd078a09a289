"""Takes out of a day's amounts what the list of exclusions names, and says which doubts about the rest are large. No I/O.

An isolated market is taken out by its own deposits and debt, never by what the contract holds of its tokens: the other
markets' deposits are the same tokens. What does not belong here: what is named, and what looks wrong (`flagged_markets`).
"""

from __future__ import annotations

import polars as pl

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.contracts.market_flags import FLAGS, OF_TOKENS
from cryptolake.gold.flagged_markets import OWN

_LARGE = 0.05  # of the totals: from this share on a doubt about a part is one about the day
_DUST = 1e-9  # of an amount: what is left of it by rounding when all of it is taken out
_AMOUNTS = ("supplied", "borrowed", "cash", "collateral")
_KEY = ["csu", "date"]
_OF_MARKETS = tuple(code for code in FLAGS if code != OF_TOKENS)


def left_out(tvl: pl.DataFrame, flagged: pl.DataFrame) -> pl.DataFrame:
    """The rows of `tvl` with the amounts and values that totals count, and what each row was before.

    That is `unfiltered` (all of its tokens), `unfiltered_usd` (the worth of what is held of them) and `unfiltered_dead`
    (whether the token cannot be counted). Of a token that is left out nothing is left to be doubted.

    `flagged` is the table `flagged_markets`; what it calls excluded is taken out, by market or by token.
    """
    tvl = tvl.with_columns(
        (pl.max_horizontal("supplied", "borrowed", "cash") + pl.col("collateral")).alias("unfiltered"),
        (pl.col("cash_usd") + pl.col("collateral_usd")).alias("unfiltered_usd"),
        (pl.col("price_flag") == DEAD).alias("unfiltered_dead"),
    )
    named = flagged.filter(pl.col("excluded").is_not_null())
    if named.is_empty():
        return tvl
    markets, asset = named.filter(pl.col("kind") == "market"), [*_KEY, "asset"]
    lent = (
        markets.group_by(*_KEY, pl.col("loan_asset").alias("asset"))
        .agg(pl.col("supplied").sum().alias("_supplied"), pl.col("borrowed").sum().alias("_borrowed"))
        .with_columns((pl.col("_supplied") - pl.col("_borrowed")).clip(0).alias("_cash"))
    )
    pledged = markets.filter("collateral_excluded").select(*_KEY, pl.col("collateral_asset").alias("asset")).unique()
    tokens = named.filter(pl.col("kind") == "token").select(*_KEY, pl.col("id").alias("asset"))
    rows = (
        tvl.join(lent, on=asset, how="left")
        .join(pledged.with_columns(pl.lit(True).alias("_pledged")), on=asset, how="left")
        .join(tokens.with_columns(pl.lit(True).alias("_token")), on=asset, how="left")
    )
    whole = pl.col("_token").fill_null(False)
    left = {
        name: pl.when(whole).then(0.0).otherwise(_less(name, pl.col(f"_{name}")))
        for name in ("supplied", "borrowed", "cash")
    }
    left["collateral"] = pl.when(whole | pl.col("_pledged").fill_null(False)).then(0.0).otherwise(pl.col("collateral"))
    rows = rows.with_columns(expression.alias(f"_left_{name}") for name, expression in left.items())
    values = [
        _value(name, usd, price)
        for name in _AMOUNTS
        for usd, price in ((f"{name}_usd", "price"), (f"{name}_own_usd", "own_price"))
        if usd in tvl.columns
    ]
    flag = pl.when(whole).then(pl.lit("ok")).otherwise("price_flag").alias("price_flag")
    return rows.with_columns(flag, *values, *(pl.col(f"_left_{name}").alias(name) for name in _AMOUNTS)).select(
        tvl.columns
    )


def _less(name: str, taken: pl.Expr) -> pl.Expr:
    """What is left of an amount; nothing where only rounding is."""
    rest = pl.col(name) - taken.fill_null(0.0)
    return pl.when(rest <= pl.col(name) * _DUST).then(0.0).otherwise(rest)


def _value(name: str, usd: str, price: str) -> pl.Expr:
    """The value of what is left: none of it is worth 0, priced or not; all of it what it was."""
    left = pl.col(f"_left_{name}")
    return (
        pl.when(left == pl.col(name))
        .then(pl.col(usd))
        .when(left == 0)
        .then(0.0)
        .otherwise(left * pl.col(price))
        .alias(usd)
    )


def named(flagged: pl.DataFrame) -> pl.DataFrame:
    """What each market's day leaves out (csu, date, excluded): reason and the start of the id, joined by `;`."""
    return (
        flagged.filter(pl.col("excluded").is_not_null())
        .select(*_KEY, (pl.col("excluded") + ":" + pl.col("id").str.head(10)).alias("excluded"))
        .group_by(_KEY)
        .agg(pl.col("excluded").unique().sort().str.join(";"))
    )


def doubts(tvl: pl.DataFrame, flagged: pl.DataFrame) -> pl.DataFrame:
    """Per market and day one column per flag: whether what it is about is a large part of the totals (csu, date, flags).

    `tvl` as `left_out` gives it. What is left out raises no doubt. A doubt about debt is held against the deposits, one
    about worth against deposits and collateral, one about a price against what is held as well.
    """
    totals = (
        tvl.sort(*_KEY, "asset")
        .group_by(_KEY, maintain_order=True)
        .agg(
            pl.col("supplied_usd").sum().alias("_supplied"),
            (pl.col("supplied_usd") + pl.col("collateral_usd")).sum().alias("_gross"),
            (pl.col("cash_usd") + pl.col("collateral_usd")).sum().alias("_net"),
            _own("cash_usd", "collateral_usd").alias("_own_net"),
            _own("supplied_usd", "collateral_usd").alias("_own_gross"),
        )
    )
    rest = flagged.filter((pl.col("kind") == "market") & pl.col("excluded").is_null())
    tokens = flagged.filter((pl.col("kind") == "token") & pl.col("excluded").is_not_null()).select(
        *_KEY, pl.col("id").alias("collateral_asset")
    )
    for code in _OF_MARKETS:
        mine = rest.filter(pl.col("flags").str.split(";").list.contains(code))
        lent = mine.group_by(_KEY).agg(pl.max_horizontal("supplied_usd", "borrowed_usd").sum().alias(f"_{code}"))
        # Once for each token, however many isolated markets take it.
        worth = (
            mine.join(tokens, on=[*_KEY, "collateral_asset"], how="anti")
            .group_by(*_KEY, "collateral_asset")
            .agg(pl.col("pledged_own_usd").max())
            .group_by(_KEY)
            .agg(pl.col("pledged_own_usd").sum().alias(f"_{code}_pledged"))
        )
        totals = totals.join(lent, on=_KEY, how="left").join(worth, on=_KEY, how="left")
    debt = {"stuck_debt", "insolvent", "overpriced"}
    large = {
        code: (pl.col(f"_{code}") > _LARGE * pl.col("_supplied"))
        if code in debt
        else (pl.col(f"_{code}") + pl.col(f"_{code}_pledged").fill_null(0.0) > _LARGE * pl.col("_gross"))
        for code in _OF_MARKETS
    }
    anyone = flagged.filter(pl.col("flags").str.contains(OF_TOKENS, literal=True)).select(_KEY).unique()
    own = (pl.col("_own_net") > _LARGE * pl.col("_net")) | (pl.col("_own_gross") > _LARGE * pl.col("_gross"))
    return totals.join(anyone.with_columns(pl.lit(True).alias("_anyone")), on=_KEY, how="left").select(
        *_KEY,
        *(rule.fill_null(False).alias(code) for code, rule in large.items()),
        (own & pl.col("_anyone").fill_null(False)).fill_null(False).alias(OF_TOKENS),
    )


def _own(*columns: str) -> pl.Expr:
    """The sum of these over the tokens that nobody but a market's own oracle prices."""
    return pl.sum_horizontal(columns).filter(pl.col("price_source") == OWN).sum()
